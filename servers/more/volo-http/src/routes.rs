//! The contract's routes and their handlers.

use contract::{
    ApiError, DownloadParams, Order, OrderPage, PageParams, Ping, Store, Upload, User, UserPage,
    UsersParams, Wait, WaitParams, parse_id,
};
use http::StatusCode;
use tokio::time::sleep;
use volo_http::server::extract::Json;
use volo_http::server::param::PathParams;
use volo_http::server::route::{MethodRouter, Router, get, post};
use volo_http::utils::Extension;

use crate::error::Error;
use crate::extract::{OrderBody, Params, UploadBody};

type Shared = Extension<&'static Store>;
type Answer<T> = Result<Json<T>, Error>;

/// Everything the server answers, over this store.
pub(crate) fn app(store: &'static Store) -> Router {
    // volo-http doesn't use a GET handler for HEAD, so each is named for both.
    Router::new()
        .route("/ping", allowing("GET, HEAD", get(ping).head(ping)))
        .route(
            "/api/v1/users",
            allowing("GET, HEAD", get(users).head(users)),
        )
        .route(
            "/api/v1/users/{id}",
            allowing("GET, HEAD", get(user).head(user)),
        )
        .route(
            "/api/v1/orders",
            allowing(
                "GET, HEAD, POST",
                get(orders).head(orders).post(place_order),
            ),
        )
        .route(
            "/api/v1/orders/{id}",
            allowing("GET, HEAD", get(order).head(order)),
        )
        .route("/api/v1/wait", allowing("GET, HEAD", get(wait).head(wait)))
        .route(
            "/api/v1/download",
            allowing("GET, HEAD", get(download).head(download)),
        )
        .route("/api/v1/upload", allowing("POST", post(upload)))
        .fallback(not_found)
        .layer(Extension(store))
}

/// A 405 with the contract's body and the `Allow` header, which volo-http's own has not.
fn allowing(allow: &'static str, methods: MethodRouter) -> MethodRouter {
    methods
        .fallback(move || async move { Error(ApiError::MethodNotAllowed { allow: Some(allow) }) })
}

async fn not_found() -> Error {
    Error(ApiError::NotFound)
}

async fn ping(Extension(store): Shared) -> Json<Ping> {
    Json(store.ping())
}

async fn users(
    Extension(store): Shared,
    Params(params): Params<UsersParams>,
) -> Answer<UserPage<'static>> {
    Ok(Json(store.users(params.validate()?)))
}

async fn user(
    Extension(store): Shared,
    PathParams(id): PathParams<String>,
) -> Answer<&'static User> {
    Ok(Json(store.user(parse_id(&id)?)?))
}

async fn place_order(
    Extension(store): Shared,
    OrderBody(request): OrderBody,
) -> Result<(StatusCode, Json<Order>), Error> {
    let placed = store.place(request.validate()?)?;
    Ok((StatusCode::CREATED, Json(placed)))
}

async fn orders(Extension(store): Shared, Params(params): Params<PageParams>) -> Answer<OrderPage> {
    Ok(Json(store.orders(params.validate()?)))
}

async fn order(Extension(store): Shared, PathParams(id): PathParams<String>) -> Answer<Order> {
    Ok(Json(store.order(parse_id(&id)?)?))
}

async fn wait(Params(params): Params<WaitParams>) -> Answer<Wait> {
    let wait = params.validate()?;
    sleep(wait.time()).await;
    Ok(Json(wait))
}

async fn download(
    Extension(store): Shared,
    Params(params): Params<DownloadParams>,
) -> Answer<UserPage<'static>> {
    Ok(Json(store.users(params.validate()?)))
}

async fn upload(UploadBody(body): UploadBody) -> Json<Upload> {
    Json(Upload::of(&body))
}
