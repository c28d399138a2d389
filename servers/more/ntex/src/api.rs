//! Routes and handlers.

use contract::{
    ApiError, DownloadParams, MAX_BODY_BYTES, MAX_UPLOAD_BYTES, Order, OrderPage, OrderRequest,
    PageParams, Ping, Store, Upload, User, UserPage, UsersParams, Wait, WaitParams, parse_id,
};
use ntex::http::{StatusCode, header};
use ntex::time::sleep;
use ntex::util::Bytes;
use ntex::web::guard::{self, Guard};
use ntex::web::types::{Json, JsonConfig, Path, PayloadConfig, Query, State};
use ntex::web::{self, Route, ServiceConfig};

use crate::error::{ContractErrors, Error};

type Shared = State<&'static Store>;

/// Puts the whole contract into an `App`.
pub(crate) fn configure(config: &mut ServiceConfig<ContractErrors>, store: &'static Store) {
    config
        .state(store)
        .state(JsonConfig::default().limit(MAX_BODY_BYTES))
        .state(PayloadConfig::new(MAX_UPLOAD_BYTES))
        .service(
            web::resource("/ping")
                .route(web::get().to(ping))
                .default_service(only("GET")),
        )
        .service(
            web::resource("/api/v1/users")
                .route(web::get().to(users))
                .default_service(only("GET")),
        )
        .service(
            web::resource("/api/v1/users/{id}")
                .route(web::get().to(user))
                .default_service(only("GET")),
        )
        .service(
            web::resource("/api/v1/orders")
                .route([
                    web::get().to(orders),
                    web::post().guard(json_content()).to(place_order),
                    web::post().to(unsupported_media_type),
                ])
                .default_service(only("GET, POST")),
        )
        .service(
            web::resource("/api/v1/orders/{id}")
                .route(web::get().to(order))
                .default_service(only("GET")),
        )
        .service(
            web::resource("/api/v1/wait")
                .route(web::get().to(wait))
                .default_service(only("GET")),
        )
        .service(
            web::resource("/api/v1/download")
                .route(web::get().to(download))
                .default_service(only("GET")),
        )
        .service(
            web::resource("/api/v1/upload")
                .route(web::post().to(upload))
                .default_service(only("POST")),
        );
}

async fn ping(store: Shared) -> Json<Ping> {
    Json(store.ping())
}

async fn users(
    store: Shared,
    params: Query<UsersParams>,
) -> Result<Json<UserPage<'static>>, Error> {
    Ok(Json(store.users(params.validate()?)))
}

async fn user(store: Shared, id: Path<String>) -> Result<Json<&'static User>, Error> {
    Ok(Json(store.user(parse_id(&id)?)?))
}

async fn place_order(
    store: Shared,
    request: Json<OrderRequest>,
) -> Result<(Json<Order>, StatusCode), Error> {
    let order = store.place(request.into_inner().validate()?)?;
    Ok((Json(order), StatusCode::CREATED))
}

async fn orders(store: Shared, params: Query<PageParams>) -> Result<Json<OrderPage>, Error> {
    Ok(Json(store.orders(params.validate()?)))
}

async fn order(store: Shared, id: Path<String>) -> Result<Json<Order>, Error> {
    Ok(Json(store.order(parse_id(&id)?)?))
}

async fn wait(params: Query<WaitParams>) -> Result<Json<Wait>, Error> {
    let wait = params.validate()?;
    sleep(wait.time()).await;
    Ok(Json(wait))
}

async fn download(
    store: Shared,
    params: Query<DownloadParams>,
) -> Result<Json<UserPage<'static>>, Error> {
    Ok(Json(store.users(params.validate()?)))
}

async fn upload(body: Bytes) -> Json<Upload> {
    Json(Upload::of(&body))
}

/// Answers what no resource matches.
pub(crate) async fn not_found() -> Result<&'static str, Error> {
    Err(ApiError::NotFound.into())
}

async fn unsupported_media_type() -> Result<&'static str, Error> {
    Err(ApiError::UnsupportedMediaType.into())
}

/// Answers a method the resource has no route for.
fn only(allow: &'static str) -> Route<ContractErrors> {
    web::route().to(move || async move {
        Err::<&'static str, Error>(ApiError::MethodNotAllowed { allow: Some(allow) }.into())
    })
}

/// Holds for `application/json` alone: the `Json` extractor would also take `text/json` and
/// its like.
fn json_content() -> impl Guard {
    guard::fn_guard(|head| {
        let content_type = head.headers().get(header::CONTENT_TYPE);
        contract::is_json(content_type.and_then(|value| value.to_str().ok()))
    })
}
