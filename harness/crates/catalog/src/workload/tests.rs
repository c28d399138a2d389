use std::collections::HashMap;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;

use super::{Body, Call, DISTINCT_CALLS, Workload, percent_encode};

fn shipped(name: &str) -> Workload {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../workloads");
    Workload::load(&dir.join(format!("{name}.toml"))).unwrap()
}

fn parse(text: &str) -> Result<Workload, String> {
    Workload::parse(Path::new("test.toml"), text).map_err(|error| error.to_string())
}

fn counts(calls: &[Call]) -> HashMap<&Call, usize> {
    let mut counts = HashMap::new();
    for call in calls {
        *counts.entry(call).or_insert(0) += 1;
    }
    counts
}

fn share(calls: &[Call], is: impl Fn(&Call) -> bool) -> f64 {
    calls.iter().filter(|call| is(call)).count() as f64 / calls.len() as f64
}

#[test]
fn the_folder_holds_the_shipped_workloads_by_name() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../workloads");
    let all = Workload::load_dir(&dir).unwrap();
    let names: Vec<_> = all.iter().map(|workload| workload.name.as_str()).collect();
    let expected = [
        "compressed-br",
        "compressed",
        "download",
        "mixed",
        "orders",
        "ping",
        "upload",
        "users",
        "wait",
    ];
    assert_eq!(names, expected);
    let optional = all.iter().filter(|workload| workload.optional);
    let optional: Vec<_> = optional.map(|workload| workload.name.as_str()).collect();
    assert_eq!(
        optional,
        ["compressed-br", "compressed", "download", "upload", "wait"]
    );
    assert_eq!(shipped("wait").connections, Some(1_024));
}

#[test]
fn a_missing_file_is_named() {
    let error = Workload::load(Path::new("no-such/ping.toml")).unwrap_err();
    assert!(error.to_string().starts_with("no-such/ping.toml: "));
}

#[test]
fn ping_is_one_call() {
    let calls = shipped("ping").draw(1, DISTINCT_CALLS);
    let ping = Call {
        method: "GET".into(),
        target: "/ping".into(),
        headers: Vec::new(),
        body: None,
    };
    assert_eq!(calls, [ping]);
}

#[test]
fn every_download_is_a_full_page() {
    let calls = shipped("download").draw(1, DISTINCT_CALLS);
    assert_eq!(counts(&calls).len(), 21 * 16);
    for call in calls {
        let number = |name: &str| -> u64 {
            let rest = call.target.split_once(&format!("{name}=")).unwrap().1;
            rest.split('&').next().unwrap().parse().unwrap()
        };
        assert!(
            number("limit") * number("page") <= 10_000,
            "{}",
            call.target
        );
    }
    assert_eq!(shipped("upload").draw(1, DISTINCT_CALLS).len(), 1);
}

#[test]
fn the_same_seed_draws_the_same_list_and_another_seed_another() {
    let mixed = shipped("mixed");
    assert_eq!(mixed.draw(7, DISTINCT_CALLS), mixed.draw(7, DISTINCT_CALLS));
    assert_ne!(mixed.draw(7, DISTINCT_CALLS), mixed.draw(8, DISTINCT_CALLS));
}

#[test]
fn the_large_workloads_reach_the_distinct_calls_asked_for() {
    for name in ["users", "orders", "mixed"] {
        for seed in 0..5 {
            let calls = shipped(name).draw(seed, DISTINCT_CALLS);
            assert_eq!(counts(&calls).len(), DISTINCT_CALLS, "{name}, seed {seed}");
            assert!(calls.len() < 2 * DISTINCT_CALLS, "{name}: {}", calls.len());
        }
    }
}

#[test]
fn twenty_of_page_one_is_the_most_common_single_request() {
    for seed in 0..5 {
        let calls = shipped("users").draw(seed, DISTINCT_CALLS);
        let counts = counts(&calls);
        let (most_common, times) = counts.iter().max_by_key(|(_, times)| **times).unwrap();
        assert_eq!(most_common.target, "/api/v1/users?limit=20&page=1");
        let share = *times as f64 / calls.len() as f64;
        assert!((0.10..0.11).contains(&share), "{share}");
    }
}

