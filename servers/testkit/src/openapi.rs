//! The server and the contract's OpenAPI document held against each other.
//!
//! Every answer the document names is provoked and must fit its schema, every limit it names is
//! tried on both sides, and its errors are those of the contract's README.

use std::collections::BTreeSet;

use referee::Dependency;
use serde_json::{Value, json};

use crate::faults::Faults;
use crate::lacks::lacks;
use crate::{Response, Server};

const DOCUMENT: &str = include_str!("../../contract/openapi.yaml");
const README: &str = include_str!("../../contract/README.md");
const JSON: &str = "application/json";
const ORDERS: &str = "/api/v1/orders";
const UPLOAD: &str = "/api/v1/upload";
const UPSTREAM: &str = "/api/v1/upstream";

/// An answer of the document, and a request that brings it.
struct Case {
    method: &'static str,
    /// As the document has it.
    path: &'static str,
    status: &'static str,
    target: &'static str,
    content_type: Option<&'static str>,
    body: Option<Vec<u8>>,
}

fn get(path: &'static str, status: &'static str, target: &'static str) -> Case {
    Case {
        method: "get",
        path,
        status,
        target,
        content_type: None,
        body: None,
    }
}

fn post(status: &'static str, content_type: &'static str, body: impl Into<Vec<u8>>) -> Case {
    Case {
        method: "post",
        path: ORDERS,
        status,
        target: ORDERS,
        content_type: Some(content_type),
        body: Some(body.into()),
    }
}

fn upload(status: &'static str, body: Vec<u8>) -> Case {
    Case {
        path: UPLOAD,
        target: UPLOAD,
        ..post(status, "application/octet-stream", body)
    }
}

