//! The contract's errors as Rocket answers.

use contract::ApiError;
use rocket::http::Status;
use rocket::response::{self, Responder};
use rocket::serde::json::{self, Json};
use rocket::{Request, catch};

/// What a handler fails with. A type of our own because neither [`ApiError`] nor
/// [`Responder`] is.
#[derive(Debug)]
pub(crate) struct Error(ApiError);

impl<'r> Responder<'r, 'static> for Error {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        let status = Status::new(self.0.status());
        let mut response = (status, Json(self.0.body())).respond_to(request)?;
        if let Some(allow) = self.0.allow() {
            response.set_raw_header("Allow", allow);
        }
        Ok(response)
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<json::Error<'_>> for Error {
    fn from(error: json::Error<'_>) -> Self {
        Self(match error {
            // Over the limit `json`, told by its kind only.
            json::Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                ApiError::PayloadTooLarge
            }
            // Not JSON or not UTF-8, or a body that broke off.
            other => ApiError::MalformedJson(other.to_string().into()),
        })
    }
}

#[catch(404)]
pub(crate) fn not_found() -> Error {
    ApiError::NotFound.into()
}

/// A method that Rocket doesn't know.
#[catch(400)]
pub(crate) fn bad_request() -> Error {
    ApiError::InvalidParameter("the request can't be understood".into()).into()
}
