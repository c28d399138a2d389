//! The contract's errors as trillium handlers.

use contract::ApiError;
use trillium::{Conn, Handler, Status};
use trillium_api::ApiConnExt;

/// What a handler or an extractor fails with, itself a handler that responds.
#[derive(Debug)]
pub(crate) struct Error(ApiError);

impl Handler for Error {
    async fn run(&self, conn: Conn) -> Conn {
        conn.with_json(&self.0.body())
            .with_status(self.0.status())
            .halt()
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<trillium::Error> for Error {
    fn from(error: trillium::Error) -> Self {
        Self(match error {
            trillium::Error::ReceivedBodyTooLong(_) => ApiError::PayloadTooLarge,
            // A body that broke off, or whose chunks are malformed.
            other => ApiError::MalformedJson(other.to_string().into()),
        })
    }
}

/// Runs before the router, which ignores slashes at both ends of a path: they make another route.
pub(crate) async fn only_exact(conn: Conn) -> Conn {
    let path = conn.path();
    if path.starts_with("//") || path.ends_with('/') {
        return Error(ApiError::NotFound).run(conn).await;
    }
    conn
}

/// Runs after the router: responds where it found no handler.
pub(crate) async fn refused(conn: Conn) -> Conn {
    let error = match conn.status() {
        None => ApiError::NotFound,
        // The router adds the `Allow` header.
        Some(Status::MethodNotAllowed) => ApiError::MethodNotAllowed { allow: None },
        Some(_) => return conn,
    };
    Error(error).run(conn).await
}
