//! The contract's routes. hyper has no router: one match on the path, one on the method.

use std::error::Error;

use contract::{
    ApiError, DownloadParams, MAX_BODY_BYTES, MAX_UPLOAD_BYTES, OrderRequest, PageParams, Store,
    Upload, UsersParams, WaitParams, is_json, parse_id,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Method, Request, StatusCode};
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use crate::response::{self, Answer};
use crate::upstream::Upstream;

/// A path the contract knows, with its parameter.
#[derive(Debug, PartialEq)]
enum Route<'path> {
    Ping,
    Users,
    User(&'path str),
    Orders,
    Order(&'path str),
    Wait,
    Download,
    Upload,
    Upstream,
}

impl<'path> Route<'path> {
    fn of(path: &'path str) -> Option<Self> {
        match path {
            "/ping" => Some(Self::Ping),
            "/api/v1/users" => Some(Self::Users),
            "/api/v1/orders" => Some(Self::Orders),
            "/api/v1/wait" => Some(Self::Wait),
            "/api/v1/download" => Some(Self::Download),
            "/api/v1/upload" => Some(Self::Upload),
            "/api/v1/upstream" => Some(Self::Upstream),
            _ => match path.rsplit_once('/')? {
                (_, "") => None,
                ("/api/v1/users", id) => Some(Self::User(id)),
                ("/api/v1/orders", id) => Some(Self::Order(id)),
                _ => None,
            },
        }
    }

    /// HEAD is answered as GET; hyper leaves the body out.
    fn allow(&self) -> &'static str {
        match self {
            Self::Orders => "GET, HEAD, POST",
            Self::Upload => "POST",
            _ => "GET, HEAD",
        }
    }
}

/// The body of a request, from a connection or from memory.
pub(crate) trait ReadBody:
    Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>
{
}

impl<B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>> ReadBody for B {}

/// Everything the server answers, over this store and with this dependency.
pub(crate) async fn app<B: ReadBody>(
    store: &'static Store,
    upstream: Option<&'static Upstream>,
    request: Request<B>,
) -> Answer {
    handle(store, upstream, request)
        .await
        .unwrap_or_else(|error| response::error(&error))
}

async fn handle<B: ReadBody>(
    store: &'static Store,
    upstream: Option<&'static Upstream>,
    request: Request<B>,
) -> Result<Answer, ApiError> {
    let (head, body) = request.into_parts();
    let route = Route::of(head.uri.path()).ok_or(ApiError::NotFound)?;
    let is_get = matches!(head.method, Method::GET | Method::HEAD);
    let query = head.uri.query();
    match route {
        Route::Ping if is_get => Ok(response::json(StatusCode::OK, &store.ping())),
        Route::Users if is_get => users(store, query),
        Route::User(id) if is_get => user(store, id),
        Route::Orders if is_get => orders(store, query),
        Route::Orders if head.method == Method::POST => {
            place_order(store, &head.headers, body).await
        }
        Route::Order(id) if is_get => order(store, id),
        Route::Wait if is_get => wait(query).await,
        Route::Download if is_get => download(store, query),
        Route::Upload if head.method == Method::POST => upload(body).await,
        // Boxed, so that the future of every other request stays small.
        Route::Upstream if is_get => Box::pin(pass_on(upstream)).await,
        other => Err(ApiError::MethodNotAllowed {
            allow: Some(other.allow()),
        }),
    }
}

fn users(store: &Store, query: Option<&str>) -> Result<Answer, ApiError> {
    let params: UsersParams = read_query(query)?;
    let page = store.users(params.validate()?);
    Ok(response::json(StatusCode::OK, &page))
}

fn user(store: &Store, id: &str) -> Result<Answer, ApiError> {
    let user = store.user(parse_id(id)?)?;
    Ok(response::json(StatusCode::OK, user))
}

fn orders(store: &Store, query: Option<&str>) -> Result<Answer, ApiError> {
    let params: PageParams = read_query(query)?;
    let page = store.orders(params.validate()?);
    Ok(response::json(StatusCode::OK, &page))
}

fn order(store: &Store, id: &str) -> Result<Answer, ApiError> {
    let order = store.order(parse_id(id)?)?;
    Ok(response::json(StatusCode::OK, &order))
}

async fn wait(query: Option<&str>) -> Result<Answer, ApiError> {
    let params: WaitParams = read_query(query)?;
    let wait = params.validate()?;
    sleep(wait.time()).await;
    Ok(response::json(StatusCode::OK, &wait))
}

fn download(store: &Store, query: Option<&str>) -> Result<Answer, ApiError> {
    let params: DownloadParams = read_query(query)?;
    let page = store.users(params.validate()?);
    Ok(response::json(StatusCode::OK, &page))
}

async fn upload<B: ReadBody>(body: B) -> Result<Answer, ApiError> {
    let body = read_body(body, MAX_UPLOAD_BYTES).await?;
    Ok(response::json(StatusCode::OK, &Upload::of(&body)))
}

async fn pass_on(upstream: Option<&Upstream>) -> Result<Answer, ApiError> {
    let upstream = upstream.ok_or(ApiError::UpstreamAbsent)?;
    let body = upstream.get().await.ok_or(ApiError::UpstreamFailed)?;
    Ok(response::json_bytes(StatusCode::OK, body))
}

async fn place_order<B: ReadBody>(
    store: &Store,
    headers: &HeaderMap,
    body: B,
) -> Result<Answer, ApiError> {
    let content_type = headers.get(CONTENT_TYPE);
    if !is_json(content_type.and_then(|value| value.to_str().ok())) {
        return Err(ApiError::UnsupportedMediaType);
    }
    let body = read_body(body, MAX_BODY_BYTES).await?;
    let request: OrderRequest = serde_json::from_slice(&body)
        .map_err(|error| ApiError::MalformedJson(error.to_string().into()))?;
    let order = store.place(request.validate()?)?;
    Ok(response::json(StatusCode::CREATED, &order))
}

/// Fails on a parameter given twice; all else fits optional strings.
fn read_query<T: DeserializeOwned>(query: Option<&str>) -> Result<T, ApiError> {
    serde_urlencoded::from_str(query.unwrap_or_default())
        .map_err(|error| ApiError::InvalidParameter(error.to_string().into()))
}

async fn read_body<B: ReadBody>(body: B, most: usize) -> Result<Bytes, ApiError> {
    // What is announced as too long needn't be read to be refused.
    if body.size_hint().lower() > most as u64 {
        return Err(ApiError::PayloadTooLarge);
    }
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::PayloadTooLarge),
        // Broken off, or its chunks are malformed.
        Err(error) => Err(ApiError::MalformedJson(error.to_string().into())),
    }
}

#[cfg(test)]
mod tests {
    use super::Route;

    #[test]
    fn a_path_is_a_route_only_as_a_whole() {
        assert_eq!(Route::of("/ping"), Some(Route::Ping));
        assert_eq!(Route::of("/api/v1/users"), Some(Route::Users));
        assert_eq!(Route::of("/api/v1/users/12"), Some(Route::User("12")));
        assert_eq!(Route::of("/api/v1/orders/abc"), Some(Route::Order("abc")));
        assert_eq!(Route::of("/api/v1/wait"), Some(Route::Wait));
        for path in [
            "",
            "/api/v1/wait/",
            "/api/v1/wait/1",
            "*",
            "/",
            "/ping/",
            "//ping",
            "/pings",
            "/api/v1/users/",
            "/api/v1/users/1/",
            "/api/v1/users/1/2",
            "/api/v1//1",
            "/api/v1",
        ] {
            assert_eq!(Route::of(path), None, "{path}");
        }
    }
}
