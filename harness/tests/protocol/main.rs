//! `harness protocol` and `harness fuzz` over real sockets: a right server on nothing but the
//! standard library has its cells, and a server that is wrong in one way is found by the case, or
//! the mutated request, that is meant for it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fuzz;
mod matrix;
mod page;
#[path = "../cli/support.rs"]
#[allow(dead_code, reason = "the tests of the command line use the rest")]
mod support;
