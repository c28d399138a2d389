//! The microbenchmarks in the page.

use record::*;
use report::summarise;

use crate::record_and_report::html::{SERVERS, all, parse, render, run, text};

fn bench(topic: &str, subject: &str, case: &str, value: f64) -> Microbench {
    let time = BenchTime {
        value,
        low: value,
        high: value,
    };
    Microbench {
        topic: topic.into(),
        subject: subject.into(),
        case: case.into(),
        operations: 1,
        mean_ns: time,
        median_ns: time,
    }
}

#[test]
fn the_page_has_a_table_per_topic_and_the_machine() {
    let mut record = run(&SERVERS, 6, 4);
    let page = render("html", &record, &summarise(&record));
    assert!(!page.contains("Microbenchmarks"), "there are none");

    let server = |name: &str, display: &str| BenchedServer {
        name: name.into(),
        display: display.into(),
        version: None,
    };
    record.micro = Some(Microbenches {
        head: record::Head {
            id: "id".into(),
            started_at: "2026-11-30T04:00:00Z".into(),
            harness_version: "0.1.0".into(),
            ..record::Head::of::<Microbenches>()
        },
        environment: Environment {
            cpu_model: "A <CPU>".into(),
            ..Environment::default()
        },
        servers: vec![server("one", "One"), server("other", "Other")],
        benches: vec![
            bench("routes", "one", "6", 1_234.0),
            bench("routes", "one", "200", 2_000.0),
            bench("parsing", "a library", "ping", 55.0),
        ],
        failures: Vec::new(),
    });
    let page = render("html", &record, &summarise(&record));
    let document = parse(&page);
    let section = all(&document, "section")
        .find(|section| section.attribute("aria-labelledby") == Some("microbenchmarks"))
        .unwrap();
    let within = |tag: &str| -> Vec<String> {
        let nodes = section.descendants().filter(|node| node.has_tag_name(tag));
        nodes.map(text).collect()
    };
    assert_eq!(within("h3"), ["routes, ns", "parsing, ns"]);
    assert_eq!(
        within("tr"),
        [
            "server 6 200",
            "One 1,230 2,000",
            "Other – –",
            "variant ping",
            "a library 55.0"
        ]
    );
    assert!(within("p").iter().any(|text| text.contains("A <CPU>")));
    assert!(page.contains("href=\"#microbenchmarks\""));
}
