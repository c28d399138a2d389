//! What a reader sees: golden files, and what must hold for every table.

use catalog::Stage;
use record::*;
use report::{Colour, WIDTH, formats, terminal, terminal_wide};
use unicode_width::UnicodeWidthStr;

use crate::record_and_report::{sample, summary::summary};

pub(crate) fn render(name: &str, record: &Record, summary: &Summary) -> String {
    let format = formats().find(|format| format.name == name).unwrap();
    (format.render)(record, summary)
}

#[test]
fn markdown_is_as_agreed() {
    insta::assert_snapshot!(render("markdown", &sample::record(), &summary()));
}

#[test]
fn csv_is_as_agreed() {
    insta::assert_snapshot!(render("csv", &sample::record(), &summary()));
}

#[test]
fn the_terminal_shows_the_same_without_markup() {
    let plain = terminal(&sample::record(), &summary(), Colour::Never);
    insta::assert_snapshot!(plain);
    let bold = terminal(&sample::record(), &summary(), Colour::Always);
    assert!(bold.contains("\u{1b}[1m| #") || bold.contains("\u{1b}[1m|#"));
    let codes = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m"];
    assert_eq!(
        codes.iter().fold(bold, |text, code| text.replace(code, "")),
        plain
    );
}

#[test]
fn a_wide_terminal_has_the_ratio_to_the_best_of_every_figure() {
    insta::assert_snapshot!(terminal_wide(&sample::record(), &summary(), Colour::Never));
}

/// A row is one line, the figure ranked by comes first, and a tail of the machine's has no ratio.
#[test]
fn a_row_is_one_line_with_its_ratio_to_the_best() {
    let text = terminal(&sample::record(), &summary(), Colour::Never);
    let table: Vec<&str> = text.lines().take_while(|line| *line != "Servers").collect();
    let rows = |name: &str| table.iter().filter(|line| line.contains(name)).count();
    assert_eq!((rows("hyper"), rows("broken")), (2, 2), "{text}");
    let cells = |name: &str| -> Vec<&str> {
        let row = table.iter().find(|line| line.contains(name)).unwrap();
        row.split('|').map(str::trim).collect()
    };
    assert_eq!(
        cells("hyper")[1..6],
        ["2–3", "hyper", "14.3", "1.15×", "1.12–1.20"]
    );
    assert_eq!(cells("actix-web")[3..6], ["12.4", "best", ""]);
    assert!(cells("hyper").contains(&"~11,400"), "{text}");
    assert!(!text.contains('±'), "{text}");
}

/// What holds for several rows and workloads stands in one note.
#[test]
fn a_reason_is_said_once() {
    let mut summary = summary();
    for (round, row) in (1..).zip(&mut summary.rows) {
        row.verdict = Verdict::Marked;
        row.reasons = vec![format!("round {round} is an outlier; it still counts")];
        row.rank = None;
    }
    for ranking in &mut summary.rankings {
        ranking.reason = "ranks are withheld: the control varied by 12 %".into();
    }
    let html = render("html", &sample::record(), &summary);
    for text in [
        render("markdown", &sample::record(), &summary),
        terminal(&sample::record(), &summary, Colour::Never),
        html.split("<h2 id=\"notes\">").last().unwrap().to_owned(),
    ] {
        assert_eq!(text.matches("control varied").count(), 1, "{text}");
        // Once for the peak stages, once for the paced ones.
        assert_eq!(text.matches("is an outlier").count(), 2, "{text}");
    }
    // Once more at the top of the page, in the banner about withheld ranks.
    assert_eq!(html.matches("control varied").count(), 1 + 1);
}

/// The same on a terminal and in a file: what was found when, and what could not be read.
#[test]
fn what_changed_during_the_run_is_told_from_what_was_so_before() {
    let mut record = sample::record();
    let finding = |id: &str, level, found: &str| Finding {
        id: id.into(),
        level,
        found: found.into(),
        why: "so".into(),
        fix: None,
    };
    record.environment.findings = vec![
        finding("governor", Level::Warn, "powersave"),
        finding("turbo", Level::Ok, "unknown: cannot read it"),
        finding("thermal", Level::Ok, "unknown: cannot read it"),
        finding("steal-during", Level::Fail, "12 %"),
        finding("load-during", Level::Warn, "7 %"),
        finding(
            "governor-changed",
            Level::Warn,
            "was powersave, is performance",
        ),
    ];
    let plain = terminal(&record, &summary(), Colour::Never);
    for text in [plain, render("markdown", &record, &summary())] {
        let lines: Vec<&str> = text
            .lines()
            .map(|line| line.trim_start_matches("- "))
            .collect();
        for line in [
            "Not met: governor: powersave (so)",
            "Makes figures wrong, over the run: steal: 12 % (so)",
            "Not met over the run: load: 7 % (so)",
            "Changed during the run: governor: was powersave, is performance (so)",
            "Could not be read: turbo, thermal",
        ] {
            assert!(lines.contains(&line), "{line} is not in {text}");
        }
    }
}

