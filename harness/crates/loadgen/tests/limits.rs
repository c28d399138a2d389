//! Too few descriptors are named before the load begins. A file of its own, as the limit is
//! that of the whole process.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "loadgen/load_server/mod.rs"]
mod load_server;

use load_server::*;
use loadgen::{Config, Control, DriveError, drive};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn the_limit_that_would_do_is_named() {
    let server = TestServer::says(&response("200 OK", PONG));
    let limit = Rlimit {
        current: Some(64),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    let config = Config {
        connections: 100,
        ..config(server.addr)
    };
    let refused = drive(&config, &ping(), &Control::default()).unwrap_err();
    let DriveError::Descriptors {
        asked,
        needed,
        limit,
    } = refused
    else {
        panic!("{refused}");
    };
    assert_eq!((asked, limit), (100, 64));
    assert!((101..=250).contains(&needed));
    assert!(refused.to_string().contains(&format!("ulimit -n {needed}")));
    assert_eq!(server.seen(), 0);
}