#[test]
fn orders_name_listed_items_and_small_quantities() {
    for call in shipped("orders").draw(3, DISTINCT_CALLS) {
        assert_eq!(
            (call.method.as_str(), call.target.as_str()),
            ("POST", "/api/v1/orders")
        );
        let body: Value = serde_json::from_str(call.json().unwrap()).unwrap();
        let number = body["item_id"]
            .as_str()
            .unwrap()
            .strip_prefix("SKU-")
            .unwrap();
        assert!(number.len() == 3 && number.parse::<u32>().unwrap() <= 999);
        assert!((1..=10).contains(&body["qty"].as_u64().unwrap()));
        assert_eq!(body.as_object().unwrap().len(), 2);
    }
}

#[test]
fn mixed_keeps_sixty_to_forty_whatever_the_seed() {
    for seed in 0..20 {
        let calls = shipped("mixed").draw(seed, DISTINCT_CALLS);
        let orders = share(&calls, |call| call.method == "POST");
        assert!((orders - 0.4).abs() < 0.002, "seed {seed}: {orders}");
    }
}

#[test]
fn members_are_drawn_by_weight_and_may_be_absent() {
    let workload = parse(
        "about = 'x'\n[[request]]\npath = '/'\n[request.query]\n\
         a = [{ value = 'b', weight = 3 }, { absent = true }]\nn = [{ range = [0, 100000] }]",
    )
    .unwrap();
    let calls = workload.draw(1, 10_000);
    let present = share(&calls, |call| call.target.contains("a=b"));
    assert!((0.73..0.77).contains(&present), "{present}");
}

#[test]
fn few_possible_calls_end_the_list() {
    let workload =
        parse("about = 'x'\n[[request]]\npath = '/'\n[request.query]\nn = [{ range = [1, 3] }]")
            .unwrap();
    let calls = workload.draw(1, 100);
    assert_eq!(calls.len(), 400);
    assert_eq!(counts(&calls).len(), 3);
    assert!(workload.draw(1, 0).is_empty());
}

#[test]
fn the_widest_range_can_be_drawn_from() {
    let workload = parse(&format!(
        "about = 'x'\n[[request]]\npath = '/'\n[request.query]\nn = [{{ range = [{}, {}] }}]",
        i64::MIN,
        i64::MAX
    ))
    .unwrap();
    assert_eq!(workload.draw(1, 10).len(), 10);
}

#[test]
fn values_and_names_are_percent_encoded() {
    assert_eq!(percent_encode("a-Z_0.~"), "a-Z_0.~");
    assert_eq!(percent_encode("a b&c=d/é+"), "a%20b%26c%3Dd%2F%C3%A9%2B");
}

