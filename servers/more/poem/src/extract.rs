//! poem's body extractors, with the contract's limits.

use contract::{MAX_BODY_BYTES, MAX_UPLOAD_BYTES, OrderRequest};
use poem::web::{Json, RequestBody};
use poem::{FromRequest, Request, Result};

pub(crate) struct OrderBody(pub(crate) OrderRequest);

impl<'a> FromRequest<'a> for OrderBody {
    async fn from_request(req: &'a Request, body: &mut RequestBody) -> Result<Self> {
        let bytes = body.take()?.into_bytes_limit(MAX_BODY_BYTES).await?;
        let Json(order) = Json::from_request(req, &mut RequestBody::new(bytes.into())).await?;
        Ok(Self(order))
    }
}

pub(crate) struct UploadBody(pub(crate) Vec<u8>);

impl<'a> FromRequest<'a> for UploadBody {
    async fn from_request(_: &'a Request, body: &mut RequestBody) -> Result<Self> {
        let bytes = body.take()?.into_bytes_limit(MAX_UPLOAD_BYTES).await?;
        Ok(Self(bytes.into()))
    }
}
