//! volo-http's extractors, with the contract's limit on a body and its errors.

use bytes::Bytes;
use contract::{ApiError, MAX_BODY_BYTES, MAX_UPLOAD_BYTES, OrderRequest};
use http::request::Parts;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use volo_http::body::Body;
use volo_http::context::ServerContext;
use volo_http::error::server::{ExtractBodyError, GenericRejectionError};
use volo_http::server::extract::{FromContext, FromRequest, Json, Query};

use crate::error::Error;

/// How deep a body may nest. sonic-rs, which is behind [`Json`], reads nested values recursively and
/// without a limit (its issue 232), so a deep body overflows the stack and ends the process.
const MAX_DEPTH: usize = 32;

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
        let body = read(body, MAX_BODY_BYTES).await?;
        if depth(&body) > MAX_DEPTH {
            let why = "it is nested more than 32 deep";
            return Err(ApiError::MalformedJson(why.into()).into());
        }
        match Json::from_request(cx, parts, Full::new(body)).await {
            Ok(Json(order)) => Ok(Self(order)),
            Err(ExtractBodyError::Generic(GenericRejectionError::InvalidContentType)) => {
                Err(ApiError::UnsupportedMediaType.into())
            }
            Err(error) => Err(ApiError::MalformedJson(error.to_string().into()).into()),
        }
    }
}

/// A body of at most [`MAX_UPLOAD_BYTES`].
pub(crate) struct UploadBody(pub(crate) Bytes);

impl FromRequest for UploadBody {
    type Rejection = Error;

    async fn from_request(_: &mut ServerContext, _: Parts, body: Body) -> Result<Self, Error> {
        read(body, MAX_UPLOAD_BYTES).await.map(Self)
    }
}

async fn read(body: Body, most: usize) -> Result<Bytes, Error> {
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::PayloadTooLarge.into()),
        // It broke off, or its chunks are malformed.
        Err(error) => Err(ApiError::MalformedJson(error.to_string().into()).into()),
    }
}

/// How deep this JSON nests. Where it isn't JSON, at least as deep as a parser gets.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            // Brackets in a string don't count; what a backslash escapes doesn't end it.
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => _ = bytes.next(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::depth;

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert_eq!(depth(br#"{"item_id":"SKU-001","qty":1}"#), 1);
        assert_eq!(depth(br#"{"a":"[[[\"[[","b":[{}]}"#), 3);
        assert_eq!(depth(br#"["\\",[]]"#), 2);
        assert_eq!(depth(b"]]]["), 1);
        assert_eq!(depth(b"7"), 0);
    }
}
