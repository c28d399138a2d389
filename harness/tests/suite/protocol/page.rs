//! The documents made from a matrix.

use record::{
    Agreement, Check, Fuzz, FuzzDeath, Protocol, ProtocolCase, ProtocolCell, ProtocolServer,
};
use report::{protocol_page, protocol_section, with_section};

fn case(id: &str, concern: &str, in_terms: bool) -> ProtocolCase {
    ProtocolCase {
        id: id.to_owned(),
        concern: concern.to_owned(),
        sends: format!("{id} with a | in it"),
        section: "9112 §6.3".to_owned(),
        asks: "must be answered 400".to_owned(),
        in_terms,
    }
}

fn cell(case: &str, text: &str, agreement: Agreement, note: Option<&str>) -> ProtocolCell {
    ProtocolCell {
        case: case.to_owned(),
        text: text.to_owned(),
        agreement,
        note: note.map(str::to_owned),
        wrong: None,
        died: None,
        log_tail: None,
        wrong_afterwards: None,
    }
}

fn server(name: &str, cells: Vec<ProtocolCell>) -> ProtocolServer {
    ProtocolServer {
        name: name.to_owned(),
        display: name.to_owned(),
        class: "framework".to_owned(),
        upstream: Some(format!("{name}-lib")),
        version: Some("1.2.3".to_owned()),
        cells,
        afterwards: Some(Check {
            passed: 40,
            total: 40,
            first_byte_us: None,
            lost_at_stop: None,
            sent_at_stop: None,
            failures: Vec::new(),
        }),
        stop_failure: None,
        failure: None,
        fuzz: None,
    }
}

fn fuzz() -> Fuzz {
    Fuzz {
        seed: 1,
        requests: 100_000,
        connections: 16,
        duration_ms: 60_000,
        statuses: [(200, 40_000), (400, 50_000), (501, 12)].into(),
        ended: 5_000,
        silent: 4_988,
        garbled: 0,
        server_errors: Vec::new(),
        panics: 3,
        panic_examples: vec!["name-1.0.0/src/lib.rs:9:8: a | b".to_owned()],
        rss_before_bytes: Some(10 << 20),
        rss_after_bytes: Some(12 << 20),
        deaths: vec![FuzzDeath {
            index: Some(4_711),
            how: "the process ended by signal 11".to_owned(),
            request: Some(r"GET `|\r\n".to_owned()),
            log_tail: String::new(),
        }],
        afterwards: None,
        stop_failure: None,
    }
}

fn sample() -> Protocol {
    let right = vec![
        cell("cut-get", "200", Agreement::Follows, None),
        cell("length-text", "400, closed", Agreement::Follows, None),
    ];
    let mut broken = vec![
        cell("cut-get", "200", Agreement::Follows, None),
        cell(
            "length-text",
            "closed without a response, process ended",
            Agreement::Deviates,
            Some("clients can't tell it from a crash"),
        ),
    ];
    broken[1].died = Some("by signal 6".to_owned());
    let mut broken = server("beech", broken);
    broken.fuzz = Some(fuzz());
    Protocol {
        head: record::Head {
            id: "20261124T220000Z-0123456789-protocol".to_owned(),
            started_at: "2026-11-24T22:00:00Z".to_owned(),
            harness_version: "0.1.0".to_owned(),
            revision: Some("0123456789".to_owned()),
            command: vec!["protocol".to_owned()],
            ..record::Head::of::<Protocol>()
        },
        patience_s: 5.0,
        let_go_s: 35.0,
        idle_connections: 5_000,
        cases: vec![
            case("cut-get", "Pieces", true),
            case("length-text", "Content-Length", false),
        ],
        servers: vec![server("alder", right), broken],
    }
}

#[test]
fn the_page_has_a_column_for_each_server_and_names_its_faults() {
    let page = protocol_page(&sample());
    for line in [
        "| alder | alder-lib 1.2.3 | 2 | 0 | 0 | 0 | 40/40 |",
        "| beech | beech-lib 1.2.3 | 1 | 0 | 1 | 1 | 40/40 |",
        "| case | the client sends | the RFC requires | alder | beech |",
        "| `cut-get` * | cut-get with a \\| in it | 9112 §6.3: must be answered 400 | 200 | 200 |",
        "- beech, `length-text`: the process ended by signal 6",
        "- ‼ beech, `fuzz-1-4711`: the process ended by signal 11. Minimised: `` GET `\\x7c\\r\\n ``",
    ] {
        assert!(
            page.lines().any(|found| found == line),
            "no line\n{line}\nin\n{page}"
        );
    }
    assert!(page.contains("| 400, closed | ‼ closed without a response, process ended |"));
    assert!(page.contains("501 ×12"));
    assert!(page.contains(r"closes that connection: `name-1.0.0/src/lib.rs:9:8: a \x7c b`"));
}

#[test]
fn a_section_says_what_a_user_should_know() {
    let matrix = sample();
    let good = protocol_section(&matrix, &matrix.servers[0]);
    assert!(good.contains("Of 2 cases, 2 conform to RFC"), "{good}");
    assert!(!good.contains("what to know"), "{good}");
    let bad = protocol_section(&matrix, &matrix.servers[1]);
    assert!(
        bad.contains("clients can't tell it from a crash (9112 §6.3)"),
        "{bad}"
    );
    assert!(
        bad.contains("Of 100,000 mutated requests (seed 1) 1 ended it"),
        "{bad}"
    );
    assert!(bad.contains("its log has 3 panics"), "{bad}");
}

#[test]
fn a_section_is_renewed_in_its_place() {
    let matrix = sample();
    let first = protocol_section(&matrix, &matrix.servers[0]);
    let second = protocol_section(&matrix, &matrix.servers[1]);
    let added = with_section("# A server\n\nText.\n", &first);
    assert_eq!(added, format!("# A server\n\nText.\n\n{first}"));
    assert_eq!(with_section(&added, &first), added);
    let between = format!("{added}\n## Last\n");
    let renewed = with_section(&between, &second);
    assert_eq!(
        renewed,
        format!("# A server\n\nText.\n\n{second}\n## Last\n")
    );
}

#[test]
fn a_stored_matrix_is_read_back_and_a_newer_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("protocol.json");
    let matrix = sample();
    store::write_document(&matrix, &path).unwrap();
    assert_eq!(store::read_document::<Protocol>(&path).unwrap(), matrix);
    let mut newer = matrix;
    newer.head.schema_version += 1;
    store::write_document(&newer, &path).unwrap();
    let error = store::read_document::<Protocol>(&path)
        .unwrap_err()
        .to_string();
    assert!(error.contains("version 2"), "{error}");
}
