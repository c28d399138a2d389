//! The page: well-formed, whole without a script, and saying what the tables say; and what is made
//! beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use catalog::Stage;
use hdrhistogram::serialization::{Serializer, V2Serializer};
use record::*;
use report::{Colour, FORMATS, History, illustrated, summarise};
use roxmltree::{Document, Node, ParsingOptions};
use store::*;

use crate::record_and_report::{sample, summary::summary};

pub(crate) const SERVERS: [&str; 4] = ["alder", "birch", "cedar", "dogwood"];

/// What a published page of ten servers may weigh.
const MOST_BYTES: usize = 2_000_000;

pub(crate) fn render(name: &str, record: &Record, summary: &Summary) -> String {
    let format = FORMATS.iter().find(|format| format.name == name).unwrap();
    (format.render)(record, summary)
}

/// Parses it as XML, which a browser's parser would forgive much of.
pub(crate) fn parse(page: &str) -> Document<'_> {
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(page, options).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn all<'a>(
    document: &'a Document<'_>,
    tag: &'static str,
) -> impl Iterator<Item = Node<'a, 'a>> {
    document
        .descendants()
        .filter(move |node| node.has_tag_name(tag))
}

pub(crate) fn text(node: Node<'_, '_>) -> String {
    let parts: Vec<&str> = node
        .descendants()
        .filter(Node::is_text)
        .filter_map(|part| part.text())
        .collect();
    parts
        .join(" ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// A run with everything a chart can show: histograms and intervals, a failed server, the control.
pub(crate) fn run(servers: &[&str], rounds: u32, steps: i64) -> Record {
    let mut record = sample::record();
    record.run.workloads.remove("ping");
    record.run.rates_per_s.remove("ping");
    let like = record.servers[0].clone();
    let broken = record.servers.pop().unwrap();
    record.servers = servers
        .iter()
        .map(|name| Server {
            name: (*name).to_owned(),
            display: (*name).to_owned(),
            ..like.clone()
        })
        .collect();
    record.servers.push(broken);
    let entries = servers.iter().chain(&["control", "control~2"]);
    let entries: Vec<(f64, &str)> = (0..).map(f64::from).zip(entries.copied()).collect();
    record.trials = (1..=rounds)
        .flat_map(|round| {
            let of = |(place, server): &(f64, &str)| {
                let speed = if server.starts_with("control") {
                    3.0
                } else {
                    1.0 + place / 6.0
                };
                Stage::ALL.map(|stage| trial(round, server, stage, speed, steps))
            };
            entries.iter().flat_map(of).collect::<Vec<_>>()
        })
        .collect();
    for (position, trial) in (0..).zip(&mut record.trials) {
        trial.position = position;
    }
    record
}

fn trial(round: u32, server: &str, stage: Stage, speed: f64, steps: i64) -> Trial {
    let own = speed * (1.0 + f64::from(round * 7 % 11) / 400.0);
    let (rate, latency_us) = match stage {
        Stage::Peak => (50_000.0 * own, 64e6 / (50_000.0 * own)),
        Stage::Paced => (24_000.0, 90.0 / own),
    };
    let figures = [
        ("requests_per_s", rate),
        ("latency_mean_us", latency_us),
        ("latency_p50_us", 0.9 * latency_us),
        ("latency_p99_us", 4.0 * latency_us),
        ("latency_p999_us", 7.0 * latency_us),
        ("first_byte_p99_us", 3.9 * latency_us),
        ("jitter_us", latency_us / 3.0),
        ("cpu_us_per_request", 18.0 / own),
        ("cpu_user_us_per_request", 12.0 / own),
        ("cpu_system_us_per_request", 6.0 / own),
        ("driver_busy_ratio", 0.6),
        ("server_busy_ratio", 0.97),
        ("start_ms", 4.0 + f64::from(round % 3)),
        ("first_request_us", 300.0),
    ];
    let histogram = histogram(latency_us);
    let histograms = ["latency", "first_byte"];
    let interval = |step: i64| Interval {
        start_unix_ns: sample::record().trials[0].started_unix_ns + step * 100_000_000,
        length_ns: 100_000_000,
        requests: (rate / 10.0) as u64,
        errors: 0,
        p50_ns: Some((900.0 * latency_us) as u64),
        p99_ns: Some((4_000.0 * latency_us) as u64 + u64::from(round) * 1_000),
        jitter_ns: Some(latency_us * 300.0),
        cpu_ns: Some(90_000_000),
        rss_bytes: Some(9_000_000),
        threads: Some(2),
    };
    Trial {
        figures: figures.map(|(name, value)| (name.to_owned(), value)).into(),
        errors: BTreeMap::new(),
        first_error: None,
        histograms: histograms
            .map(|name| (name.to_owned(), histogram.clone()))
            .into(),
        intervals: (0..steps).map(interval).collect(),
        ..sample::trial(round, 0, server, stage)
    }
}

/// Two thousand latencies with a tail.
fn histogram(latency_us: f64) -> Histogram {
    let mut counts = hdrhistogram::Histogram::<u64>::new(3).unwrap();
    for n in 1..=2_000_u32 {
        let tail = 1.0 + 5.0 * (f64::from(n) / 2_000.0).powi(40);
        counts.record((latency_us * 1e3 * tail) as u64).unwrap();
    }
    let mut v2 = Vec::new();
    V2Serializer::new().serialize(&counts, &mut v2).unwrap();
    Histogram { v2 }
}

/// What a page says without its pictures: titles, captions, tables, notes.
fn outline(page: &str) -> String {
    let document = parse(page);
    let mut lines = Vec::new();
    let body = document
        .descendants()
        .find(|node| node.has_tag_name("body"))
        .unwrap();
    for node in body.descendants() {
        let within = |tag| node.ancestors().any(|above| above.has_tag_name(tag));
        if within("figure") && !node.has_tag_name("h4") {
            continue;
        }
        let cells = |tag| {
            node.descendants()
                .filter(|cell| cell.is_element())
                .any(|cell| cell.has_tag_name(tag))
        };
        match node.tag_name().name() {
            heading @ ("h1" | "h2" | "h3" | "h4") => {
                lines.push(format!("{heading}: {}", text(node)))
            }
            "caption" => lines.push(format!("table: {}", text(node))),
            "tr" if cells("td") || cells("th") => {
                let cells = node.children().filter(Node::is_element).map(text);
                lines.push(format!("  {}", cells.collect::<Vec<_>>().join(" | ")));
            }
            "p" | "li" | "dt" | "pre" => {
                lines.push(format!("{}: {}", node.tag_name().name(), text(node)))
            }
            _ => {}
        }
    }
    lines.join("\n")
}

#[test]
fn the_page_says_what_is_agreed() {
    insta::assert_snapshot!(outline(&render("html", &sample::record(), &summary())));
}

/// One chart of each kind, in words and as data; shapes are looked at by eye.
#[test]
fn every_chart_is_there_with_its_figures_one_click_away() {
    let record = run(&SERVERS, 6, 4);
    let page = render("html", &record, &summarise(&record));
    let document = parse(&page);
    let mut told = Vec::new();
    for figure in all(&document, "figure") {
        let inside = |tag: &'static str| {
            figure
                .descendants()
                .find(move |node| node.has_tag_name(tag))
                .unwrap()
        };
        let (svg, table) = (inside("svg"), inside("table"));
        let is_title = |node: &Node<'_, '_>| node.has_tag_name("h2") || node.has_tag_name("h4");
        let title = figure.descendants().find(is_title).unwrap();
        assert_eq!(svg.attribute("role"), Some("img"));
        let rows: Vec<_> = table
            .descendants()
            .filter(|node| node.has_tag_name("tr"))
            .collect();
        assert!(rows.len() > 1, "{}", text(table));
        let width = rows[0].children().filter(Node::is_element).count();
        for row in &rows {
            assert_eq!(row.children().filter(Node::is_element).count(), width);
        }
        told.push(format!(
            "{}\n  {}\n  {} rows, first: {}\n  {}",
            text(title),
            text(inside("desc")),
            rows.len() - 1,
            text(rows[1]),
            text(rows[0])
        ));
    }
    insta::assert_snapshot!(told.join("\n"));
}

/// Well-formed, no id twice, every reference answered, nothing fetched from anywhere.
#[test]
fn the_page_is_whole_and_refers_to_nothing_outside() {
    let record = run(&SERVERS, 6, 4);
    let history = [
        (record.clone(), summarise(&record)),
        (sample::record(), summary()),
    ];
    let beside = Record {
        protocol: Some(crate::record_and_report::html_protocol::matrix("alder")),
        ..record.clone()
    };
    let pages = [
        render("html", &record, &history[0].1),
        render("html", &beside, &history[0].1),
        render("html", &sample::record(), &summary()),
        History::of(&history).html(),
    ];
    for page in &pages {
        let document = parse(page);
        let elements = || document.descendants().filter(Node::is_element);
        let ids: Vec<&str> = elements().filter_map(|node| node.attribute("id")).collect();
        let distinct: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), distinct.len(), "an id is used twice: {ids:?}");
        for node in elements() {
            let referred = node.attribute("aria-labelledby").unwrap_or_default();
            for id in referred.split_whitespace() {
                assert!(distinct.contains(id), "nothing has the id {id}");
            }
            let href = node.attribute("href").unwrap_or("#main");
            assert!(
                href.strip_prefix('#')
                    .is_some_and(|id| distinct.contains(id)),
                "{href}"
            );
            assert_eq!(node.attribute("src"), None, "{node:?}");
            for (name, _) in node.attributes().map(|a| (a.name(), a.value())) {
                assert!(!name.starts_with("on"), "{name} on {node:?}");
            }
        }
        for table in all(&document, "table") {
            assert!(table.children().any(|node| node.has_tag_name("caption")));
            let heads = table.descendants().filter(|node| node.has_tag_name("th"));
            for head in heads {
                assert!(head.attribute("scope").is_some(), "{}", text(head));
            }
        }
        for outside in ["://", "url(", "@import"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}

#[test]
fn ties_failures_bounds_and_absent_figures_are_told() {
    let page = render("html", &sample::record(), &summary());
    let document = parse(&page);
    let verdicts: Vec<String> = all(&document, "figcaption").map(text).collect();
    assert!(
        verdicts.iter().any(|line| line.contains(
            "actix-web 1; axum and hyper tie for 2–3; may_minihttp 4; broken | pipe failed."
        )),
        "{verdicts:#?}"
    );
    let rows: Vec<String> = all(&document, "tr").map(text).collect();
    assert!(
        rows.iter().any(|row| row.contains("failed [3]")),
        "{rows:#?}"
    );
    let notes: Vec<String> = all(&document, "li").map(text).collect();
    let why = "orders.create: POST /api/v1/orders answered 500";
    assert_eq!(notes.iter().filter(|note| note.contains(why)).count(), 1);
    // A tail that the machine made is shown as such, and nothing is said of how sure it is.
    let cell = rows.iter().find(|row| row.contains("~11,200")).unwrap();
    assert!(!cell.contains("~11,200 ±"), "{cell}");
    assert!(rows.iter().any(|row| row.contains("≥131,200")), "{rows:#?}");
    assert!(
        !page.contains(">NaN") && !page.contains("None"),
        "a template's word for nothing"
    );
}

#[test]
fn ranks_withheld_are_said_at_the_top_with_their_cause() {
    let mut summary = summary();
    for row in &mut summary.rows {
        row.rank = None;
    }
    for ranking in &mut summary.rankings {
        ranking.reason = "ranks are withheld: 12 % of the CPU time was stolen".into();
    }
    let page = render("html", &sample::record(), &summary);
    let document = parse(&page);
    let banner = document.descendants().find(|node| {
        node.attribute("class")
            .is_some_and(|class| class.contains("banner"))
    });
    let said = text(banner.unwrap());
    assert!(
        said.contains("Ranks are withheld") && said.contains("12 % of the CPU time"),
        "{said}"
    );
    let mut some = crate::record_and_report::summary::summary();
    assert!(some.rankings.len() > 1);
    let first = some.rankings[0].workload.clone();
    let rows = some.rows.iter_mut().filter(|row| row.workload == first);
    rows.for_each(|row| row.rank = None);
    let page = render("html", &sample::record(), &some);
    let words = format!(
        "Ranks are withheld in 1 of {} workloads",
        some.rankings.len()
    );
    assert!(page.contains(&words));
}

/// Names and reasons are text, whatever is in them, and a log may hold anything.
#[test]
fn nothing_in_a_record_becomes_markup() {
    let (mut record, mut summary) = (sample::record(), summary());
    let nasty = "<script>alert(1)</script>&amp;\"'\u{1b}[0m\u{0}";
    record.servers[4].failure.as_mut().unwrap().log_tail = nasty.into();
    record.servers[4].check.as_mut().unwrap().failures = vec![nasty.into()];
    record.environment.cpu_model = nasty.into();
    record.run.command.push(nasty.into());
    for row in &mut summary.rows {
        row.display = nasty.into();
        row.reasons = vec![nasty.into()];
    }
    let page = render("html", &record, &summary);
    let document = parse(&page);
    assert_eq!(all(&document, "script").count(), 1);
    assert!(page.contains("&lt;script&gt;alert(1)"));
}

#[test]
fn a_page_of_ten_servers_is_light() {
    let names: Vec<String> = (0..10).map(|n| format!("server-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let record = run(&names, 10, 20);
    let page = render("html", &record, &summarise(&record));
    // It is one workload, and a run has four.
    assert!(page.len() < MOST_BYTES / 4, "{} bytes", page.len());
}

/// A run that an older harness stored, without histograms and intervals.
#[test]
fn an_old_record_has_its_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.sqlite");
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/version-1/run.sqlite");
    std::fs::copy(old, &path).unwrap();
    let record = Store::open(&path).unwrap().load().unwrap();
    let page = render("html", &record, &summarise(&record));
    let document = parse(&page);
    let titles: Vec<String> = all(&document, "h4").map(text).collect();
    for title in [
        "Throughput",
        "CPU per request",
        "Latency against rate",
        "Start-up",
    ] {
        assert!(titles.iter().any(|found| found == title), "{titles:?}");
    }
    assert!(
        !titles.iter().any(|title| title.contains("spectrum")),
        "{titles:?}"
    );
}

#[test]
fn markdown_can_have_its_charts_beside_it() {
    let record = run(&SERVERS, 6, 4);
    let made = illustrated(&record, &summarise(&record), "some charts/");
    let names: Vec<&str> = made.files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "mixed-ratio.svg",
            "mixed-throughput.svg",
            "mixed-cost.svg",
            "mixed-latency.svg"
        ]
    );
    for (name, svg) in &made.files {
        let document = parse(svg);
        assert_eq!(
            document.root_element().tag_name().namespace(),
            Some("http://www.w3.org/2000/svg")
        );
        assert!(svg.contains("prefers-color-scheme:dark"));
        assert!(
            made.text.contains(&format!("](<some charts/{name}>)")),
            "{}",
            made.text
        );
    }
    let table = made.text.find("| birch").unwrap();
    let image = made.text.find("![Throughput, mixed]").unwrap();
    assert!(table < image && image < made.text.find("### Servers").unwrap());
}

