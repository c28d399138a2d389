//! The contract over real sockets.

testkit::tests!(env!("CARGO_BIN_EXE_server-xitca-web"));
