//! The contract's routes and their handlers.

use contract::{
    ApiError, DownloadParams, MAX_UPLOAD_BYTES, Order, OrderPage, OrderRequest, PageParams, Ping,
    Store, Upload, User, UserPage, UsersParams, Wait, WaitParams, parse_id,
};
use rocket::data::ToByteUnit;
use rocket::http::{Method, Status};
use rocket::route::{Handler, Outcome};
use rocket::serde::json::{self, Json};
use rocket::tokio::time::sleep;
use rocket::{Build, Config, Data, Request, Rocket, Route, State, catchers, get, post, routes};

use crate::error::{self, Error};

type Shared = State<&'static Store>;

/// Everything the server answers, over this store.
pub(crate) fn rocket(config: Config, store: &'static Store) -> Rocket<Build> {
    rocket::custom(config)
        .manage(store)
        .mount("/", routes![ping, users, user, orders, order])
        .mount("/", routes![place_order, wrong_media_type])
        .mount("/", routes![wait, download, upload])
        .mount("/", other_methods("/ping", "GET, HEAD"))
        .mount("/", other_methods("/api/v1/users", "GET, HEAD"))
        .mount("/", other_methods("/api/v1/users/<id>", "GET, HEAD"))
        .mount("/", other_methods("/api/v1/orders", "GET, HEAD, POST"))
        .mount("/", other_methods("/api/v1/orders/<id>", "GET, HEAD"))
        .mount("/", other_methods("/api/v1/wait", "GET, HEAD"))
        .mount("/", other_methods("/api/v1/download", "GET, HEAD"))
        .mount("/", other_methods("/api/v1/upload", "POST"))
        .register("/", catchers![error::not_found, error::bad_request])
}

#[get("/ping")]
fn ping(store: &Shared) -> Json<Ping> {
    Json(store.ping())
}

#[get("/api/v1/users?<status>&<limit>&<page>")]
fn users(
    store: &Shared,
    status: Option<&str>,
    limit: Option<&str>,
    page: Option<&str>,
) -> Result<Json<UserPage<'static>>, Error> {
    let params = UsersParams::from_texts(status, limit, page);
    Ok(Json(store.users(params.validate()?)))
}

#[get("/api/v1/users/<id>")]
fn user(store: &Shared, id: &str) -> Result<Json<&'static User>, Error> {
    Ok(Json(store.user(parse_id(id)?)?))
}

#[post("/api/v1/orders", format = "json", data = "<request>")]
fn place_order(
    store: &Shared,
    request: Result<Json<OrderRequest>, json::Error<'_>>,
) -> Result<(Status, Json<Order>), Error> {
    let order = store.place(request?.into_inner().validate()?)?;
    Ok((Status::Created, Json(order)))
}

/// An order in another format, which would be a 404 without this.
#[post("/api/v1/orders", rank = 2)]
fn wrong_media_type() -> Error {
    ApiError::UnsupportedMediaType.into()
}

#[get("/api/v1/orders?<limit>&<page>")]
fn orders(
    store: &Shared,
    limit: Option<&str>,
    page: Option<&str>,
) -> Result<Json<OrderPage>, Error> {
    let params = PageParams::from_texts(limit, page);
    Ok(Json(store.orders(params.validate()?)))
}

#[get("/api/v1/orders/<id>")]
fn order(store: &Shared, id: &str) -> Result<Json<Order>, Error> {
    Ok(Json(store.order(parse_id(id)?)?))
}

#[get("/api/v1/wait?<ms>")]
async fn wait(ms: Option<&str>) -> Result<Json<Wait>, Error> {
    let wait = WaitParams::from_texts(ms).validate()?;
    sleep(wait.time()).await;
    Ok(Json(wait))
}

#[get("/api/v1/download?<limit>&<page>")]
fn download(
    store: &Shared,
    limit: Option<&str>,
    page: Option<&str>,
) -> Result<Json<UserPage<'static>>, Error> {
    let params = DownloadParams::from_texts(limit, page);
    Ok(Json(store.users(params.validate()?)))
}

#[post("/api/v1/upload", data = "<body>")]
async fn upload(body: Data<'_>) -> Result<Json<Upload>, Error> {
    let body = body.open(MAX_UPLOAD_BYTES.bytes()).into_bytes().await;
    // It broke off, or its chunks are malformed.
    let body = body.map_err(|error| ApiError::MalformedJson(error.to_string().into()))?;
    match body.is_complete() {
        true => Ok(Json(Upload::of(&body))),
        false => Err(ApiError::PayloadTooLarge.into()),
    }
}

/// A route for every method that `path` doesn't have: Rocket itself would answer 404.
fn other_methods(path: &'static str, allow: &'static str) -> Vec<Route> {
    use Method::{Connect, Delete, Get, Head, Options, Patch, Post, Put, Trace};
    [Get, Put, Post, Delete, Options, Head, Trace, Connect, Patch]
        .into_iter()
        .filter(|method| !allow.contains(method.as_str()))
        .map(|method| Route::new(method, path, OtherMethod { allow }))
        .collect()
}

#[derive(Clone)]
struct OtherMethod {
    allow: &'static str,
}

#[rocket::async_trait]
impl Handler for OtherMethod {
    async fn handle<'r>(&self, request: &'r Request<'_>, _: Data<'r>) -> Outcome<'r> {
        let allow = Some(self.allow);
        Outcome::from(request, Error::from(ApiError::MethodNotAllowed { allow }))
    }
}
