//! The contract over real sockets, and what salvo alone would answer otherwise.

use testkit::Server;

const PROGRAM: &str = env!("CARGO_BIN_EXE_server-salvo");

testkit::tests!(PROGRAM);

#[test]
fn an_empty_segment_makes_another_route() {
    let server = Server::boot(PROGRAM);
    for target in ["//ping", "/api//v1/users", "/api/v1//users/1", "/ping/?a=b"] {
        assert_eq!(server.get(target).status, 404, "{target}");
    }
}

#[test]
fn every_spelling_of_the_media_type_is_taken() {
    let server = Server::boot(PROGRAM);
    let order = br#"{"item_id":"SKU-001","qty":1}"#;
    for content_type in ["Application/JSON", "application/json;charset=utf-8"] {
        let answer = server.send("POST", "/api/v1/orders", Some(content_type), Some(order));
        assert_eq!(answer.status, 201, "{content_type:?}");
    }
}
