//! The contract's routes and their handlers.

use contract::{
    ApiError, DownloadParams, Order, OrderPage, PageParams, Ping, Store, Upload, User, UserPage,
    UsersParams, Wait, WaitParams, parse_id,
};
use poem::error::{MethodNotAllowedError, ResponseError};
use poem::http::StatusCode;
use poem::web::{Data, Json, Path, Query};
use poem::{Endpoint, EndpointExt, Response, Route, RouteMethod, get, handler, post};
use tokio::time::sleep;

use crate::error::{Error, in_envelope};
use crate::extract::{OrderBody, UploadBody};

type Shared<'a> = Data<&'a &'static Store>;

/// Everything the server answers, over this store.
pub(crate) fn app(store: &'static Store) -> impl Endpoint {
    Route::new()
        .at("/ping", allowing("GET, HEAD", get(ping)))
        .at("/api/v1/users", allowing("GET, HEAD", get(users)))
        .at("/api/v1/users/:id", allowing("GET, HEAD", get(user)))
        .at(
            "/api/v1/orders",
            allowing("GET, HEAD, POST", get(orders).post(place_order)),
        )
        .at("/api/v1/orders/:id", allowing("GET, HEAD", get(order)))
        .at("/api/v1/wait", allowing("GET, HEAD", get(wait)))
        .at("/api/v1/download", allowing("GET, HEAD", get(download)))
        .at("/api/v1/upload", allowing("POST", post(upload)))
        .data(store)
        .catch_all_error(in_envelope)
}

/// poem's 405 with the `Allow` header, which it doesn't add itself.
fn allowing(allow: &'static str, methods: RouteMethod) -> impl Endpoint<Output = Response> {
    methods.catch_error(move |_: MethodNotAllowedError| async move {
        Error::from(ApiError::MethodNotAllowed { allow: Some(allow) }).as_response()
    })
}

#[handler]
fn ping(Data(store): Shared<'_>) -> Json<Ping> {
    Json(store.ping())
}

#[handler]
fn users(
    Data(store): Shared<'_>,
    Query(params): Query<UsersParams>,
) -> Result<Json<UserPage<'static>>, Error> {
    Ok(Json(store.users(params.validate()?)))
}

#[handler]
fn user(Data(store): Shared<'_>, Path(id): Path<String>) -> Result<Json<&'static User>, Error> {
    Ok(Json(store.user(parse_id(&id)?)?))
}

#[handler]
fn place_order(
    Data(store): Shared<'_>,
    OrderBody(request): OrderBody,
) -> Result<(StatusCode, Json<Order>), Error> {
    let placed = store.place(request.validate()?)?;
    Ok((StatusCode::CREATED, Json(placed)))
}

#[handler]
fn orders(
    Data(store): Shared<'_>,
    Query(params): Query<PageParams>,
) -> Result<Json<OrderPage>, Error> {
    Ok(Json(store.orders(params.validate()?)))
}

#[handler]
fn order(Data(store): Shared<'_>, Path(id): Path<String>) -> Result<Json<Order>, Error> {
    Ok(Json(store.order(parse_id(&id)?)?))
}

#[handler]
async fn wait(Query(params): Query<WaitParams>) -> Result<Json<Wait>, Error> {
    let asked = params.validate()?;
    sleep(asked.time()).await;
    Ok(Json(asked))
}

#[handler]
fn download(
    Data(store): Shared<'_>,
    Query(params): Query<DownloadParams>,
) -> Result<Json<UserPage<'static>>, Error> {
    Ok(Json(store.users(params.validate()?)))
}

#[handler]
fn upload(UploadBody(body): UploadBody) -> Json<Upload> {
    Json(Upload::of(&body))
}
