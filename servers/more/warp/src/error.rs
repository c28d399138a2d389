//! The contract's errors as warp replies.

use contract::ApiError;
use warp::Rejection;
use warp::body::BodyDeserializeError;
use warp::http::header::ALLOW;
use warp::http::{HeaderValue, StatusCode};
use warp::reject::{InvalidHeader, MissingHeader};
use warp::reject::{InvalidQuery, MethodNotAllowed, PayloadTooLarge, UnsupportedMediaType};
use warp::reply::{Reply, Response, json, with_status};

/// What a handler fails with. A reply and no rejection: the route is known by then, so none of the
/// others has to be tried.
pub(crate) struct Error(ApiError);

impl Reply for Error {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status()).expect("the contract's are valid");
        let mut response = with_status(json(&self.0.body()), status).into_response();
        if let Some(allow) = self.0.allow() {
            let allow = HeaderValue::from_static(allow);
            response.headers_mut().insert(ALLOW, allow);
        }
        response
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

/// What warp's filters reject a route's request with. Another path or method is left to the next route.
pub(crate) async fn refused(rejection: Rejection) -> Result<Error, Rejection> {
    let other_method = rejection.find::<MethodNotAllowed>().is_some();
    if rejection.is_not_found() || other_method {
        return Err(rejection);
    }
    let no_type = rejection.find::<MissingHeader>().is_some()
        || rejection.find::<InvalidHeader>().is_some()
        || rejection.find::<UnsupportedMediaType>().is_some();
    Ok(Error(if no_type {
        ApiError::UnsupportedMediaType
    } else if rejection.find::<PayloadTooLarge>().is_some() {
        ApiError::PayloadTooLarge
    } else if rejection.find::<InvalidQuery>().is_some() {
        // A parameter given twice; all else in a query is an optional string.
        ApiError::InvalidParameter("a parameter is given once".into())
    } else if let Some(error) = rejection.find::<BodyDeserializeError>() {
        ApiError::MalformedJson(error.to_string().into())
    } else {
        // No body or one in chunks, or one that broke off.
        ApiError::MalformedJson("send a whole body with its Content-Length".into())
    }))
}
