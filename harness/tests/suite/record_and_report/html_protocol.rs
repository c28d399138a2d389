//! The protocol matrix in the page.

use record::*;
use report::summarise;

use crate::record_and_report::html::{SERVERS, all, parse, render, run, text};

/// A matrix of two servers, the second of which no run here has.
pub(crate) fn matrix(name: &str) -> Protocol {
    let cell = |case: &str, text: &str, agreement| ProtocolCell {
        case: case.into(),
        text: text.into(),
        agreement,
        note: None,
        wrong: None,
        died: None,
        log_tail: None,
        wrong_afterwards: None,
    };
    let server = |name: &str| ProtocolServer {
        name: name.into(),
        display: name.to_uppercase(),
        class: "framework".into(),
        upstream: Some("upstream".into()),
        version: Some("0.0.1-tried".into()),
        cells: vec![
            cell("cut-get", "200", Agreement::Follows),
            ProtocolCell {
                died: Some("with status 3".into()),
                ..cell("bare-lf", "closed <&>", Agreement::Deviates)
            },
        ],
        afterwards: None,
        stop_failure: None,
        failure: None,
        fuzz: None,
    };
    let case = |id: &str, concern: &str, in_terms| ProtocolCase {
        id: id.into(),
        concern: concern.into(),
        sends: format!("what {id} sends"),
        section: "9112 §2.2".into(),
        asks: "what is asked".into(),
        in_terms,
    };
    Protocol {
        head: record::Head {
            id: "id".into(),
            started_at: "2026-11-22T03:45:00Z".into(),
            harness_version: "0.1.0".into(),
            ..record::Head::of::<Protocol>()
        },
        patience_s: 5.0,
        let_go_s: 80.0,
        idle_connections: 5000,
        cases: vec![
            case("cut-get", "Pieces", true),
            case("bare-lf", "Syntax", false),
        ],
        servers: vec![server(name), server("of-another-run")],
    }
}

#[test]
fn the_protocol_matrix_stands_beside_the_speed() {
    let mut record = run(&SERVERS, 6, 4);
    let page = render("html", &record, &summarise(&record));
    assert!(!page.contains("id=\"protocol\""));
    record.protocol = Some(matrix("of-no-run"));
    let page = render("html", &record, &summarise(&record));
    assert!(!page.contains("id=\"protocol\""));
    record.protocol = Some(matrix("alder"));
    let page = render("html", &record, &summarise(&record));
    let document = parse(&page);
    let section = all(&document, "section")
        .find(|node| node.attribute("aria-labelledby") == Some("protocol"))
        .unwrap();
    let said = text(section);
    for words in [
        "Made on 2026-11-22",
        "ALDER upstream 0.0.1-tried not this run's version 1 0 1 1 –",
        "ALDER, bare-lf: the process ended with status 3",
        "Pieces: 1 case",
        "cut-get * 200 what cut-get sends 9112 §2.2: what is asked",
        "bare-lf ‼ closed <&> what bare-lf sends",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("OF-ANOTHER-RUN"));
}
