//! The errors of the contract and their one body.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

/// An error a server answers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiError {
    /// No such route, user or order.
    NotFound,
    /// The route exists, the method does not.
    MethodNotAllowed {
        /// The value of the `Allow` header, as in `"GET, POST"`, if the framework doesn't add it.
        allow: Option<&'static str>,
    },
    /// A number in the path or the query, or a status, is not in its range.
    InvalidParameter(Cow<'static, str>),
    /// The body is longer than its route takes: [`crate::MAX_BODY_BYTES`] or [`crate::MAX_UPLOAD_BYTES`].
    PayloadTooLarge,
    /// A POST whose `Content-Type` is not `application/json`.
    UnsupportedMediaType,
    /// The body is not JSON.
    MalformedJson(Cow<'static, str>),
    /// The body is JSON, but not an order that can be placed.
    InvalidOrder(Cow<'static, str>),
    /// Fewer units are left than were asked for; nothing was taken.
    OutOfStock,
    /// The server was started without [`crate::Flags::upstream`].
    UpstreamAbsent,
    /// The dependency could not be reached, or answered anything but 200.
    UpstreamFailed,
}

impl ApiError {
    /// The HTTP status, as a number.
    pub fn status(&self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::MethodNotAllowed { .. } => 405,
            Self::InvalidParameter(_) | Self::MalformedJson(_) => 400,
            Self::PayloadTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::InvalidOrder(_) => 422,
            Self::OutOfStock => 409,
            Self::UpstreamAbsent => 503,
            Self::UpstreamFailed => 502,
        }
    }

    /// The `code` member of the body.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::InvalidParameter(_) => "invalid_parameter",
            Self::PayloadTooLarge => "payload_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::MalformedJson(_) => "malformed_json",
            Self::InvalidOrder(_) => "invalid_order",
            Self::OutOfStock => "out_of_stock",
            Self::UpstreamAbsent => "upstream_absent",
            Self::UpstreamFailed => "upstream_failed",
        }
    }

    /// The value of the `Allow` header, for [`ApiError::MethodNotAllowed`].
    pub fn allow(&self) -> Option<&'static str> {
        match self {
            Self::MethodNotAllowed { allow } => *allow,
            _ => None,
        }
    }

    /// The body, to be serialised as JSON.
    pub fn body(&self) -> ErrorBody {
        ErrorBody {
            error: ErrorDetail {
                code: self.code(),
                message: self.to_string(),
            },
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("there is nothing here"),
            Self::MethodNotAllowed { .. } => f.write_str("this route takes the methods in Allow"),
            Self::InvalidParameter(why) | Self::InvalidOrder(why) | Self::MalformedJson(why) => {
                f.write_str(why)
            }
            Self::PayloadTooLarge => f.write_str("the body is longer than this route takes"),
            Self::UnsupportedMediaType => f.write_str("send Content-Type: application/json"),
            Self::OutOfStock => f.write_str("fewer units are left than asked for"),
            Self::UpstreamAbsent => f.write_str("start the server with --upstream HOST:PORT"),
            Self::UpstreamFailed => f.write_str("the upstream gave no valid response"),
        }
    }
}

impl std::error::Error for ApiError {}

/// The body of every error: `{"error":{"code":"…","message":"…"}}`.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Debug, Clone, Serialize)]
struct ErrorDetail {
    code: &'static str,
    message: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_error_has_its_row_of_the_contract() {
        let rows = [
            (ApiError::NotFound, 404, "not_found"),
            (
                ApiError::MethodNotAllowed { allow: Some("GET") },
                405,
                "method_not_allowed",
            ),
            (
                ApiError::InvalidParameter("why".into()),
                400,
                "invalid_parameter",
            ),
            (ApiError::PayloadTooLarge, 413, "payload_too_large"),
            (
                ApiError::UnsupportedMediaType,
                415,
                "unsupported_media_type",
            ),
            (ApiError::MalformedJson("why".into()), 400, "malformed_json"),
            (ApiError::InvalidOrder("why".into()), 422, "invalid_order"),
            (ApiError::OutOfStock, 409, "out_of_stock"),
            (ApiError::UpstreamAbsent, 503, "upstream_absent"),
            (ApiError::UpstreamFailed, 502, "upstream_failed"),
        ];
        for (error, status, code) in rows {
            assert_eq!(error.status(), status);
            let message = error.to_string();
            assert!(!message.is_empty(), "{code}");
            assert_eq!(
                serde_json::to_value(error.body()).unwrap(),
                json!({"error": {"code": code, "message": message}})
            );
            assert_eq!(error.allow(), (status == 405).then_some("GET"));
        }
    }
}