fn cases() -> Vec<Case> {
    let limited = r#"{"item_id":"SKU-LIMITED","qty":1000}"#;
    vec![
        get("/ping", "200", "/ping"),
        get(
            "/api/v1/users",
            "200",
            "/api/v1/users?status=pending&limit=100&page=20",
        ),
        get("/api/v1/users", "200", "/api/v1/users?page=1000000"),
        get("/api/v1/users", "400", "/api/v1/users?status=none"),
        get("/api/v1/users/{id}", "200", "/api/v1/users/9999"),
        get("/api/v1/users/{id}", "400", "/api/v1/users/-1"),
        get("/api/v1/users/{id}", "404", "/api/v1/users/0"),
        post("201", JSON, r#"{"item_id":"SKU-099","qty":1000}"#),
        post("201", JSON, limited),
        post("409", JSON, limited),
        post("400", JSON, r#"{"item_id":"#),
        post("413", JSON, vec![b' '; 16_385]),
        post("415", "text/plain", limited),
        post("422", JSON, r#"{"item_id":"SKU-1000","qty":1}"#),
        get(ORDERS, "200", "/api/v1/orders?limit=2"),
        get(ORDERS, "400", "/api/v1/orders?limit=x"),
        get("/api/v1/orders/{id}", "200", "/api/v1/orders/1"),
        get("/api/v1/orders/{id}", "400", "/api/v1/orders/x"),
        get("/api/v1/orders/{id}", "404", "/api/v1/orders/3"),
        get("/api/v1/wait", "200", "/api/v1/wait?ms=1"),
        get("/api/v1/wait", "400", "/api/v1/wait?ms=x"),
        get(
            "/api/v1/download",
            "200",
            "/api/v1/download?limit=1000&page=10",
        ),
        get("/api/v1/download", "400", "/api/v1/download?page=0"),
        get("/api/v1/compressed", "200", "/api/v1/compressed?limit=100"),
        get("/api/v1/compressed", "400", "/api/v1/compressed?page=0"),
        upload("200", vec![255; 65_536]),
        upload("413", vec![255; 65_537]),
        get(UPSTREAM, "503", UPSTREAM),
    ]
}

/// Those of a server that has a dependency.
fn upstream_cases() -> Vec<Case> {
    vec![
        get(UPSTREAM, "200", UPSTREAM),
        get(UPSTREAM, "502", UPSTREAM),
    ]
}

/// The server is as `servers/contract/openapi.yaml` says, and that says it all.
///
/// # Panics
/// With all in which they differ.
pub fn openapi(program: &str) {
    let document = &read(DOCUMENT);
    let server = Server::boot(program);
    let mut faults = Faults::default();
    let cases = cases();
    let upstream_cases = upstream_cases();
    let all: Vec<&Case> = cases.iter().chain(&upstream_cases).collect();
    names_what_is_tried(document, &all, &mut faults);
    names_every_error(document, &mut faults);
    let lacks: Vec<String> = lacks()
        .iter()
        .map(|route| format!("/api/v1/{route}"))
        .collect();
    let has = |path: &str| !lacks.iter().any(|lacks| lacks == path);
    for case in cases.iter().filter(|case| has(case.path)) {
        is_as_named(document, &server, case, &mut faults);
    }
    if has(UPSTREAM) {
        let dependency = Dependency::start().expect("loopback has a free port");
        let addr = dependency.addr().to_string();
        let server = Server::boot_flagged(program, &["--upstream", &addr]);
        for case in &upstream_cases {
            let status = if case.status == "200" { 200 } else { 500 };
            dependency.answer(status, &json!({}));
            is_as_named(document, &server, case, &mut faults);
        }
    }
    let answer = server.send("DELETE", "/ping", None, None);
    let response = &document["components"]["responses"]["MethodNotAllowed"];
    fits(
        document,
        response,
        "405",
        ("DELETE /ping", &answer),
        &mut faults,
    );
    for (path, item) in object(&document["paths"]).filter(|(path, _)| has(path)) {
        limits_of_path(document, &server, path, &item["get"], &mut faults);
    }
    limits_of_order(document, &server, &mut faults);
    faults.assert_none();
}

/// The answer to this request is that of the document.
fn is_as_named(document: &Value, server: &Server, case: &Case, faults: &mut Faults) {
    let answer = server.send(
        &case.method.to_uppercase(),
        case.target,
        case.content_type,
        case.body.as_deref(),
    );
    let response = &document["paths"][case.path][case.method]["responses"][case.status];
    let request = format!("{} {} ({})", case.method, case.target, case.status);
    fits(document, response, case.status, (&request, &answer), faults);
}

fn read(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("openapi.yaml: {error}"))
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// What a reference leads to.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            let found = document.pointer(reference.trim_start_matches('#'));
            resolve(
                document,
                found.unwrap_or_else(|| panic!("{reference} leads nowhere")),
            )
        }
        None => value,
    }
}

/// The answers it names are those provoked here: none is promised that does not come.
fn names_what_is_tried(document: &Value, cases: &[&Case], faults: &mut Faults) {
    let tried: BTreeSet<_> = cases
        .iter()
        .map(|case| format!("{} {} {}", case.method, case.path, case.status))
        .collect();
    let mut named = BTreeSet::new();
    for (path, item) in object(&document["paths"]) {
        for (method, operation) in object(item) {
            for (status, _) in object(&operation["responses"]) {
                named.insert(format!("{method} {path} {status}"));
            }
        }
    }
    faults.check(named == tried, || {
        format!("answers of the document\n  got {named:?}\n  due {tried:?}")
    });
}

