//! Tests the reader on workloads generated from a model, on mutations of them, and on files that are no
//! workloads.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

use super::{Alternatives, Body, Content, RequestTemplate, ValueSource, Workload, WorkloadError};

fn parse(text: &str) -> Result<Workload, WorkloadError> {
    Workload::parse(Path::new("no-such-folder/model.toml"), text)
}

/// Quotes a string; TOML's basic strings have the same escapes as JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The file of a workload.
fn written(workload: &Workload) -> String {
    let mut text = format!("about = {}\n", quoted(&workload.about));
    for (weight, request) in &workload.requests {
        let (method, path) = (quoted(&request.method), quoted(&request.path));
        let _ = write!(
            text,
            "[[request]]\nweight = {weight}\nmethod = {method}\npath = {path}\n"
        );
        if let Some(Content::Raw(bytes)) = &request.body {
            let raw = std::str::from_utf8(bytes).unwrap();
            let _ = writeln!(text, "body = {}", quoted(raw));
        }
        members(&mut text, "query", &request.query);
        members(&mut text, "headers", &request.headers);
        if let Some(Content::Json(body)) = &request.body {
            members(&mut text, "body", body);
        }
    }
    text
}

fn members(text: &mut String, table: &str, members: &[(String, Alternatives)]) {
    let _ = writeln!(text, "[request.{table}]");
    for (name, Alternatives(alternatives)) in members {
        let value = match &alternatives[..] {
            [(1, ValueSource::Fixed(value))] => value.to_string(),
            several => {
                let several: Vec<_> = several.iter().map(alternative).collect();
                format!("[{}]", several.join(", "))
            }
        };
        let _ = writeln!(text, "{} = {value}", quoted(name));
    }
}

fn alternative((weight, source): &(u32, ValueSource)) -> String {
    let source = match source {
        ValueSource::Absent => "absent = true".to_owned(),
        ValueSource::Fixed(value) => format!("value = {value}"),
        ValueSource::Range { low, high } => format!("range = [{low}, {high}]"),
        ValueSource::Numbered {
            low,
            high,
            prefix,
            digits,
        } => format!(
            "range = [{low}, {high}], prefix = {}, digits = {digits}",
            quoted(prefix)
        ),
    };
    format!("{{ {source}, weight = {weight} }}")
}

fn source() -> impl Strategy<Value = ValueSource> {
    let ends = || (any::<i64>(), any::<i64>()).prop_map(|(a, b)| (a.min(b), a.max(b)));
    prop_oneof![
        Just(ValueSource::Absent),
        value().prop_map(ValueSource::Fixed),
        ends().prop_map(|(low, high)| ValueSource::Range { low, high }),
        (ends(), "[^\u{7f}]{0,5}", 0_usize..=20).prop_map(|((low, high), prefix, digits)| {
            ValueSource::Numbered {
                low,
                high,
                prefix,
                digits,
            }
        }),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[^\u{7f}]{0,10}".prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
    ]
}

fn some_members() -> impl Strategy<Value = Vec<(String, Alternatives)>> {
    let weight = prop_oneof![1_u32..4, Just(u32::MAX)];
    let member = prop::collection::vec((weight, source()), 1..4).prop_map(Alternatives);
    // The reader sorts members by name.
    prop::collection::btree_map("[^\u{7f}]{0,6}", member, 0..4)
        .prop_map(|m| m.into_iter().collect())
}

/// Any valid header; the names for the body's length are too long to be generated.
fn some_headers() -> impl Strategy<Value = Vec<(String, Alternatives)>> {
    let text = || "[^\\x00-\\x1f\\x7f-\\x9f]{0,5}";
    let source = prop_oneof![
        Just(ValueSource::Absent),
        text().prop_map(|text| ValueSource::Fixed(text.into())),
        (0..9_i64, text()).prop_map(|(low, prefix)| ValueSource::Numbered {
            low,
            high: 9,
            prefix,
            digits: 3,
        }),
    ];
    let member = prop::collection::vec((1_u32..4, source), 1..4).prop_map(Alternatives);
    prop::collection::btree_map("[!#$%&'*+.^_`|~0-9A-Za-z-]{1,6}", member, 0..3)
        .prop_map(|m| m.into_iter().collect())
}