/// Three runs, the last on another machine and at another rate.
fn three_runs() -> Vec<(Record, Summary)> {
    let run = |day: u32, speed: f64| {
        let mut record = run(&SERVERS[..2], 6, 0);
        record.run.id = format!("2026112{day}T034500Z-000000{day}");
        record.run.started_at = format!("2026-11-2{day}T03:45:00Z");
        for trial in &mut record.trials {
            for name in ["requests_per_s", "latency_mean_us"] {
                let factor = if name == "requests_per_s" {
                    speed
                } else {
                    1.0 / speed
                };
                if trial.stage == Stage::Peak {
                    *trial.figures.get_mut(name).unwrap() *= factor;
                }
            }
        }
        record
    };
    let mut last = run(3, 1.3);
    last.environment.kernel = "6.18.1".into();
    last.run.rates_per_s.insert("mixed".into(), 30_000.0);
    let runs = [last, run(1, 1.0), run(2, 1.1)];
    runs.map(|record| {
        let summary = summarise(&record);
        (record, summary)
    })
    .into()
}

#[test]
fn a_history_is_as_agreed() {
    let runs = three_runs();
    let history = History::of(&runs);
    insta::assert_snapshot!(history.markdown());
    let plain = history.terminal(Colour::Never);
    assert!(plain.contains("≠ kernel 6.12.43 → 6.18.1"), "{plain}");
    insta::assert_snapshot!(
        "the_page_of_a_history_says_what_is_agreed",
        outline(&history.html())
    );
}

