//! Tests of the contract over real sockets, the same for every server.
//!
//! A server's `tests/contract.rs` is one line, and gets one `#[test]` per group:
//!
//! ```text
//! testkit::tests!(env!("CARGO_BIN_EXE_server-NAME"));
//! ```
//!
//! Each group boots its own process of the program, with two workers on a free
//! loopback port, and panics with what was sent, what came back and what was due.
//! Responses are checked by the harness's referee, which holds the contract a second
//! time: the `contract` crate is not used, so that a fault in it can't hide itself.
//!
//! For a test of its own a server has [`Server::boot`], [`Server::send`] and
//! [`Connection`].

mod bad_requests;
mod conditions;
mod faults;
mod lacks;
mod openapi;
mod process;
mod responses;
mod server;

pub use bad_requests::survives_bad_requests;
pub use conditions::serves_under_the_same_conditions;
pub use openapi::openapi;
pub use process::{refuses_a_taken_port, refuses_bad_flags, shuts_down};
pub use referee::raw::{Connection, RawResponse};
pub use responses::keeps_the_contract;
pub use server::{Response, Server};

/// Makes one `#[test]` for each group of tests; takes the path of the server's binary.
#[macro_export]
macro_rules! tests {
    ($program:expr) => {
        $crate::tests!($program;
            keeps_the_contract, openapi, shuts_down,
            refuses_bad_flags, refuses_a_taken_port, survives_bad_requests,
            serves_under_the_same_conditions);
    };
    ($program:expr; $($group:ident),+) => {
        $(
            #[test]
            fn $group() {
                $crate::$group($program);
            }
        )+
    };
}
