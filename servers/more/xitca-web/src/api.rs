//! The handlers.

use contract::{
    ApiError, DownloadParams, MAX_BODY_BYTES, MAX_UPLOAD_BYTES, Order, OrderPage, OrderRequest,
    PageParams, Ping, Store, Upload, User, UserPage, UsersParams, Wait, WaitParams, is_json,
    parse_id,
};
use tokio::time::sleep;
use xitca_web::WebContext;
use xitca_web::error::Error;
use xitca_web::handler::body::Limit;
use xitca_web::handler::json::Json;
use xitca_web::handler::params::Params;
use xitca_web::handler::query::Query;
use xitca_web::handler::state::StateOwn;
use xitca_web::http::header::CONTENT_TYPE;
use xitca_web::http::{StatusCode, WebResponse};
use xitca_web::service::Service;

use crate::error::ContractError;

type Shared = StateOwn<&'static Store>;

pub(crate) async fn ping(StateOwn(store): Shared) -> Json<Ping> {
    Json(store.ping())
}

pub(crate) async fn users(
    StateOwn(store): Shared,
    Query(params): Query<UsersParams>,
) -> Result<Json<UserPage<'static>>, ContractError> {
    Ok(Json(store.users(params.validate()?)))
}

pub(crate) async fn user(
    StateOwn(store): Shared,
    Params(id): Params<String>,
) -> Result<Json<&'static User>, ContractError> {
    Ok(Json(store.user(parse_id(&id)?)?))
}

pub(crate) async fn place_order(
    StateOwn(store): Shared,
    Json(request): Json<OrderRequest, MAX_BODY_BYTES>,
) -> Result<(Json<Order>, StatusCode), ContractError> {
    let order = store.place(request.validate()?)?;
    Ok((Json(order), StatusCode::CREATED))
}

pub(crate) async fn orders(
    StateOwn(store): Shared,
    Query(params): Query<PageParams>,
) -> Result<Json<OrderPage>, ContractError> {
    Ok(Json(store.orders(params.validate()?)))
}

pub(crate) async fn order(
    StateOwn(store): Shared,
    Params(id): Params<String>,
) -> Result<Json<Order>, ContractError> {
    Ok(Json(store.order(parse_id(&id)?)?))
}

pub(crate) async fn wait(Query(params): Query<WaitParams>) -> Result<Json<Wait>, ContractError> {
    let wait = params.validate()?;
    sleep(wait.time()).await;
    Ok(Json(wait))
}

pub(crate) async fn download(
    StateOwn(store): Shared,
    Query(params): Query<DownloadParams>,
) -> Result<Json<UserPage<'static>>, ContractError> {
    Ok(Json(store.users(params.validate()?)))
}

pub(crate) async fn upload((body, _): (Vec<u8>, Limit<MAX_UPLOAD_BYTES>)) -> Json<Upload> {
    Json(Upload::of(&body))
}

/// Middleware that answers anything but `application/json` with 415: the `Json` extractor
/// takes any `Content-Type`.
pub(crate) async fn only_json<S, C>(
    service: &S,
    ctx: WebContext<'_, C>,
) -> Result<WebResponse, Error>
where
    S: for<'r> Service<WebContext<'r, C>, Response = WebResponse, Error = Error>,
{
    let content_type = ctx.req().headers().get(CONTENT_TYPE);
    if !is_json(content_type.and_then(|value| value.to_str().ok())) {
        return Err(ContractError::from(ApiError::UnsupportedMediaType).into());
    }
    service.call(ctx).await
}