#[test]
fn a_history_marks_another_machine_in_every_format() {
    let runs = three_runs();
    let history = History::of(&runs);
    assert_eq!(
        history.html().matches("different machine</text>").count(),
        3,
        "one a chart"
    );
    let csv = history.csv();
    let mut lines = csv.lines();
    let head = lines.next().unwrap();
    assert!(head.starts_with("run,started_at,revision,machine,machine_changed,server,workload,"));
    let changed: BTreeSet<(&str, &str)> = lines
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            (cells[0], cells[4])
        })
        .collect();
    let expected = [
        ("20261121T034500Z-0000001", "false"),
        ("20261122T034500Z-0000002", "false"),
        ("20261123T034500Z-0000003", "true"),
    ];
    assert_eq!(changed, expected.into());
    let json: serde_json::Value = serde_json::from_str(&history.json()).unwrap();
    assert_eq!(json["runs"][0]["machine_changed"], serde_json::json!([]));
    assert_eq!(json["runs"][2]["machine_changed"][0]["member"], "kernel");
    assert_eq!(json["runs"][1]["run"], "20261122T034500Z-0000002");
}

#[test]
fn the_trials_are_one_observation_a_row() {
    let record = sample::record();
    let text = render("trials", &record, &summary());
    insta::assert_snapshot!(text);
    let rows: usize = record
        .trials
        .iter()
        .map(|trial| (trial.figures.len() + trial.errors.len()).max(1))
        .sum();
    assert_eq!(text.lines().count(), 1 + rows);
}
