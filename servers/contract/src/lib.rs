//! What every server of this workspace serves, without any HTTP.
//!
//! A server adds its framework's router, extractors and JSON response type; the
//! rest is here, so that servers differ in nothing but the framework:
//!
//! - [`Store`]: users, catalogue and orders, made once at start;
//! - [`UsersParams`], [`PageParams`], [`WaitParams`], [`OrderRequest`]: what a framework's query and
//!   JSON extractors fill in, each turned by `validate` into a type that can't be wrong;
//! - [`ApiError`]: every error of the contract, with its status, code and body;
//! - [`Flags`], [`bind`]: the command line and the one way to take the port.
//!
//! The contract itself, in words, is this crate's README.

mod allocator;
#[cfg(feature = "count-allocations")]
mod counted;
mod error;
mod flags;
mod ledger;
mod order_request;
mod orders;
mod params;
mod sku;
mod store;
mod upload;
mod users;
mod wait;

use std::time::Duration;

pub use error::{ApiError, ErrorBody};
pub use flags::{Flags, Special, bind};
pub use order_request::{NewOrder, OrderRequest};
pub use orders::{Order, OrderPage};
pub use params::{
    DownloadParams, PageParams, PageQuery, UsersParams, UsersQuery, WaitParams, parse_id,
};
pub use sku::Sku;
pub use store::{Ping, Store};
pub use upload::{MAX_UPLOAD_BYTES, Upload};
pub use users::{Status, User, UserPage};
pub use wait::Wait;

/// How long a connection may bring no whole request head, whether it lies idle or sends one
/// slowly, where a framework can limit it. Longer than the minute after which proxies and load
/// balancers in front of a server usually let go of theirs: the side that sends the requests
/// should be the first to close, or one of them is lost now and then.
pub const HEAD_LIMIT: Duration = Duration::from_secs(75);

/// The largest body of an order, in bytes; a longer one is answered 413.
pub const MAX_BODY_BYTES: usize = 16 * 1024;

/// The longest body that a server passes on from its dependency, in bytes; a longer one is answered 502.
pub const MAX_UPSTREAM_BYTES: usize = 64 * 1024;

/// Whether a `Content-Type` names JSON: `application/json`, parameters allowed.
pub fn is_json(content_type: Option<&str>) -> bool {
    content_type
        .and_then(|value| value.split(';').next())
        .is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use super::is_json;

    #[test]
    fn json_is_one_media_type_whatever_its_parameters() {
        for right in [
            "application/json",
            "application/json; charset=utf-8",
            "application/json;charset=UTF-8",
            "Application/JSON",
            " application/json ;a=b",
        ] {
            assert!(is_json(Some(right)), "{right}");
        }
        for wrong in [
            "",
            "text/plain",
            "application/jsonx",
            "text/json",
            "text/x; application/json",
        ] {
            assert!(!is_json(Some(wrong)), "{wrong}");
        }
        assert!(!is_json(None));
    }
}