fn request() -> impl Strategy<Value = RequestTemplate> {
    let content = prop_oneof![
        some_members().prop_map(Content::Json),
        "[^\u{7f}]{0,20}".prop_map(|text| Content::Raw(text.into_bytes().into())),
    ];
    (
        select(vec!["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]),
        "/[!-~&&[^?#]]{0,20}",
        some_members(),
        some_headers(),
        prop::option::of(content),
    )
        .prop_map(|(method, path, query, headers, body)| RequestTemplate {
            body: body.filter(|_| ["POST", "PUT", "PATCH"].contains(&method)),
            method: method.to_owned(),
            path,
            query,
            headers,
        })
}

fn workload() -> impl Strategy<Value = Workload> {
    let weighted = (1_u32..=u32::MAX, request()).prop_map(|(w, r)| (f64::from(w), r));
    (
        "[^\\x00-\\x1f\\x7f-\\x9f]{0,20}x",
        prop::collection::vec(weighted, 1..5),
    )
        .prop_map(|(about, requests)| Workload {
            name: "model".to_owned(),
            about,
            optional: false,
            connections: None,
            requests,
        })
}

/// What must hold for every accepted workload.
fn can_be_drawn(workload: &Workload, seed: u64) {
    let calls = workload.draw(seed, 16);
    assert!((1..=64).contains(&calls.len()));
    for call in calls {
        assert!(call.target.starts_with('/'));
        assert!(call.target.bytes().all(|b| b.is_ascii_graphic()));
        if let Some(Body::Json(text)) = &call.body {
            assert!(serde_json::from_str::<Value>(text).is_ok_and(|json| json.is_object()));
        }
        let mut head = call.headers.iter().flat_map(|(name, value)| [name, value]);
        assert!(head.all(|text| !text.contains(['\r', '\n', '\0'])));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_workload_is_read_as_it_was_written(workload in workload(), seed: u64) {
        let text = written(&workload);
        let read = parse(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        prop_assert_eq!(&read, &workload, "{}", text);
        can_be_drawn(&read, seed);
    }

    #[test]
    fn a_mutation_is_read_or_refused(
        workload in workload(),
        changes in prop::collection::vec((any::<Index>(), 0_u8..4, any::<char>()), 1..4),
        seed: u64,
    ) {
        let mut text: Vec<char> = written(&workload).chars().collect();
        for (at, how, other) in changes {
            let at = at.index(text.len());
            match how {
                0 => text[at] = other,
                1 => text.insert(at, other),
                2 => drop(text.remove(at)),
                _ => drop(text.drain(at..(at + 20).min(text.len()))),
            }
            if text.is_empty() {
                text.push(other);
            }
        }
        match parse(&text.iter().collect::<String>()) {
            Ok(workload) => can_be_drawn(&workload, seed),
            Err(error) => prop_assert!(error.to_string().contains("model.toml: ")),
        }
    }
}

#[test]
fn nesting_without_end_is_refused() {
    let long = 100_000;
    let begin = "about = 'x'\n[[request]]\npath = '/'\n";
    let dotted = |tables: usize| format!("{}a = {{", "a.".repeat(70)).repeat(tables);
    for text in [
        format!("{begin}query.n = {}", "[".repeat(long)),
        format!("{begin}query.n = {}{}", "[".repeat(long), "]".repeat(long)),
        format!("{begin}query = {}", "{a=".repeat(long)),
        format!("{begin}query.{}n = 1", "a.".repeat(long)),
        format!("{begin}[request.query.{}n]\n", "a.".repeat(long)),
        format!("{begin}{}", "[[request]]\n".repeat(long)),
        format!(
            "{begin}query = {{ {}a = 1 {} }}",
            dotted(70),
            "}".repeat(70)
        ),
    ] {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains("model.toml: "), "{error:.200}");
    }
}

#[test]
fn a_file_that_is_no_workload_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.toml");
    let about = format!(
        "about = '{}'\n[[request]]\npath = '/'\n",
        "x".repeat(1 << 20)
    );
    std::fs::write(&path, &about).unwrap();
    let error = Workload::load(&path).unwrap_err().to_string();
    assert!(
        error.contains("large.toml: more than 1 MiB"),
        "{error:.200}"
    );
    std::fs::write(&path, b"about = '\xff'").unwrap();
    let error = Workload::load(&path).unwrap_err().to_string();
    assert!(error.contains("large.toml: "), "{error}");
    assert!(Workload::load(dir.path()).is_err());
    // Endless, on systems with such a file.
    let endless = Path::new("/dev/zero");
    if endless.exists() {
        let error = Workload::load(endless).unwrap_err().to_string();
        assert!(error.contains("more than 1 MiB"), "{error}");
    }
}
