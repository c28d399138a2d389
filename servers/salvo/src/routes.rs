//! The contract's routes and their handlers.

use contract::{
    ApiError, DownloadParams, MAX_BODY_BYTES, MAX_UPLOAD_BYTES, Order, OrderPage, OrderRequest,
    PageParams, Ping, Store, Upload, User, UserPage, UsersParams, Wait, WaitParams, is_json,
    parse_id,
};
use salvo::affix_state;
use salvo::catcher::Catcher;
use salvo::http::header::CONTENT_TYPE;
use salvo::prelude::*;
use salvo_compression::Compression;
use tokio::time::sleep;

use crate::error::{Error, refused};

/// The contract's routes, over this store.
pub(crate) fn router(store: &'static Store) -> Router {
    // salvo has no HEAD of its own: a route that lacks one would answer 405.
    Router::new()
        .hoop(affix_state::inject(store))
        .push(Router::with_path("ping").get(ping).head(ping))
        .push(
            Router::with_path("api/v1")
                .push(
                    Router::with_path("users")
                        .get(users)
                        .head(users)
                        .push(Router::with_path("{id}").get(user).head(user)),
                )
                .push(
                    Router::with_path("orders")
                        .get(orders)
                        .head(orders)
                        .post(place_order)
                        .push(Router::with_path("{id}").get(order).head(order)),
                )
                .push(Router::with_path("wait").get(wait).head(wait))
                .push(Router::with_path("download").get(download).head(download))
                .push(
                    Router::with_path("compressed")
                        .hoop(Compression::new())
                        .get(download)
                        .head(download),
                )
                .push(Router::with_path("upload").post(upload)),
        )
}

/// These routes, with the contract's errors.
pub(crate) fn service_of(router: Router) -> Service {
    Service::new(router)
        .hoop(empty_segment_is_no_route)
        .catcher(Catcher::default().hoop(refused))
}

/// salvo's router drops empty segments, so that it would take `/ping/` and `//ping` for
/// `/ping`; to the contract each is a route that isn't there.
#[handler]
async fn empty_segment_is_no_route(req: &Request, res: &mut Response, ctrl: &mut FlowCtrl) {
    let path = req.uri().path();
    if path.ends_with('/') || path.contains("//") {
        res.status_code(StatusCode::NOT_FOUND);
        ctrl.skip_rest();
    }
}

/// The store that [`router`] injects.
fn store(depot: &Depot) -> &'static Store {
    depot.get_typed::<&'static Store>().expect("injected")
}

fn id(req: &Request) -> Result<u64, Error> {
    let text: &str = req.try_param("id").map_err(Error::parameter)?;
    Ok(parse_id(text)?)
}

#[handler]
async fn ping(depot: &Depot) -> Json<Ping> {
    Json(store(depot).ping())
}

#[handler]
async fn users(req: &mut Request, depot: &Depot) -> Result<Json<UserPage<'static>>, Error> {
    let params: UsersParams = req.parse_queries().map_err(Error::parameter)?;
    Ok(Json(store(depot).users(params.validate()?)))
}

#[handler]
async fn user(req: &Request, depot: &Depot) -> Result<Json<&'static User>, Error> {
    Ok(Json(store(depot).user(id(req)?)?))
}

#[handler]
async fn place_order(
    req: &mut Request,
    depot: &Depot,
    res: &mut Response,
) -> Result<Json<Order>, Error> {
    let request = order_request(req).await?;
    let placed = store(depot).place(request.validate()?)?;
    res.status_code(StatusCode::CREATED);
    Ok(Json(placed))
}

/// salvo's own JSON body, less what the contract does not take: another type that ends
/// in `/json`, and an empty body, which to salvo is `null`.
async fn order_request(req: &mut Request) -> Result<OrderRequest, Error> {
    let content_type = req.headers().get(CONTENT_TYPE);
    if !is_json(content_type.and_then(|value| value.to_str().ok())) {
        return Err(ApiError::UnsupportedMediaType.into());
    }
    let payload = req.payload_with_max_size(MAX_BODY_BYTES).await;
    if payload.map_err(Error::body)?.is_empty() {
        return Err(ApiError::MalformedJson("the body is empty".into()).into());
    }
    // Of what `payload_with_max_size` has kept.
    req.parse_json().await.map_err(Error::body)
}

#[handler]
async fn orders(req: &mut Request, depot: &Depot) -> Result<Json<OrderPage>, Error> {
    let params: PageParams = req.parse_queries().map_err(Error::parameter)?;
    Ok(Json(store(depot).orders(params.validate()?)))
}

#[handler]
async fn order(req: &Request, depot: &Depot) -> Result<Json<Order>, Error> {
    Ok(Json(store(depot).order(id(req)?)?))
}

#[handler]
async fn wait(req: &mut Request) -> Result<Json<Wait>, Error> {
    let params: WaitParams = req.parse_queries().map_err(Error::parameter)?;
    let asked = params.validate()?;
    sleep(asked.time()).await;
    Ok(Json(asked))
}

#[handler]
async fn download(req: &mut Request, depot: &Depot) -> Result<Json<UserPage<'static>>, Error> {
    let params: DownloadParams = req.parse_queries().map_err(Error::parameter)?;
    Ok(Json(store(depot).users(params.validate()?)))
}

#[handler]
async fn upload(req: &mut Request) -> Result<Json<Upload>, Error> {
    let body = req.payload_with_max_size(MAX_UPLOAD_BYTES).await;
    Ok(Json(Upload::of(body.map_err(Error::body)?)))
}
