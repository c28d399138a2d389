//! The contract's errors as actix-web's, and its extractors' errors as the contract's.

use std::fmt;

use actix_web::error::{JsonPayloadError, PathError, QueryPayloadError, ResponseError};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use contract::ApiError;

/// An [`ApiError`] that actix-web can answer with.
#[derive(Debug)]
pub(crate) struct Error(ApiError);

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(allow) = self.0.allow() {
            response.insert_header((header::ALLOW, allow));
        }
        response.json(self.0.body())
    }
}

/// For [`actix_web::web::JsonConfig`].
pub(crate) fn from_json(error: JsonPayloadError, _: &HttpRequest) -> actix_web::Error {
    let error = match error {
        JsonPayloadError::Overflow { .. } | JsonPayloadError::OverflowKnownLength { .. } => {
            ApiError::PayloadTooLarge
        }
        JsonPayloadError::ContentType => ApiError::UnsupportedMediaType,
        other => ApiError::MalformedJson(other.to_string().into()),
    };
    Error(error).into()
}

/// Of a body that is too long or broke off.
pub(crate) fn from_bytes(error: &actix_web::Error) -> Error {
    Error(match error.as_response_error().status_code() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::PayloadTooLarge,
        _ => ApiError::MalformedJson(error.to_string().into()),
    })
}

/// For [`actix_web::web::QueryConfig`].
pub(crate) fn from_query(error: QueryPayloadError, _: &HttpRequest) -> actix_web::Error {
    Error(ApiError::InvalidParameter(error.to_string().into())).into()
}

/// For [`actix_web::web::PathConfig`].
pub(crate) fn from_path(error: PathError, _: &HttpRequest) -> actix_web::Error {
    Error(ApiError::InvalidParameter(error.to_string().into())).into()
}
