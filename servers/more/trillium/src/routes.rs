//! The contract's routes and their handlers.

use contract::{
    DownloadParams, Order, OrderPage, PageParams, Ping, Store, Upload, User, UserPage, UsersParams,
    Wait, WaitParams,
};
use tokio::time::sleep;
use trillium::{Conn, Handler, Method, Status};
use trillium_api::{Json, State, api};
use trillium_router::Router;

use crate::error::{Error, only_exact, refused};
use crate::extract::{Id, OrderBody, Query, UploadBody};

type Shared = State<&'static Store>;

/// Everything the server answers, over this store.
pub(crate) fn app(store: &'static Store) -> impl Handler {
    // trillium has no HEAD of its own: a route that lacks one would answer 405.
    let get = [Method::Get, Method::Head];
    let router = Router::new()
        .any(&get, "/ping", api(ping))
        .any(&get, "/api/v1/users", api(users))
        .any(&get, "/api/v1/users/:id", api(user))
        .any(&get, "/api/v1/orders", api(orders))
        .post("/api/v1/orders", api(place_order))
        .any(&get, "/api/v1/orders/:id", api(order))
        .any(&get, "/api/v1/wait", api(wait))
        .any(&get, "/api/v1/download", api(download))
        .post("/api/v1/upload", api(upload))
        .without_options_handling()
        .with_method_not_allowed();
    (only_exact, State(store), router, refused)
}

async fn ping(_: &mut Conn, State(store): Shared) -> Json<Ping> {
    Json(store.ping())
}

async fn users(
    _: &mut Conn,
    (State(store), Query(params)): (Shared, Query<UsersParams>),
) -> Result<Json<UserPage<'static>>, Error> {
    Ok(Json(store.users(params.validate()?)))
}

async fn user(
    _: &mut Conn,
    (State(store), Id(id)): (Shared, Id),
) -> Result<Json<&'static User>, Error> {
    Ok(Json(store.user(id)?))
}

async fn place_order(
    _: &mut Conn,
    (State(store), OrderBody(request)): (Shared, OrderBody),
) -> Result<(Status, Json<Order>), Error> {
    let order = store.place(request.validate()?)?;
    Ok((Status::Created, Json(order)))
}

async fn orders(
    _: &mut Conn,
    (State(store), Query(params)): (Shared, Query<PageParams>),
) -> Result<Json<OrderPage>, Error> {
    Ok(Json(store.orders(params.validate()?)))
}

async fn order(_: &mut Conn, (State(store), Id(id)): (Shared, Id)) -> Result<Json<Order>, Error> {
    Ok(Json(store.order(id)?))
}

async fn wait(_: &mut Conn, Query(params): Query<WaitParams>) -> Result<Json<Wait>, Error> {
    let wait = params.validate()?;
    sleep(wait.time()).await;
    Ok(Json(wait))
}

async fn download(
    _: &mut Conn,
    (State(store), Query(params)): (Shared, Query<DownloadParams>),
) -> Result<Json<UserPage<'static>>, Error> {
    Ok(Json(store.users(params.validate()?)))
}

async fn upload(_: &mut Conn, UploadBody(body): UploadBody) -> Json<Upload> {
    Json(Upload::of(&body))
}