/// Status and code of each error, as the README's table has them.
fn names_every_error(document: &Value, faults: &mut Faults) {
    let due: BTreeSet<(String, String)> = README
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let code = cells.get(3)?.strip_prefix('`')?.strip_suffix('`')?;
            let is_row = cells[1].parse::<u32>().is_ok() && cells[2].len() == 3;
            is_row.then(|| (cells[2].to_owned(), code.to_owned()))
        })
        .collect();
    assert_eq!(due.len(), 10, "the README's table of errors: {due:?}");
    let code = |response: &Value| -> Option<String> {
        let schema = &resolve(document, response)["content"][JSON]["schema"];
        let code = &resolve_once(document, schema)["properties"]["error"]["properties"]["code"];
        code["const"].as_str().map(str::to_owned)
    };
    let mut got = BTreeSet::new();
    for (_, item) in object(&document["paths"]) {
        for (status, response) in object(item).flat_map(|(_, op)| object(&op["responses"])) {
            got.extend(code(response).map(|code| (status.clone(), code)));
        }
    }
    let other_methods = &document["components"]["responses"]["MethodNotAllowed"];
    got.extend(code(other_methods).map(|code| ("405".to_owned(), code)));
    faults.check(got == due, || {
        format!("errors of the document\n  got {got:?}\n  due {due:?}")
    });
    let all = &document["components"]["schemas"]["Error"]["properties"]["error"]["properties"];
    let all: BTreeSet<&str> = all["code"]["enum"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let codes: BTreeSet<&str> = due.iter().map(|(_, code)| code.as_str()).collect();
    faults.check(all == codes, || {
        format!("codes of the schema Error\n  got {all:?}\n  due {codes:?}")
    });
}

/// One reference further, where what it leads to has one of its own beside other members.
fn resolve_once<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let reference = value["$ref"].as_str().unwrap_or_default();
    document
        .pointer(reference.trim_start_matches('#'))
        .unwrap_or(value)
}

/// Status, headers and body are as the document says of this response; a body that lacks a
/// member would not be.
fn fits(
    document: &Value,
    response: &Value,
    status: &str,
    (request, answer): (&str, &Response),
    faults: &mut Faults,
) {
    let response = resolve(document, response);
    faults.check(answer.status.to_string() == status, || {
        format!(
            "{request}\n  got {} {}\n  due {status}",
            answer.status, answer.body
        )
    });
    let validator = validator(document, &response["content"][JSON]["schema"]);
    let errors: Vec<String> = validator
        .iter_errors(&answer.body)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    faults.check(errors.is_empty(), || {
        format!(
            "{request}\n  got {}\n  which does not fit: {errors:?}",
            answer.body
        )
    });
    for (name, _) in object(&answer.body) {
        let mut less = answer.body.clone();
        less.as_object_mut().map(|body| body.remove(name));
        faults.check(!validator.is_valid(&less), || {
            format!("{request}\n  a body without {name} fits the document as well")
        });
    }
    for name in ["content-type", "content-length", "date"] {
        let headers = answer.raw.headers.iter();
        let times = headers.filter(|(known, _)| known == name).count();
        faults.check(times == 1, || {
            format!("{request}\n  got {times} times {name}\n  due once")
        });
    }
    let content_type = answer.raw.header("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    faults.check(media_type == JSON, || {
        format!("{request}\n  got Content-Type {content_type}\n  due {JSON}")
    });
    for (name, header) in object(&response["headers"]) {
        let schema = &resolve(document, header)["schema"];
        let value = answer.raw.header(&name.to_ascii_lowercase());
        let value = value.unwrap_or_default();
        let right = self::validator(document, schema).is_valid(&json!(value));
        faults.check(right, || {
            format!("{request}\n  got {name}: {value}\n  due {schema}")
        });
    }
}

/// A schema can refer to any other of the document.
fn validator(document: &Value, schema: &Value) -> jsonschema::Validator {
    let mut schema = schema.clone();
    assert!(schema.is_object(), "no schema");
    schema["components"] = document["components"].clone();
    jsonschema::validator_for(&schema).unwrap_or_else(|error| panic!("openapi.yaml: {error}"))
}

