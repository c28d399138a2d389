//! The contract's errors as volo-http answers.

use contract::ApiError;
use http::header::ALLOW;
use http::{HeaderValue, StatusCode};
use volo_http::response::Response;
use volo_http::server::IntoResponse;
use volo_http::server::extract::Json;

/// What a handler or an extractor fails with. A type of our own because neither [`ApiError`] nor
/// [`IntoResponse`] is.
pub(crate) struct Error(pub(crate) ApiError);

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status()).expect("the contract's are valid");
        let mut response = (status, Json(self.0.body())).into_response();
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
