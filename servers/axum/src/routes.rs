//! The contract's routes and their handlers.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use contract::{
    ApiError, DownloadParams, MAX_BODY_BYTES, MAX_UPLOAD_BYTES, Order, OrderPage, OrderRequest,
    PageParams, Ping, Store, Upload, User, UserPage, UsersParams, Wait, WaitParams, parse_id,
};
use tower_http::compression::CompressionLayer;

use crate::error::Error;
use crate::extract::{JsonBody, Path, Query};
use crate::sleep;

type Shared = State<&'static Store>;

/// Everything the server answers, over this store.
pub(crate) fn app(store: &'static Store) -> Router {
    // Only the routes that read a body: a layer around all of them costs each request an allocation.
    let limited = post(place_order).layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    // Likewise: no other response is looked at.
    let compressed = get(download).layer(CompressionLayer::new());
    let upload = post(upload).layer(DefaultBodyLimit::max(MAX_UPLOAD_BYTES));
    Router::new()
        .route("/ping", get(ping))
        .route("/api/v1/users", get(users))
        .route("/api/v1/users/{id}", get(user))
        .route("/api/v1/orders", get(orders).merge(limited))
        .route("/api/v1/orders/{id}", get(order))
        .route("/api/v1/wait", get(wait))
        .route("/api/v1/download", get(download))
        .route("/api/v1/compressed", compressed)
        .route("/api/v1/upload", upload)
        .fallback(async || Error::from(ApiError::NotFound))
        // axum adds the `Allow` header.
        .method_not_allowed_fallback(async || {
            Error::from(ApiError::MethodNotAllowed { allow: None })
        })
        .with_state(store)
}

async fn ping(State(store): Shared) -> Json<Ping> {
    Json(store.ping())
}

async fn users(
    State(store): Shared,
    Query(params): Query<UsersParams>,
) -> Result<Json<UserPage<'static>>, Error> {
    Ok(Json(store.users(params.validate()?)))
}

async fn user(State(store): Shared, Path(id): Path<String>) -> Result<Json<&'static User>, Error> {
    Ok(Json(store.user(parse_id(&id)?)?))
}

async fn place_order(
    State(store): Shared,
    JsonBody(request): JsonBody<OrderRequest>,
) -> Result<(StatusCode, Json<Order>), Error> {
    let order = store.place(request.validate()?)?;
    Ok((StatusCode::CREATED, Json(order)))
}

async fn orders(
    State(store): Shared,
    Query(params): Query<PageParams>,
) -> Result<Json<OrderPage>, Error> {
    Ok(Json(store.orders(params.validate()?)))
}

async fn order(State(store): Shared, Path(id): Path<String>) -> Result<Json<Order>, Error> {
    Ok(Json(store.order(parse_id(&id)?)?))
}

async fn wait(Query(params): Query<WaitParams>) -> Result<Json<Wait>, Error> {
    let wait = params.validate()?;
    sleep(wait.time()).await;
    Ok(Json(wait))
}

async fn download(
    State(store): Shared,
    Query(params): Query<DownloadParams>,
) -> Result<Json<UserPage<'static>>, Error> {
    Ok(Json(store.users(params.validate()?)))
}

async fn upload(body: Result<Bytes, BytesRejection>) -> Result<Json<Upload>, Error> {
    Ok(Json(Upload::of(&body?)))
}