/// Both edges of each number and each word of an enumeration, and what is just beyond.
fn limits_of_path(
    document: &Value,
    server: &Server,
    path: &str,
    operation: &Value,
    faults: &mut Faults,
) {
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let parameter = resolve(document, parameter);
        let name = parameter["name"].as_str().unwrap_or_default();
        let target = |value: &str| match parameter["in"].as_str() {
            Some("path") => path.replace(&format!("{{{name}}}"), value),
            _ => format!("{path}?{name}={value}"),
        };
        let mut is_taken = |value: &str, taken: bool| {
            let answer = server.get(&target(value));
            let right = (answer.status != 400) == taken;
            faults.check(right, || {
                let due = if taken { "taken" } else { "400" };
                format!(
                    "GET {}\n  got {}\n  due {due}",
                    target(value),
                    answer.status
                )
            });
        };
        let schema = resolve(document, &parameter["schema"]);
        if let (Some(least), Some(most)) = (schema["minimum"].as_i64(), schema["maximum"].as_i64())
        {
            for (value, taken) in [
                (least, true),
                (most, true),
                (least - 1, false),
                (most + 1, false),
            ] {
                is_taken(&value.to_string(), taken);
            }
        } else {
            let words = schema["enum"].as_array();
            let words = words.unwrap_or_else(|| panic!("{name} of {path} has no limits"));
            words
                .iter()
                .for_each(|word| is_taken(word.as_str().unwrap_or_default(), true));
            is_taken("none", false);
        }
        if let Some(default) = schema.get("default") {
            let used = server.get(path).body[name].clone();
            faults.check(used == *default, || {
                format!("GET {path}: {name} if absent\n  got {used}\n  due {default}")
            });
        }
    }
}

fn limits_of_order(document: &Value, server: &Server, faults: &mut Faults) {
    let schema = &document["components"]["schemas"]["OrderRequest"];
    let qty = &schema["properties"]["qty"];
    let (least, most) = (qty["minimum"].as_i64(), qty["maximum"].as_i64());
    let (least, most) = least.zip(most).expect("qty has limits");
    let validator = validator(document, schema);
    for (item, qty) in [
        ("SKU-000", least),
        ("SKU-999", most),
        ("SKU-001", least - 1),
        ("SKU-001", most + 1),
        ("SKU-1000", least),
        ("SKU-01", least),
        ("SKU-limited", least),
    ] {
        let order = json!({"item_id": item, "qty": qty, "more": null});
        let answer = server.post_order(order.to_string().as_bytes());
        let due = if validator.is_valid(&order) { 201 } else { 422 };
        faults.check(answer.status == due, || {
            format!(
                "{order}\n  got {}\n  due {due} by the document",
                answer.status
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere() {
        fn follow(document: &Value, value: &Value, count: &mut usize) {
            if value["$ref"].is_string() {
                resolve(document, value);
                *count += 1;
            }
            let members = object(value).map(|(_, member)| member);
            let elements = value.as_array().into_iter().flatten();
            members
                .chain(elements)
                .for_each(|inner| follow(document, inner, count));
        }
        let (document, mut count) = (read(DOCUMENT), 0);
        follow(&document, &document, &mut count);
        assert!(count > 30, "{count}");
        assert_eq!(document["openapi"], "3.1.0");
    }

    #[test]
    fn the_schemas_refuse_what_is_almost_right() {
        let document = read(DOCUMENT);
        let refuses = |name: &str, value: Value| {
            let schema = json!({"$ref": format!("#/components/schemas/{name}")});
            assert!(
                !validator(&document, &schema).is_valid(&value),
                "{name}: {value}"
            );
        };
        let envelope = |code: &str| json!({"error": {"code": code, "message": "m"}});
        refuses("Error", envelope("other"));
        refuses("Error", json!({"error": {"code": "not_found"}}));
        refuses("ErrorNotFound", envelope("invalid_parameter"));
        refuses(
            "ErrorNotFound",
            json!({"error": {"code": "not_found", "message": "m", "more": 1}}),
        );
        refuses("Ping", json!({"status": "OK"}));
        refuses("OrderRequest", json!(["SKU-001", 1]));
        let mut page = json!({"users": [], "page": 1, "limit": 20, "total": 10_000});
        let schema = json!({"$ref": "#/components/schemas/UserPage"});
        assert!(validator(&document, &schema).is_valid(&page));
        page["total"] = json!(9_999);
        refuses("UserPage", page);
    }
}
