//! The text of a workload file.

use serde_json::{Map, Value};

use super::{Body, Imported, Request};

/// The workload as TOML, in the order of its requests.
pub(super) fn workload(imported: &Imported) -> String {
    let mut text = format!("about = {}\n", quoted(&one_line(&imported.about)));
    if !imported.notes.is_empty() {
        text += "\n";
    }
    for note in &imported.notes {
        text += &format!("# {}\n", one_line(note));
    }
    for request in &imported.requests {
        text += "\n";
        write(request, &mut text);
    }
    text
}

fn write(request: &Request, text: &mut String) {
    let mut line = |line: String| {
        *text += &line;
        text.push('\n');
    };
    if !request.note.is_empty() {
        line(format!("# {}", one_line(&request.note)));
    }
    line("[[request]]".to_owned());
    if request.weight != 1 {
        line(format!("weight = {}", request.weight));
    }
    if request.method != "GET" {
        line(format!("method = {}", quoted(&request.method)));
    }
    line(format!("path = {}", quoted(&request.path)));
    for (name, value) in &request.query {
        line(format!("query.{} = {}", key(name), quoted(value)));
    }
    for (name, value) in &request.headers {
        line(format!("headers.{} = {}", key(name), quoted(value)));
    }
    match &request.body {
        None => {}
        Some(Body::Text(body)) => line(format!("body = {}", quoted(body))),
        Some(Body::Json(value)) => match flat(value) {
            Some(members) => {
                for (name, value) in members {
                    line(format!("body.{} = {}", key(name), scalar(value)));
                }
            }
            None => line(format!("body = {}", quoted(&value.to_string()))),
        },
    }
}

/// The members of an object that a workload can hold as a table, which is easier to edit.
pub(super) fn flat(body: &Value) -> Option<&Map<String, Value>> {
    let members = body.as_object()?;
    let held = |value: &Value| value.is_string() || value.is_boolean() || value.is_i64();
    (!members.is_empty() && members.values().all(held)).then_some(members)
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// A basic string. TOML's escapes are JSON's, but it also escapes DEL.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    match !name.is_empty() && name.chars().all(bare) {
        true => name.to_owned(),
        false => quoted(name),
    }
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalog::Workload;
    use serde_json::json;

    #[test]
    fn what_is_written_is_read_again() {
        let odd = "quote \" back\\slash \u{7f}\u{1} tab\t é\r\n'''";
        let request = Request {
            note: "two\nlines".to_owned(),
            weight: 3,
            method: "POST".to_owned(),
            path: "/a%20b".to_owned(),
            query: [("q[0] x".to_owned(), "1 & 2".to_owned())].into(),
            headers: [("X-A".to_owned(), "b\"c".to_owned())].into(),
            body: Some(Body::Text(odd.to_owned())),
        };
        let flat = Request {
            body: Some(Body::Json(json!({"a": 1, "b c": true, "d": "e"}))),
            ..request.clone()
        };
        let deep = Request {
            body: Some(Body::Json(json!({"a": [1.5, null]}))),
            ..request.clone()
        };
        let imported = Imported {
            about: "One\nline".to_owned(),
            requests: vec![request, flat, deep],
            ..Imported::default()
        };
        let text = workload(&imported);
        let read = Workload::parse("shop.toml".as_ref(), &text).unwrap();
        assert_eq!(read.about, "One line");
        let calls = read.draw(1, 50);
        let bodies: std::collections::BTreeSet<String> = calls
            .iter()
            .map(|call| String::from_utf8(call.body.as_ref().unwrap().bytes().to_vec()).unwrap())
            .collect();
        assert!(
            bodies.contains(odd) && bodies.contains(r#"{"a":[1.5,null]}"#),
            "{bodies:?}"
        );
        assert!(
            bodies.contains(r#"{"a":1,"b c":true,"d":"e"}"#),
            "{bodies:?}"
        );
        assert_eq!(calls[0].target, "/a%20b?q%5B0%5D%20x=1%20%26%202");
        assert_eq!(calls[0].headers, [("X-A".to_owned(), "b\"c".to_owned())]);
    }
}
