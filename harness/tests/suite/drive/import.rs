//! `harness import`: what it writes can be sent.

use std::fs;
use std::path::Path;

use crate::drive::load_server::{Act, TestServer, response};
use crate::drive::program::{harness, said};

const OPENAPI: &str = r##"
openapi: 3.1.0
info: { title: Notes, version: "1" }
servers: [{ url: "http://127.0.0.1:8080/v1" }]
paths:
  /notes/{id}:
    get:
      operationId: readNote
      parameters:
        - { name: id, in: path, required: true, schema: { type: integer, minimum: 1 } }
        - { name: X-Api-Key, in: header, required: true, schema: { type: string } }
  /notes:
    post:
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              required: [text]
              properties: { text: { type: string, example: "milk & \"bread\"" } }
"##;

const HAR: &str = r#"{"log":{"version":"1.2","creator":{"name":"x","version":"1"},"entries":[
 {"request":{"method":"GET","url":"https://notes.example/notes?page=1","headers":
  [{"name":"Cookie","value":"sid=hidden-value"},{"name":"Accept","value":"*/*"}]},"response":{"status":200}}]}}"#;

fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn an_imported_workload_is_driven() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("notes.toml").display().to_string();
    for (file, left_out) in [
        (
            write(dir.path(), "a.yaml", OPENAPI),
            "GET /notes/{id}: the header X-Api-Key, which may be secret",
        ),
        (
            write(dir.path(), "b.har", HAR),
            "the header Cookie, which may be secret",
        ),
    ] {
        let text = said(0, harness(&["import", &file, "-o", &out]));
        assert!(text.contains(&format!("left out: {left_out}")), "{text}");
        // Each response differs from the last.
        let server = TestServer::start(|n, _| {
            let body = format!("{{\"n\":{n}}}");
            vec![Act::Write(response("200 OK", &body).into())]
        });
        let url = format!("http://{}", server.addr);
        let drive = ["drive", "-n", "50", "-c", "2", "--workload", &out];
        let text = said(0, harness(&[&drive[..], &["--any-body", &url]].concat()));
        assert!(text.contains("workload notes"), "{text}");
        assert!(text.contains("50 valid"), "{text}");
        said(1, harness(&[&drive[..], &[&url]].concat()));
        fs::remove_file(&out).unwrap();
    }
}

#[test]
fn an_import_to_stdout_is_the_workload_alone() {
    let dir = tempfile::tempdir().unwrap();
    let json: serde_json::Value = serde_json::json!({
        "openapi": "3.0.0", "paths": {"/a": {"get": {}}, "/b": {"trace": {}}},
    });
    let file = write(dir.path(), "a.json", &json.to_string());
    let output = harness(&["import", &file]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        text,
        "about = \"Every operation of a service, equally often\"\n\n[[request]]\npath = \"/a\"\n"
    );
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("left out: TRACE /b: a workload can't send TRACE"),
        "{said}"
    );
}

#[test]
fn what_can_not_be_imported_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let good = write(dir.path(), "good.har", HAR);
    let taken = write(dir.path(), "taken.toml", "");
    for (status, name, text, more, words) in [
        (
            2,
            "a.json",
            r#"{"swagger":"2.0"}"#,
            &[][..],
            "convert it to OpenAPI 3 first",
        ),
        (2, "b.json", "{\"openapi\":", &[], "neither JSON nor YAML"),
        (2, "c.yaml", "a: [b", &[], "neither JSON nor YAML"),
        (
            2,
            "d.yaml",
            "some: text",
            &[],
            "neither an OpenAPI document nor a HAR file",
        ),
        (
            1,
            "e.json",
            r#"{"openapi":"3.1.0","paths":{}}"#,
            &[],
            "there is no request to import",
        ),
        (
            2,
            "f.json",
            r#"{"openapi":"3.1.0","paths":{}}"#,
            &["--host", "x"],
            "only a HAR file",
        ),
        (
            2,
            "g.har",
            HAR,
            &["--host", "x.example"],
            "known: notes.example",
        ),
        (2, "h.har", HAR, &["-o", "Bad Name.toml"], "lowercase"),
        (2, "i.har", HAR, &["-o", &taken], "exists"),
    ] {
        let file = write(dir.path(), name, text);
        let text = said(status, harness(&[&["import", &file], more].concat()));
        assert!(text.contains(words), "{words}: {text}");
    }
    said(2, harness(&["import", "no/such/file"]));
    let kept = said(0, harness(&["import", &good, "--keep-headers"]));
    assert!(kept.contains("hidden-value"), "{kept}");
}
