//! The contract's routes and their handlers.

use std::convert::Infallible;
use std::future::ready;

use contract::{
    ApiError, DownloadParams, MAX_BODY_BYTES, MAX_UPLOAD_BYTES, OrderRequest, PageParams, Store,
    Upload, UsersParams, WaitParams, parse_id,
};
use tokio::time::sleep;
use warp::http::StatusCode;
use warp::hyper::body::Bytes;
use warp::path::FullPath;
use warp::reply::{Json, WithStatus, json, with_status};
use warp::{Filter, Rejection, Reply, any, body, get, head, header, path, post, query, reject};

use crate::error::{Error, refused};

/// Everything the server answers, over this store.
pub(crate) fn routes(
    store: &'static Store,
) -> impl Filter<Extract = (impl Reply,), Error = Infallible> + Clone {
    let store = any().map(move || store);
    // Without a HEAD of its own, a route would answer 405.
    let get = get().or(head()).unify();

    let ping = path!("ping");
    let users = path!("api" / "v1" / "users");
    let user = path!("api" / "v1" / "users" / String);
    let orders = path!("api" / "v1" / "orders");
    let order = path!("api" / "v1" / "orders" / String);
    let wait = path!("api" / "v1" / "wait");
    let download = path!("api" / "v1" / "download");
    let upload = path!("api" / "v1" / "upload");

    let list_users = users.and(get).and(query()).and(store).map(list_users);
    let list_orders = orders.and(get).and(query()).and(store).map(list_orders);
    let place_order = orders.and(post()).and(order_body()).and(store);
    let place_order = place_order.map(self::place_order);

    let show_wait = wait.and(get).and(query()).then(show_wait);
    let list_download = download.and(get).and(query()).and(store);
    let list_download = list_download.map(self::list_download);
    let limit = body::content_length_limit(MAX_UPLOAD_BYTES as u64);
    let take_upload = upload.and(post()).and(limit).and(body::bytes());
    let take_upload = take_upload.map(self::take_upload);

    let known = (ping.and(get).and(store).map(show_ping))
        .or(list_users.recover(refused))
        .or(user.and(get).and(store).map(show_user))
        .or(list_orders.recover(refused))
        .or(place_order.recover(refused))
        .or(order.and(get).and(store).map(show_order))
        .or(show_wait.recover(refused))
        .or(list_download.recover(refused))
        .or(take_upload.recover(refused))
        // What is left has one of the paths and another method.
        .or(ping.or(users).unify().map(|| other_method("GET, HEAD")))
        .or(wait.or(download).unify().map(|| other_method("GET, HEAD")))
        .or(upload.map(|| other_method("POST")))
        .or(user
            .or(order)
            .unify()
            .map(|_: String| other_method("GET, HEAD")))
        .or(orders.map(|| other_method("GET, HEAD, POST")));
    (no_trailing_slash().and(known)).or(any().map(|| Error::from(ApiError::NotFound)))
}

/// To warp `/ping/` is `/ping`; to the contract it's a route that isn't there.
fn no_trailing_slash() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    path::full()
        .and_then(|path: FullPath| {
            let trailing = path.as_str().ends_with('/');
            ready(if trailing { Err(reject()) } else { Ok(()) })
        })
        .untuple_one()
}

/// warp's JSON body, limited in size. The header must be there: warp would take a body without one for JSON.
fn order_body() -> impl Filter<Extract = (OrderRequest,), Error = Rejection> + Copy {
    let typed = header("content-type").map(|_: String| ()).untuple_one();
    body::content_length_limit(MAX_BODY_BYTES as u64)
        .and(typed)
        .and(body::json())
}

fn other_method(allow: &'static str) -> Error {
    ApiError::MethodNotAllowed { allow: Some(allow) }.into()
}

fn show_ping(store: &'static Store) -> Json {
    json(&store.ping())
}

fn list_users(params: UsersParams, store: &'static Store) -> Result<Json, Error> {
    Ok(json(&store.users(params.validate()?)))
}

fn show_user(id: String, store: &'static Store) -> Result<Json, Error> {
    Ok(json(store.user(parse_id(&id)?)?))
}

fn place_order(request: OrderRequest, store: &'static Store) -> Result<WithStatus<Json>, Error> {
    let order = store.place(request.validate()?)?;
    Ok(with_status(json(&order), StatusCode::CREATED))
}

fn list_orders(params: PageParams, store: &'static Store) -> Result<Json, Error> {
    Ok(json(&store.orders(params.validate()?)))
}

fn show_order(id: String, store: &'static Store) -> Result<Json, Error> {
    Ok(json(&store.order(parse_id(&id)?)?))
}

async fn show_wait(params: WaitParams) -> Result<Json, Error> {
    let wait = params.validate()?;
    sleep(wait.time()).await;
    Ok(json(&wait))
}

fn list_download(params: DownloadParams, store: &'static Store) -> Result<Json, Error> {
    Ok(json(&store.users(params.validate()?)))
}

fn take_upload(body: Bytes) -> Json {
    json(&Upload::of(&body))
}
