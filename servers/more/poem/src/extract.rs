//! poem's JSON extractor, with the contract's limit on a body.

use contract::{MAX_BODY_BYTES, OrderRequest};
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