fn too_wide(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.width() > WIDTH).collect()
}

/// Names of 20 columns, large figures, wide intervals, reasons without a space: nothing is
/// wider than a terminal, and no name is cut.
#[test]
fn no_line_is_wider_than_a_terminal() {
    let name = "a_name_of_20_columns";
    let (mut record, mut summary) = (sample::record(), summary());
    for row in &mut summary.rows {
        row.display = name.into();
        row.lower_bound = true;
        row.rank = row.rank.map(|_| RankInterval { low: 10, high: 12 });
        if row.verdict != Verdict::Ok {
            row.reasons = vec!["word ".repeat(60), "x".repeat(300)];
        }
        for estimate in row.figures.values_mut() {
            estimate.high = estimate.median * 3.5;
        }
        if let Some(rate) = row.figures.get_mut("requests_per_s") {
            rate.median = 987_654.3;
        }
    }
    for row in &mut summary.servers {
        row.display = name.into();
        row.version = Some("10.11.12".into());
    }
    record.environment.cpu_model = "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz ".repeat(3);
    record.servers[4].failure.as_mut().unwrap().log_tail = "y".repeat(300);
    for text in [
        render("markdown", &record, &summary),
        terminal(&record, &summary, Colour::Never),
    ] {
        assert_eq!(too_wide(&text), Vec::<&str>::new());
        assert!(
            text.lines().filter(|line| line.contains(name)).count() >= 15,
            "{text}"
        );
    }
}

#[test]
fn a_run_with_nothing_in_it_says_so_without_failing() {
    let mut record = sample::record();
    record.servers.clear();
    record.trials.clear();
    record.environment = Environment::default();
    record.run.ended = Ended::Interrupted;
    let text = render("markdown", &record, &Summary::default());
    assert!(text.contains("interrupted"), "{text}");
    assert!(too_wide(&text).is_empty());
}

#[test]
fn a_run_of_peaks_alone_takes_the_cost_from_them_and_says_so() {
    let mut summary = summary();
    summary.rows.retain(|row| row.stage == Stage::Peak);
    let text = render("markdown", &sample::record(), &summary);
    assert!(text.contains("CPU at peak"), "{text}");
    assert!(text.contains("Not ranked"), "{text}");
    let row = text.lines().find(|line| line.contains("| axum")).unwrap();
    assert!(row.contains("8.36"), "{row}");
}

#[test]
fn a_rate_that_was_not_recorded_is_not_made_up() {
    let mut summary = summary();
    summary.rankings[0].rate_per_s = None;
    let text = render("markdown", &sample::record(), &summary);
    assert!(
        text.contains("a paced rate that was not recorded"),
        "{text}"
    );
}

/// A Markdown table has as many cells in each row as in its head.
#[test]
fn every_table_row_has_the_cells_of_its_head() {
    let text = render("markdown", &sample::record(), &summary());
    let mut cells = None;
    let mut tables = 0;
    for line in text.lines() {
        if !line.starts_with('|') {
            cells = None;
            continue;
        }
        let found = line.replace("\\|", "").matches('|').count();
        tables += usize::from(cells.is_none());
        assert_eq!(*cells.get_or_insert(found), found, "{line}");
    }
    assert_eq!(tables, 3);
}

/// Every figure of every row is in the CSV, and nothing is there as 0 for want of a value.
#[test]
fn csv_has_one_line_an_observation() {
    let summary = summary();
    let text = render("csv", &sample::record(), &summary);
    let rows: usize = summary
        .rows
        .iter()
        .map(|row| row.figures.len().max(1))
        .sum();
    let sizes = summary
        .servers
        .iter()
        .filter(|row| row.stripped_bytes.is_some())
        .count();
    let stops = summary
        .servers
        .iter()
        .filter(|row| row.lost_at_stop.is_some())
        .count();
    let figures: usize = summary.servers.iter().map(|row| row.figures.len()).sum();
    let without = summary.servers.len() - sizes;
    assert!(stops > 0);
    assert_eq!(
        text.lines().count(),
        1 + rows + sizes + stops + figures + without
    );
    let failed = text
        .lines()
        .find(|line| line.starts_with("broken,mixed,peak"))
        .unwrap();
    assert!(
        failed.starts_with("broken,mixed,peak,,,,,,0,,,,,,failed,,,false,"),
        "{failed}"
    );
}
