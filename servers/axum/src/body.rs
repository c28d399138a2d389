//! The JSON body of a request.

use axum::Json;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, header};
use contract::is_json;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// axum's [`Json`], also where white space stands before the semicolon of a parameter, as
/// in `application/json ;charset=utf-8`. RFC 9110 allows it and the contract with it; the
/// `mime` crate, by which [`Json`] tells the media type, does not.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Error;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, Error> {
        respell_media_type(request.headers_mut());
        let Json(value) = Json::from_request(request, state).await?;
        Ok(Self(value))
    }
}

/// Leaves alone what is in the usual spelling, and what isn't JSON at all.
fn respell_media_type(headers: &mut HeaderMap) {
    let has_space = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains([' ', '\t']) && is_json(Some(value)));
    if has_space {
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    use serde_json::Value;

    use super::*;

    /// What a body of this type is answered with; `None` where it is taken.
    async fn refusal(content_type: &'static str) -> Option<StatusCode> {
        let request = Request::post("/")
            .header(header::CONTENT_TYPE, content_type)
            .body(Body::from("{}"))
            .unwrap();
        let body = JsonBody::<Value>::from_request(request, &()).await;
        body.err().map(|error| error.into_response().status())
    }

    #[tokio::test]
    async fn every_spelling_of_the_media_type_is_taken() {
        for content_type in [
            "application/json",
            "Application/JSON",
            "application/json;charset=utf-8",
            "application/json; charset=utf-8",
            "application/json ; charset=utf-8",
            "application/json\t;\tcharset=utf-8",
        ] {
            assert_eq!(refusal(content_type).await, None, "{content_type:?}");
        }
    }

    #[tokio::test]
    async fn white_space_makes_nothing_else_json() {
        let refused = Some(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        for content_type in [
            "text/plain ; a=b",
            "application/jsonp ;a=b",
            "application json",
        ] {
            assert_eq!(refusal(content_type).await, refused, "{content_type:?}");
        }
    }
}
