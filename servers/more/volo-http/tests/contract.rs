//! The contract over real sockets, on this server's own binary.

testkit::tests!(env!("CARGO_BIN_EXE_server-volo-http"));
