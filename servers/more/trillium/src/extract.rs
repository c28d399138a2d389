//! What handlers take from a request.

use contract::{ApiError, MAX_BODY_BYTES, MAX_UPLOAD_BYTES, OrderRequest, is_json, parse_id};
use serde::de::DeserializeOwned;
use trillium::{Conn, KnownHeaderName};
use trillium_api::TryFromConn;
use trillium_router::RouterConnExt;

use crate::error::Error;

/// The `:id` of the path.
pub(crate) struct Id(pub(crate) u64);

impl TryFromConn for Id {
    type Error = Error;

    async fn try_from_conn(conn: &mut Conn) -> Result<Self, Error> {
        Ok(Self(parse_id(conn.param("id").unwrap_or_default())?))
    }
}

pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + Send + Sync + 'static> TryFromConn for Query<T> {
    type Error = Error;

    async fn try_from_conn(conn: &mut Conn) -> Result<Self, Error> {
        let params = serde_urlencoded::from_str(conn.querystring());
        // A parameter given twice; all else in a query is an optional string.
        Ok(Self(params.map_err(|error| {
            ApiError::InvalidParameter(error.to_string().into())
        })?))
    }
}

/// Not trillium-api's `Json`, whose error doesn't tell a body that is too long, and which ignores
/// what follows the JSON.
pub(crate) struct OrderBody(pub(crate) OrderRequest);

impl TryFromConn for OrderBody {
    type Error = Error;

    async fn try_from_conn(conn: &mut Conn) -> Result<Self, Error> {
        if !is_json(conn.request_headers().get_str(KnownHeaderName::ContentType)) {
            return Err(ApiError::UnsupportedMediaType.into());
        }
        let body = conn.request_body().with_max_len(MAX_BODY_BYTES as u64);
        let order = serde_json::from_slice(&body.read_bytes().await?);
        Ok(Self(order.map_err(|error| {
            ApiError::MalformedJson(error.to_string().into())
        })?))
    }
}

pub(crate) struct UploadBody(pub(crate) Vec<u8>);

impl TryFromConn for UploadBody {
    type Error = Error;

    async fn try_from_conn(conn: &mut Conn) -> Result<Self, Error> {
        let body = conn.request_body().with_max_len(MAX_UPLOAD_BYTES as u64);
        Ok(Self(body.read_bytes().await?))
    }
}