#[test]
fn an_error_names_file_key_and_what_is_allowed() {
    let request = "about = 'x'\n[[request]]\npath = '/'\n";
    let cases = [
        ("", "missing field `about`"),
        ("about = ' '", "about: must be a one-line"),
        ("about = 'x'", "request: a workload needs at least one"),
        (
            "about = 'x'\ncolour = 1",
            "unknown field `colour`, expected",
        ),
        (
            "about = 'x'\n[[request]]",
            "request[0]: needs a path or an include",
        ),
        (
            "about = 'x'\n[[request]]\npath = 'ping'",
            "request[0].path: \"ping\" must start with /",
        ),
        (
            "about = 'x'\n[[request]]\npath = '/a?b'",
            "request[0].path: ",
        ),
        (
            &format!("{request}weight = 0"),
            "request[0].weight: must be a whole number from 1",
        ),
        (&format!("{request}weight = -1"), "-1"),
        (
            &format!("{request}method = 'get'"),
            "\"get\" is not one of GET, POST",
        ),
        (
            &format!("{request}[request.body]"),
            "request[0].body: only POST, PUT, PATCH",
        ),
        (
            &format!("{request}include = 'users'"),
            "request[0].include: can only be combined with a weight",
        ),
        (
            &format!("{request}query.n = 1.5"),
            "request[0].query.n: must be a string, an integer",
        ),
        (
            &format!("{request}query.n = []"),
            "request[0].query.n: must be a string, an integer",
        ),
        (
            &format!("{request}query.n = [{{}}]"),
            "request[0].query.n[0]: needs one of",
        ),
        (
            &format!("{request}query.n = [{{ absent = false }}]"),
            "n[0]: needs one of",
        ),
        (
            &format!("{request}query.n = [{{ value = 1, digits = 3 }}]"),
            "n[0]: needs one of",
        ),
        (
            &format!("{request}query.n = [{{ vale = 1 }}]"),
            "n[0]: unknown field `vale`, expected",
        ),
        (
            &format!("{request}query.n = [{{ range = [2, 1] }}]"),
            "n[0].range: 2 is above 1",
        ),
        (
            &format!("{request}query.n = [{{ range = [1, 2], digits = 99 }}]"),
            "n[0].digits: must be at most",
        ),
        (
            &format!("{request}headers = {{ 'a b' = 'c' }}"),
            "request[0].headers.a b: the name has a character",
        ),
        (
            &format!("{request}headers.content-LENGTH = '3'"),
            "the load generator sets the body's length itself",
        ),
        (
            &format!("{request}headers.A = [{{ range = [1, 2], prefix = \"\\n\" }}]"),
            "request[0].headers.A: the value has a control character",
        ),
        (
            &format!("{request}headers.A = [{{ value = \"x\\ry\", weight = 2 }}]"),
            "request[0].headers.A: the value has a control character",
        ),
        (
            &format!("{request}body = 'x'"),
            "request[0].body: only POST, PUT, PATCH",
        ),
        (
            &format!("{request}body_file = 'x'"),
            "request[0].body: only POST, PUT, PATCH",
        ),
        (
            &format!("{request}method = 'POST'\nbody = 5"),
            "request[0].body: must be a table, sent as JSON, or a string",
        ),
        (
            &format!("{request}method = 'POST'\nbody = ''\nbody_file = 'x'"),
            "request[0].body: can't be combined with body_file",
        ),
        (
            &format!("{request}method = 'POST'\nbody = ''\nbody_bytes = 1"),
            "request[0].body_bytes: can't be combined with another body",
        ),
        (
            &format!("{request}method = 'POST'\nbody_bytes = 0"),
            "request[0].body_bytes: must be from 1",
        ),
        (
            &format!("{request}body_bytes = 1"),
            "request[0].body: only POST, PUT, PATCH",
        ),
        ("about = 'x'\nconnections = 0\n", "connections"),
        (
            &format!("{request}method = 'POST'\nbody_file = 'no/such/file'"),
            "request[0].body_file: no/such/file: No such file",
        ),
        (
            &format!("{request}method = 'POST'\nbody_file = '/dev/zero'"),
            "request[0].body_file: /dev/zero: not a regular file",
        ),
        (
            "about = 'x'\n[[request]]\ninclude = 'users'\nheaders = {}",
            "request[0].include: can only be combined with a weight",
        ),
        (
            "about = 'x'\n[[request]]\ninclude = '../etc'",
            "\"../etc\" must be the name",
        ),
        (
            "about = 'x'\n[[request]]\ninclude = 'missing'",
            "missing.toml: ",
        ),
    ];
    for (text, expected) in cases {
        let error = parse(text).unwrap_err();
        assert!(
            error.contains(expected),
            "{text}\ngave: {error}\nnot: {expected}"
        );
        assert!(error.contains(".toml: "), "{error}");
    }
}

