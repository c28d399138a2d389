//! The contract's routes and their handlers.

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use contract::{
    ApiError, MAX_BODY_BYTES, Order, OrderPage, OrderRequest, PageParams, Ping, Store, User,
    UserPage, UsersParams, parse_id,
};

use crate::error::Error;
use crate::extract::{JsonBody, Path, Query};

type Shared = State<&'static Store>;

/// Everything the server answers, over this store.
pub(crate) fn app(store: &'static Store) -> Router {
    // Only the route that reads a body: a layer around all of them costs each request an allocation.
    let limited = post(place_order).layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    Router::new()
        .route("/ping", get(ping))
        .route("/api/v1/users", get(users))
        .route("/api/v1/users/{id}", get(user))
        .route("/api/v1/orders", get(orders).merge(limited))
        .route("/api/v1/orders/{id}", get(order))
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
