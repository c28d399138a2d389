//! The contract's errors as xitca-web's, and the framework's errors as the contract's.

use std::convert::Infallible;
use std::fmt;

use contract::ApiError;
use xitca_web::WebContext;
use xitca_web::body::Body;
use xitca_web::error::{BodyOverFlow, Error, MatchError, MethodNotAllowed, Request};
use xitca_web::handler::Responder;
use xitca_web::handler::json::Json;
use xitca_web::http::header::{ALLOW, CONNECTION, HeaderValue};
use xitca_web::http::{StatusCode, WebResponse};
use xitca_web::service::Service;

/// An [`ApiError`] that xitca-web can answer with.
#[derive(Debug)]
pub(crate) struct ContractError {
    error: ApiError,
    allow: Option<HeaderValue>,
}

impl From<ApiError> for ContractError {
    fn from(error: ApiError) -> Self {
        Self { error, allow: None }
    }
}

impl From<&MethodNotAllowed> for ContractError {
    fn from(error: &MethodNotAllowed) -> Self {
        let methods: Vec<&str> = error.allowed_methods().iter().map(|m| m.as_str()).collect();
        Self {
            error: ApiError::MethodNotAllowed { allow: None },
            allow: HeaderValue::from_str(&methods.join(", ")).ok(),
        }
    }
}

impl From<ContractError> for Error {
    fn from(error: ContractError) -> Self {
        Self::from_service(error)
    }
}

impl fmt::Display for ContractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for ContractError {}

impl<'r> Service<WebContext<'r, Request<'r>>> for ContractError {
    type Response = WebResponse;
    type Error = Infallible;

    async fn call(&self, mut ctx: WebContext<'r, Request<'r>>) -> Result<WebResponse, Infallible> {
        let status =
            StatusCode::from_u16(self.error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = Json(self.error.body());
        match (body, status).respond(ctx.reborrow()).await {
            Ok(mut response) => {
                if let Some(allow) = &self.allow {
                    response.headers_mut().insert(ALLOW, allow.clone());
                }
                Ok(response)
            }
            Err(error) => error.call_dyn(ctx).await,
        }
    }
}

/// Middleware that makes the errors of router and extractors the contract's; the framework would
/// answer without a body.
///
/// xitca-http closes a connection whose request has an unread body. Its response doesn't say so,
/// so this adds `Connection: close`.
pub(crate) async fn as_the_contract<S, C>(
    service: &S,
    mut ctx: WebContext<'_, C>,
) -> Result<WebResponse, Error>
where
    C: 'static,
    S: for<'r> Service<WebContext<'r, C>, Response = WebResponse, Error = Error>,
{
    let mut response = match service.call(ctx.reborrow()).await {
        Ok(response) => response,
        Err(error) => {
            let error = translate(error.upcast()).map_or(error, Error::from);
            Service::call(&error, ctx.reborrow()).await?
        }
    };
    // An extractor takes the body, and drops it at the limit.
    let unread = !ctx.body().is_end_stream();
    if unread || response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    Ok(response)
}

/// None for an error that is the contract's already, or that no client causes.
fn translate(error: &(dyn std::error::Error + 'static)) -> Option<ContractError> {
    if let Some(error) = error.downcast_ref::<MethodNotAllowed>() {
        return Some(error.into());
    }
    let error = if error.is::<MatchError>() {
        ApiError::NotFound
    } else if error.is::<BodyOverFlow>() {
        ApiError::PayloadTooLarge
    } else if let Some(error) = error.downcast_ref::<serde_json::Error>() {
        ApiError::MalformedJson(error.to_string().into())
    } else if let Some(error) = error.downcast_ref::<serde::de::value::Error>() {
        // Of `Query` and `Params`.
        ApiError::InvalidParameter(error.to_string().into())
    } else {
        return None;
    };
    Some(error.into())
}
