//! The contract's errors as ntex's, and its extractors' errors as the contract's.

use std::fmt;

use contract::ApiError;
use ntex::http::error::PayloadError as HttpPayloadError;
use ntex::http::{ResponseError, StatusCode, header};
use ntex::web::error::{
    ErrorContainer, ErrorRenderer, JsonError, JsonPayloadError, PathError, PayloadError,
    QueryPayloadError, StateExtractorError,
};
use ntex::web::{HttpRequest, HttpResponse};

/// Makes every error in an app an [`Error`], so that no client gets ntex's own plain text.
#[derive(Debug)]
pub(crate) struct ContractErrors;

impl ErrorRenderer for ContractErrors {
    type Container = Error;
}

/// An error that ntex can answer with.
#[derive(Debug)]
pub(crate) enum Error {
    Api(ApiError),
    /// A mistake in this program; its text is not for clients.
    Internal(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(error) => error.fmt(f),
            Self::Internal(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}

impl ResponseError for Error {
    fn error_response(&self) -> HttpResponse {
        let Self::Api(error) = self else {
            return HttpResponse::InternalServerError().finish();
        };
        let status =
            StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        if let Some(allow) = error.allow() {
            response.header(header::ALLOW, allow);
        }
        response.json(&error.body())
    }
}

impl ErrorContainer for Error {
    fn error_response(&self, _: &HttpRequest) -> HttpResponse {
        ResponseError::error_response(self)
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<JsonPayloadError> for Error {
    fn from(error: JsonPayloadError) -> Self {
        Self::Api(match error {
            JsonPayloadError::Overflow => ApiError::PayloadTooLarge,
            JsonPayloadError::ContentType => ApiError::UnsupportedMediaType,
            other => ApiError::MalformedJson(other.to_string().into()),
        })
    }
}

impl From<PayloadError> for Error {
    fn from(error: PayloadError) -> Self {
        Self::Api(match error {
            PayloadError::Payload(HttpPayloadError::Overflow) => ApiError::PayloadTooLarge,
            other => ApiError::MalformedJson(other.to_string().into()),
        })
    }
}

impl From<QueryPayloadError> for Error {
    fn from(error: QueryPayloadError) -> Self {
        Self::Api(ApiError::InvalidParameter(error.to_string().into()))
    }
}

impl From<PathError> for Error {
    fn from(error: PathError) -> Self {
        Self::Api(ApiError::InvalidParameter(error.to_string().into()))
    }
}

/// The app has no state of that type.
impl From<StateExtractorError> for Error {
    fn from(error: StateExtractorError) -> Self {
        Self::Internal(error.to_string())
    }
}

/// A response that can't be serialised.
impl From<JsonError> for Error {
    fn from(error: JsonError) -> Self {
        Self::Internal(error.to_string())
    }
}
