//! The contract's errors as axum answers.

use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use contract::ApiError;

/// What a handler fails with, and what the extractors reject a request with, so that no client
/// gets axum's own plain text.
pub(crate) struct Error(ApiError);

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status()).expect("the contract's are valid");
        (status, Json(self.0.body())).into_response()
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

/// An id that isn't UTF-8 once percent-decoded; all else in a path is a string.
impl From<PathRejection> for Error {
    fn from(rejection: PathRejection) -> Self {
        Self(ApiError::InvalidParameter(rejection.body_text().into()))
    }
}

/// A parameter given twice; all else in a query is an optional string.
impl From<QueryRejection> for Error {
    fn from(rejection: QueryRejection) -> Self {
        Self(ApiError::InvalidParameter(rejection.body_text().into()))
    }
}

/// Over `DefaultBodyLimit`, or a body that broke off.
impl From<BytesRejection> for Error {
    fn from(rejection: BytesRejection) -> Self {
        Self(match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ApiError::PayloadTooLarge,
            _ => ApiError::MalformedJson(rejection.body_text().into()),
        })
    }
}

impl From<JsonRejection> for Error {
    fn from(rejection: JsonRejection) -> Self {
        let text = rejection.body_text().into();
        Self(match rejection {
            JsonRejection::MissingJsonContentType(_) => ApiError::UnsupportedMediaType,
            JsonRejection::JsonDataError(_) => ApiError::InvalidOrder(text),
            // Over `DefaultBodyLimit`, told by its status only.
            other if other.status() == StatusCode::PAYLOAD_TOO_LARGE => ApiError::PayloadTooLarge,
            // Not JSON, or a body that broke off or whose chunks are malformed.
            _ => ApiError::MalformedJson(text),
        })
    }
}
