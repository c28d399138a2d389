//! volo-http's extractors, with the contract's limit on a body and its errors.

use contract::{ApiError, MAX_BODY_BYTES, OrderRequest};
use http::request::Parts;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use volo_http::body::Body;
use volo_http::context::ServerContext;
use volo_http::error::server::{ExtractBodyError, GenericRejectionError};
use volo_http::server::extract::{FromContext, FromRequest, Json, Query};

use crate::error::Error;

/// [`Query`], failing as the contract says.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> FromContext for Params<T> {
    type Rejection = Error;

    async fn from_context(cx: &mut ServerContext, parts: &mut Parts) -> Result<Self, Error> {
        match Query::from_context(cx, parts).await {
            Ok(Query(params)) => Ok(Self(params)),
            // A parameter given twice; all else in a query is an optional string.
            Err(error) => Err(ApiError::InvalidParameter(error.to_string().into()).into()),
        }
    }
}

/// [`Json`] of a body of at most [`MAX_BODY_BYTES`].
pub(crate) struct OrderBody(pub(crate) OrderRequest);

impl FromRequest for OrderBody {
    type Rejection = Error;

    async fn from_request(cx: &mut ServerContext, parts: Parts, body: Body) -> Result<Self, Error> {
        let body = match Limited::new(body, MAX_BODY_BYTES).collect().await {
            Ok(body) => Full::new(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(ApiError::PayloadTooLarge.into());
            }
            // It broke off, or its chunks are malformed.
            Err(error) => return Err(ApiError::MalformedJson(error.to_string().into()).into()),
        };
        match Json::from_request(cx, parts, body).await {
            Ok(Json(order)) => Ok(Self(order)),
            Err(ExtractBodyError::Generic(GenericRejectionError::InvalidContentType)) => {
                Err(ApiError::UnsupportedMediaType.into())
            }
            Err(error) => Err(ApiError::MalformedJson(error.to_string().into()).into()),
        }
    }
}
