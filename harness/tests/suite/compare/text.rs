//! What a reader sees: golden files, and what must hold for every table.

use std::io::Write as _;
use std::process::{Command, Stdio};

use judge::{Choice, Comparison, Named, Outcome, StandingChoice, standing};
use machine::MachineDifference;
use record::{Failure, Record, Step};
use report::{COMPARISON_SCHEMA_VERSION, Colour, Meeting, Ranked, WIDTH};
use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use crate::compare::sample::{Sample, compare, compare_with};

/// Everything a comparison can say: a change either way, a failure, what is not comparable, a
/// control that moved.
fn runs() -> (Record, Record) {
    let entries = |a, b| {
        vec![
            ("may_minihttp", a),
            ("axum", b),
            ("hyper", 1.3),
            ("broken", 1.0),
            ("control", 3.0),
            ("control~2", 3.0),
        ]
    };
    let base = Sample::new(1, &entries(1.0, 1.0)).record();
    let mut new = Sample::new(2, &entries(0.7, 1.25)).record();
    new.run.paced_ms = 2_000;
    let failed = new
        .servers
        .iter_mut()
        .find(|server| server.name == "broken")
        .unwrap();
    failed.failure = Some(Failure {
        step: Step::Check,
        reason: "orders.create: POST /api/v1/orders answered 500 instead of 201".into(),
        log_tail: String::new(),
    });
    new.trials.retain(|trial| trial.server != "broken");
    for trial in new
        .trials
        .iter_mut()
        .filter(|trial| trial.server == "hyper")
    {
        trial.figures.insert("driver_busy_ratio".into(), 0.99);
        trial.figures.insert("server_busy_ratio".into(), 0.6);
    }
    (base, new)
}

fn another() -> Vec<MachineDifference> {
    vec![MachineDifference {
        member: "kernel",
        base: "6.12.43".into(),
        new: "6.13.1".into(),
    }]
}

struct Case {
    base: Record,
    new: Record,
    comparison: Comparison,
    another_machine: Vec<MachineDifference>,
}

impl Case {
    fn new() -> Self {
        let (base, new) = runs();
        let comparison = compare(&base, &new);
        Self {
            base,
            new,
            comparison,
            another_machine: Vec::new(),
        }
    }

    fn meeting(&self) -> Meeting<'_> {
        Meeting {
            base: (&self.base, None),
            new: (&self.new, None),
            same_run: false,
            another_machine: &self.another_machine,
            comparison: &self.comparison,
        }
    }
}

#[test]
fn the_terminal_shows_what_changed_first() {
    let case = Case::new();
    insta::assert_snapshot!(case.meeting().terminal(true, Colour::Never));
    let short = case.meeting().terminal(false, Colour::Never);
    assert!(
        !short.contains("start ms | ") && short.contains("regressed!"),
        "{short}"
    );
}

#[test]
fn markdown_folds_away_what_did_not() {
    insta::assert_snapshot!(Case::new().meeting().markdown());
}

/// What `scripts/ci-shorten` makes of a text.
fn shorten(text: &str, limit: usize) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/ci-shorten");
    let mut child = Command::new("python3")
        .args([script, &limit.to_string(), "the summary."])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_long_comment_is_shortened_by_whole_sections() {
    let mut case = Case::new();
    let short = format!("<!-- mark -->\n{}", case.meeting().markdown());
    assert_eq!(shorten(&short, 65_000), short);

    let same = |change: &&judge::Change| change.outcome == Outcome::Indistinguishable;
    let same = case.comparison.changes.iter().find(same).unwrap().clone();
    case.comparison.changes.extend(vec![same; 2_000]);
    let whole = format!("<!-- mark -->\n{}", case.meeting().markdown());
    assert!(whole.encode_utf16().count() > 65_000);
    let found = shorten(&whole, 65_000);
    assert!(found.encode_utf16().count() <= 65_000);
    let count = |text: &str, word: &str| text.matches(word).count();
    assert_eq!(
        count(&found, "<details>"),
        count(&whole, "<details>") - 1,
        "{found}"
    );
    assert_eq!(count(&found, "<details>"), count(&found, "</details>"));
    let last = found.lines().last().unwrap();
    assert!(
        last.contains(" indistinguishable”. All of it: the summary."),
        "{last}"
    );
    // The rest is there, in its order.
    let mut lines = whole.lines();
    let kept = found.lines().take_while(|line| *line != last);
    for line in kept.filter(|line| !line.is_empty()) {
        assert!(lines.any(|other| other == line), "{line}");
    }

    // However short, the title stays, and the comment is found again by its mark.
    let least = shorten(&whole, 400);
    assert!(
        least.starts_with("<!-- mark -->\n### Comparison:"),
        "{least}"
    );
    assert!(least.contains(" more. All of it: the summary."), "{least}");
}

#[test]
fn a_comment_closes_what_it_was_given_open() {
    for (open, closed) in [
        (
            "<details><summary>a</summary>\n\n| b |\n",
            "<details><summary>a</summary>\n\n| b |\n\n</details>\n",
        ),
        (
            "a\n\n```text\n</details>\n\nb\n",
            "a\n\n```text\n</details>\n\nb\n```\n",
        ),
        (
            "<details>\n\n~~~~\n~~~\n",
            "<details>\n\n~~~~\n~~~\n~~~~\n\n</details>\n",
        ),
        (
            "<details>\n<details>\n</details>\n",
            "<details>\n<details>\n</details>\n\n</details>\n",
        ),
    ] {
        assert_eq!(shorten(open, 65_000), closed);
    }
}

