//! The contract's errors as salvo answers.

use contract::ApiError;
use salvo::http::{ParseError, StatusCode};
use salvo::prelude::*;

/// What a handler fails with. A type of our own because neither [`ApiError`] nor
/// [`Scribe`] is.
#[derive(Debug)]
pub(crate) struct Error(ApiError);

impl Scribe for Error {
    fn render(self, res: &mut Response) {
        res.status_code(StatusCode::from_u16(self.0.status()).expect("the contract's are valid"));
        res.render(Json(self.0.body()));
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl Error {
    /// Where a path or a query could not be read.
    pub(crate) fn parameter(error: ParseError) -> Self {
        Self(ApiError::InvalidParameter(error.to_string().into()))
    }

    /// Where a body could not be read.
    pub(crate) fn body(error: ParseError) -> Self {
        Self(match error {
            ParseError::PayloadTooLarge => ApiError::PayloadTooLarge,
            ParseError::InvalidContentType => ApiError::UnsupportedMediaType,
            // Not JSON, or a body that broke off or whose chunks are malformed.
            other => ApiError::MalformedJson(other.to_string().into()),
        })
    }
}

/// The goal of the service's catcher: what salvo itself refuses, in the contract's envelope.
#[handler]
pub(crate) async fn refused(res: &mut Response, ctrl: &mut FlowCtrl) {
    let error = match res.status_code {
        Some(StatusCode::NOT_FOUND) => ApiError::NotFound,
        // salvo adds the `Allow` header, from the router, once the catcher is done.
        Some(StatusCode::METHOD_NOT_ALLOWED) => ApiError::MethodNotAllowed { allow: None },
        _ => return,
    };
    res.render(Error(error));
    ctrl.skip_rest();
}
