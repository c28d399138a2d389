//! The contract's routes and their handlers.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};
use contract::{
    ApiError, MAX_BODY_BYTES, Order, OrderPage, OrderRequest, PageParams, Ping, Store, User,
    UserPage, UsersParams, parse_id,
};

use crate::body::JsonBody;
use crate::error::Error;

type Shared = State<&'static Store>;
type Routes = MethodRouter<&'static Store>;

/// Everything the server answers, over this store.
pub(crate) fn app(store: &'static Store) -> Router {
    Router::new()
        .route("/ping", only_get(get(ping)))
        .route("/api/v1/users", only_get(get(users)))
        .route("/api/v1/users/{id}", only_get(get(user)))
        .route(
            "/api/v1/orders",
            get(orders)
                .post(place_order)
                .fallback(|| method_not_allowed("GET, HEAD, POST")),
        )
        .route("/api/v1/orders/{id}", only_get(get(order)))
        .fallback(async || Error::from(ApiError::NotFound))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(store)
}

/// axum answers HEAD with a GET handler, so `Allow` names both.
fn only_get(routes: Routes) -> Routes {
    routes.fallback(|| method_not_allowed("GET, HEAD"))
}

async fn method_not_allowed(allow: &'static str) -> Error {
    ApiError::MethodNotAllowed { allow }.into()
}

async fn ping(State(store): Shared) -> Json<Ping> {
    Json(store.ping())
}

async fn users(
    State(store): Shared,
    params: Result<Query<UsersParams>, QueryRejection>,
) -> Result<Json<UserPage<'static>>, Error> {
    let Query(params) = params?;
    Ok(Json(store.users(params.validate()?)))
}

async fn user(
    State(store): Shared,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<&'static User>, Error> {
    let Path(id) = id?;
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
    params: Result<Query<PageParams>, QueryRejection>,
) -> Result<Json<OrderPage>, Error> {
    let Query(params) = params?;
    Ok(Json(store.orders(params.validate()?)))
}

async fn order(
    State(store): Shared,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Order>, Error> {
    let Path(id) = id?;
    Ok(Json(store.order(parse_id(&id)?)?))
}