#[test]
fn json_holds_it_all() {
    let (base, new) = runs();
    let choice = Choice {
        servers: vec!["axum".into(), "broken".into(), "hyper".into()],
        figures: vec!["requests_per_s".into()],
        ..Choice::default()
    };
    let comparison = compare_with(&base, &new, &choice);
    let meeting = Meeting {
        base: (&base, None),
        new: (&new, None),
        same_run: false,
        another_machine: &another(),
        comparison: &comparison,
    };
    insta::assert_snapshot!(meeting.json());
}

#[test]
fn json_counts_are_those_of_its_lists() {
    let case = Case::new();
    let document: Value = serde_json::from_str(&case.meeting().json()).unwrap();
    assert_eq!(document["schema_version"], COMPARISON_SCHEMA_VERSION);
    let list = |name: &str| document[name].as_array().unwrap().clone();
    let with = |verdict: &str| {
        let all = [list("changes"), list("failures")].concat();
        all.iter().filter(|one| one["verdict"] == verdict).count()
    };
    let counts = &document["counts"];
    for verdict in ["regressed", "improved", "indistinguishable"] {
        assert_eq!(counts[verdict], with(verdict), "{verdict}");
    }
    assert_eq!(counts["compared"], list("changes").len());
    assert_eq!(counts["not_compared"], list("not_compared").len());
    assert!(
        list("changes")
            .iter()
            .all(|c| c["verdict"] != "indistinguishable" || c["sure"] == false)
    );
}

#[test]
fn every_row_of_another_machine_says_so() {
    let mut case = Case::new();
    case.another_machine = another();
    for text in [
        case.meeting().terminal(true, Colour::Never),
        case.meeting().markdown(),
    ] {
        let rows = text.lines().filter(|line| line.starts_with('|'));
        let rows: Vec<&str> = rows
            .filter(|line| !line.contains("server") && !line.contains("---"))
            .collect();
        assert!(rows.len() > 20, "{text}");
        assert!(rows.iter().all(|row| row.contains("another ")), "{text}");
        assert!(
            text.contains("kernel is 6.12.43 in base, 6.13.1 in new"),
            "{text}"
        );
    }
}

#[test]
fn no_line_is_wider_than_a_terminal() {
    let mut case = Case::new();
    for change in &mut case.comparison.changes {
        change.base.median *= 9.0;
        change.new.median *= 9.0;
        change.ratio.median *= 1_234.0;
        change.ratio.interval.high *= 12_345.0;
    }
    let long = Sample::new(1, &[("a_name_of_20_columns", 1.0), ("b", 1.0)]).record();
    for another_machine in [Vec::new(), another()] {
        case.another_machine = another_machine;
        for text in [
            case.meeting().terminal(true, Colour::Never),
            case.meeting().markdown(),
        ] {
            let wide: Vec<&str> = text.lines().filter(|line| line.width() > WIDTH).collect();
            assert!(wide.is_empty(), "{wide:#?}");
        }
        let found = standing_of(&[&long]);
        let text = found.0.clone() + &found.1;
        assert!(text.lines().all(|line| line.width() <= WIDTH), "{text}");
    }
}

#[test]
fn nothing_in_common_is_said() {
    let base = Sample::new(1, &[("a", 1.0)]).record();
    let new = Sample::new(2, &[("b", 1.0)]).record();
    let comparison = compare(&base, &new);
    assert_eq!(comparison.count(Outcome::Indistinguishable), 0);
    let meeting = Meeting {
        base: (&base, None),
        new: (&new, None),
        same_run: false,
        another_machine: &[],
        comparison: &comparison,
    };
    let text = meeting.terminal(false, Colour::Never);
    assert!(
        text.contains("No figure could be compared.") && text.contains("b: not in base"),
        "{text}"
    );
}

/// For the terminal, as Markdown, as JSON.
fn standing_of(runs: &[&Record]) -> (String, String, String) {
    let named: Vec<Named<'_>> = runs
        .iter()
        .map(|record| Named {
            name: &record.run.id,
            record,
        })
        .collect();
    let found = standing(&named, &StandingChoice::default());
    let ranked = Ranked {
        runs,
        another_machine: &[],
        standing: &found,
    };
    (
        ranked.terminal(Colour::Never),
        ranked.markdown(),
        ranked.json(),
    )
}

#[test]
fn a_standing_is_as_agreed() {
    let mut sample = Sample::new(
        1,
        &[
            ("axum", 1.0),
            ("hyper", 1.2),
            ("salvo", 0.6),
            ("other", 1.0),
        ],
    );
    sample.workloads = vec!["mixed", "orders", "ping", "users", "one", "two"];
    sample.bias = vec![("axum", "ping", 1.5)];
    let mut record = sample.record();
    for trial in record
        .trials
        .iter_mut()
        .filter(|t| t.server == "other" && t.workload == "ping")
    {
        trial.errors.insert("body".into(), 7);
    }
    let (terminal, markdown, _) = standing_of(&[&record]);
    insta::assert_snapshot!(terminal);
    assert!(
        markdown.starts_with("### Standing across mixed"),
        "{markdown}"
    );
    assert_eq!(
        markdown.matches("|\n").count(),
        terminal.matches("|\n").count()
    );
}

#[test]
fn a_standing_as_json_is_as_agreed() {
    let mut sample = Sample::new(1, &[("axum", 1.0), ("salvo", 0.6)]);
    sample.workloads = vec!["mixed", "ping"];
    insta::assert_snapshot!(standing_of(&[&sample.record()]).2);
}