#[test]
fn headers_are_fixed_or_drawn_and_bodies_may_be_raw() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("body.bin"), b"\xff\0\r\n").unwrap();
    let path = dir.path().join("raw.toml");
    let text = "about = 'x'\n\
        [[request]]\nmethod = 'PUT'\npath = '/a'\nbody = 'as it is'\n\
        headers = { Content-Type = 'text/plain', X-Id = [{ range = [1, 3], prefix = 'r-', digits = 2 }], \
        X-Some = [{ absent = true }, { value = 7 }] }\n\
        [[request]]\nmethod = 'POST'\npath = '/b'\nbody_file = 'body.bin'\n\
        [[request]]\nmethod = 'POST'\npath = '/c'\nbody = { n = 1 }\n\
        [[request]]\nmethod = 'POST'\npath = '/d'\nbody = {}\nheaders.content-type = 'x/y'\n";
    std::fs::write(&path, text).unwrap();
    let calls = Workload::load(&path).unwrap().draw(1, 100);
    let raw = |bytes: &[u8]| Some(Body::Raw(bytes.into()));
    let mut ids = HashMap::new();
    for call in &calls {
        let header = |name: &str| {
            let mut headers = call.headers.iter();
            headers
                .find(|(given, _)| given == name)
                .map(|(_, value)| value.as_str())
        };
        match call.target.as_str() {
            "/a" => {
                assert_eq!((&call.body, call.content_type()), (&raw(b"as it is"), None));
                assert_eq!(header("Content-Type"), Some("text/plain"));
                assert!([None, Some("7")].contains(&header("X-Some")));
                *ids.entry(header("X-Id").unwrap()).or_insert(0) += 1;
            }
            "/b" => assert_eq!(
                (&call.body, call.content_type()),
                (&raw(b"\xff\0\r\n"), None)
            ),
            "/c" => assert_eq!(
                (call.json(), call.content_type(), &call.headers[..]),
                (Some("{\"n\":1}"), Some("application/json"), &[][..])
            ),
            _ => assert_eq!((call.json(), call.content_type()), (Some("{}"), None)),
        }
    }
    let mut ids: Vec<&str> = ids.into_keys().collect();
    ids.sort_unstable();
    assert_eq!(ids, ["r-01", "r-02", "r-03"]);
    // All possible calls: 3 ids, with or without the other header, and three more.
    assert_eq!(counts(&calls).len(), 3 * 2 + 3);
}

#[test]
fn a_body_of_so_many_bytes_is_the_same_in_every_call() {
    let text = "about = 'x'\noptional = true\nconnections = 9\n\
        [[request]]\nmethod = 'POST'\npath = '/a'\nbody_bytes = 65536\nquery.n = [{ range = [1, 9] }]";
    let workload = Workload::parse(Path::new("x.toml"), text).unwrap();
    assert_eq!((workload.optional, workload.connections), (true, Some(9)));
    let calls = workload.draw(1, 5);
    let first = calls[0].body.as_ref().unwrap().bytes();
    assert_eq!(first.len(), 65_536);
    assert!((0..=250).all(|byte| first.contains(&byte)));
    assert!(calls.iter().all(|call| call.body == calls[0].body));
}

#[test]
fn an_included_workload_can_not_include() {
    let dir = tempfile::tempdir().unwrap();
    let circle = "about = 'x'\n[[request]]\ninclude = 'circle'";
    let path = dir.path().join("circle.toml");
    std::fs::write(&path, circle).unwrap();
    let error = Workload::load(&path).unwrap_err().to_string();
    assert!(error.contains("can't include another"), "{error}");
}

/// Text that gets past the TOML reader more often than random text does.
fn nearly_a_workload() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "about = 'x'\n",
        "[[request]]\n",
        "path = '/'\n",
        "weight = 2\n",
        "weight = 0\n",
        "method = 'POST'\n",
        "[request.query]\n",
        "[request.body]\n",
        "[request.headers]\n",
        "body = 'raw'\n",
        "body_file = 'x'\n",
        "n = [{ range = [0, 9] }]\n",
        "n = [{ range = [9, 0], digits = 3 }]\n",
        "s = [{ value = 1 }, { absent = true }]\n",
        "n = -9223372036854775808\n",
        "include = 'users'\n",
        "a = [1, []]\n",
        "=",
        "{",
        "\"",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_reader_never_panics(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn whatever_is_accepted_can_be_drawn(text in nearly_a_workload(), seed: u64) {
        if let Ok(workload) = parse(&text) {
            let calls = workload.draw(seed, 16);
            prop_assert!((1..=64).contains(&calls.len()));
        }
    }

    #[test]
    fn an_encoded_value_is_plain_ascii(text in any::<String>()) {
        let encoded = percent_encode(&text);
        prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic() && !b"&=?#+".contains(&byte)));
    }
}
