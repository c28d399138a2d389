//! The contract's errors as poem answers.

use std::fmt;

use contract::ApiError;
use poem::error::{ParseJsonError, ReadBodyError, ResponseError};
use poem::http::header::ALLOW;
use poem::http::{HeaderValue, StatusCode};
use poem::web::Json;
use poem::{IntoResponse, Response};

/// What a handler fails with. A type of our own because neither [`ApiError`] nor
/// [`ResponseError`] is.
#[derive(Debug)]
pub(crate) struct Error(ApiError);

impl ResponseError for Error {
    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status()).expect("the contract's are valid")
    }

    fn as_response(&self) -> Response {
        let body = Json(self.0.body()).with_status(self.status());
        match self.0.allow() {
            None => body.into_response(),
            Some(allow) => body
                .with_header(ALLOW, HeaderValue::from_static(allow))
                .into_response(),
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

/// Every error as a response, so that no client gets poem's own plain text.
pub(crate) async fn in_envelope(error: poem::Error) -> Response {
    if error.is::<Error>() {
        return error.into_response();
    }
    let text = error.to_string().into();
    let of_body = error.is::<ParseJsonError>() || error.is::<ReadBodyError>();
    let error = match error.status() {
        StatusCode::NOT_FOUND => ApiError::NotFound,
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::PayloadTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ApiError::UnsupportedMediaType,
        // Not JSON, or a body that broke off or whose chunks are malformed.
        _ if of_body => ApiError::MalformedJson(text),
        // A parameter given twice; all else in a path or a query is an optional string.
        _ => ApiError::InvalidParameter(text),
    };
    Error(error).as_response()
}
