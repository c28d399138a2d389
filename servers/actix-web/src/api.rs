//! Routes and handlers.

use actix_web::guard::{self, Guard};
use actix_web::http::header;
use actix_web::middleware::Compress;
use actix_web::rt::time::sleep;
use actix_web::web::{self, Bytes, Data, Json, Path, PayloadConfig, Query, ServiceConfig};
use actix_web::{HttpResponse, Route};
use contract::{
    ApiError, DownloadParams, MAX_BODY_BYTES, MAX_UPLOAD_BYTES, Order, OrderPage, OrderRequest,
    PageParams, Ping, Store, Upload, User, UserPage, UsersParams, Wait, WaitParams,
};

use crate::error::{self, Error};

/// Shared by all workers; `Data` itself is made anew for each worker, so that workers
/// don't contend for its reference count.
type State = Data<&'static Store>;

/// Puts the whole contract into an `App`.
pub(crate) fn configure(config: &mut ServiceConfig, store: &'static Store) {
    let json_config = web::JsonConfig::default()
        .limit(MAX_BODY_BYTES)
        .error_handler(error::from_json);

    config
        .app_data(Data::new(store))
        .app_data(json_config)
        .app_data(web::QueryConfig::default().error_handler(error::from_query))
        .app_data(web::PathConfig::default().error_handler(error::from_path))
        .service(
            web::resource("/ping")
                .route(web::get().to(ping))
                .default_service(only("GET")),
        )
        .service(web::scope("/api/v1").configure(configure_v1))
        .default_service(web::to(not_found));
}

fn configure_v1(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/users")
                .route(web::get().to(list_users))
                .default_service(only("GET")),
        )
        .service(
            web::resource("/users/{id}")
                .route(web::get().to(get_user))
                .default_service(only("GET")),
        )
        .service(
            web::resource("/orders")
                .route(web::get().to(list_orders))
                .route(web::post().guard(json_content()).to(place_order))
                .route(web::post().to(unsupported_media_type))
                .default_service(only("GET, POST")),
        )
        .service(
            web::resource("/orders/{id}")
                .route(web::get().to(get_order))
                .default_service(only("GET")),
        )
        .service(
            web::resource("/wait")
                .route(web::get().to(wait))
                .default_service(only("GET")),
        )
        .service(
            web::resource("/download")
                .route(web::get().to(download))
                .default_service(only("GET")),
        )
        .service(
            web::resource("/compressed")
                .wrap(Compress::default())
                .route(web::get().to(download))
                .default_service(only("GET")),
        )
        .service(
            web::resource("/upload")
                .app_data(PayloadConfig::new(MAX_UPLOAD_BYTES))
                .route(web::post().to(upload))
                .default_service(only("POST")),
        );
}

async fn ping(store: State) -> Json<Ping> {
    Json(store.ping())
}

async fn list_users(
    store: State,
    params: Query<UsersParams>,
) -> Result<Json<UserPage<'static>>, Error> {
    Ok(Json(store.users(params.validate()?)))
}

async fn get_user(store: State, id: Path<String>) -> Result<Json<&'static User>, Error> {
    Ok(Json(store.user(contract::parse_id(&id)?)?))
}

async fn place_order(store: State, order: Json<OrderRequest>) -> Result<HttpResponse, Error> {
    let order = store.place(order.into_inner().validate()?)?;
    Ok(HttpResponse::Created().json(order))
}

async fn list_orders(store: State, params: Query<PageParams>) -> Result<Json<OrderPage>, Error> {
    Ok(Json(store.orders(params.validate()?)))
}

async fn get_order(store: State, id: Path<String>) -> Result<Json<Order>, Error> {
    Ok(Json(store.order(contract::parse_id(&id)?)?))
}

async fn wait(params: Query<WaitParams>) -> Result<Json<Wait>, Error> {
    let wait = params.validate()?;
    sleep(wait.time()).await;
    Ok(Json(wait))
}

async fn download(
    store: State,
    params: Query<DownloadParams>,
) -> Result<Json<UserPage<'static>>, Error> {
    Ok(Json(store.users(params.validate()?)))
}

/// `PayloadConfig` has no error handler, so the handler gets the extractor's error.
async fn upload(body: Result<Bytes, actix_web::Error>) -> Result<Json<Upload>, Error> {
    let body = body.map_err(|error| error::from_bytes(&error))?;
    Ok(Json(Upload::of(&body)))
}

pub(crate) async fn not_found() -> Result<HttpResponse, Error> {
    Err(ApiError::NotFound.into())
}

async fn unsupported_media_type() -> Result<HttpResponse, Error> {
    Err(ApiError::UnsupportedMediaType.into())
}

/// Answers a method the resource has no route for.
pub(crate) fn only(allow: &'static str) -> Route {
    web::to(move || async move {
        Err::<HttpResponse, Error>(ApiError::MethodNotAllowed { allow: Some(allow) }.into())
    })
}

/// Holds for `application/json` alone: the `Json` extractor would also take `text/json` and
/// its like.
fn json_content() -> impl Guard {
    guard::fn_guard(|context| {
        let content_type = context.head().headers().get(header::CONTENT_TYPE);
        contract::is_json(content_type.and_then(|value| value.to_str().ok()))
    })
}
