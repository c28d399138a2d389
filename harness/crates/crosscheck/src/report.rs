//! A crosscheck as aligned Markdown, which is also readable on a terminal.

mod promises;

use crate::judge::{Goal, Pair, Ratio, ServerTable, ToolFigure, ToolRow, tables};
use record::{Crosscheck, Ended};

use report::{ABSENT, Grid, WIDTH, significant, wrapped};

/// The settings, the tables, and the goals that were measured.
pub fn text(record: &Crosscheck) -> String {
    let mut lines = vec!["# Load generators compared".to_owned(), String::new()];
    lines.extend(wrapped(&about(record), WIDTH, 0));
    for tool in record.tools.iter().filter(|tool| tool.left_out.is_some()) {
        let why = tool.left_out.as_deref().unwrap_or_default();
        lines.push(format!("- {} was left out: {why}", tool.name));
    }
    for server in &record.servers {
        if let Some(why) = &server.failure {
            let text = format!("- {} failed: {why}", server.name);
            lines.extend(wrapped(&text, WIDTH, 2));
        }
    }
    for table in tables(record) {
        show(&mut lines, &table);
    }
    promises::show(&mut lines, record);
    lines.join("\n") + "\n"
}

/// The settings as text.
fn about(record: &Crosscheck) -> String {
    let cpus = machine::cpu_list::format;
    let environment = &record.environment;
    let place = match environment.pinned {
        true => format!(
            "server on CPU {}, every tool on CPU {}",
            cpus(&environment.server_cpus),
            cpus(&environment.driver_cpus)
        ),
        false => "server and tools not pinned".to_owned(),
    };
    let pace = match record.rate_per_s {
        None => "closed loop".to_owned(),
        Some(rate) => format!("{} requests/s", significant(rate, 6)),
    };
    let versions: Vec<&str> = record.tools.iter().filter_map(version).collect();
    let ended = match record.ended {
        Ended::Complete => "",
        Ended::Interrupted => " Interrupted: these are the results so far.",
        Ended::Open => " Still running, or killed.",
    };
    format!(
        "GET {}, {pace}, {} rounds of {} s per tool, one thread each, in shuffled order (seed {}); \
         {place}. Figures are medians over rounds; CPU covers the tool's whole process, including \
         its start. {}.{ended}",
        record.path,
        record.rounds,
        significant(record.duration_ms as f64 / 1e3, 3),
        record.seed,
        versions.join("; "),
    )
}

fn version(tool: &record::ToolRecord) -> Option<&str> {
    tool.version.as_deref().filter(|_| !tool.ours)
}

fn show(lines: &mut Vec<String>, table: &ServerTable) {
    lines.push(String::new());
    lines.push(format!(
        "## {}, {} connections",
        table.server, table.connections
    ));
    lines.push(String::new());
    lines.extend(figures(&table.rows).lines());
    if !table.pairs.is_empty() {
        lines.push(String::new());
        lines.extend(pairs(&table.pairs).lines());
    }
    if !table.remarks.is_empty() {
        lines.push(String::new());
    }
    for remark in &table.remarks {
        lines.extend(wrapped(&format!("- {remark}"), WIDTH, 2));
    }
}

fn figures(rows: &[ToolRow]) -> Grid {
    let head = [
        "tool",
        "req/s",
        "p50 µs",
        "p95 µs",
        "p99 µs",
        "mean µs",
        "CPU µs/req",
        "CPU %",
        "rate×mean/c",
        "extra conns",
        "errors",
    ];
    let short = [
        "tool", "req/s", "p50 µs", "p95 µs", "p99 µs", "mean µs", "CPU µs", "CPU %", "Little",
        "conns+", "errors",
    ];
    let cells = rows.iter().map(|row| {
        let us = |figure| shown(row.figures.get(&figure).map(|ns| ns / 1e3), 3);
        vec![
            row.tool.clone(),
            shown(row.figures.get(&ToolFigure::RequestsPerS).copied(), 4),
            us(ToolFigure::P50),
            us(ToolFigure::P95),
            us(ToolFigure::P99),
            us(ToolFigure::Mean),
            us(ToolFigure::CpuPerRequest),
            shown(row.busy_ratio.map(|busy| busy * 100.0), 2),
            row.little_ratio
                .map_or(ABSENT.into(), |r| format!("{r:.2}")),
            row.further_connections
                .map_or(ABSENT.into(), |n| n.to_string()),
            row.errors.to_string(),
        ]
    });
    Grid::fitting(&head, &short, 1, cells.collect())
}

fn pairs(pairs: &[Pair]) -> Grid {
    let head = [
        "ours / theirs, 95 %",
        "req/s",
        "p50",
        "p95",
        "p99",
        "CPU/request",
        "goal for CPU",
    ];
    let short = ["ours / theirs", "req/s", "p50", "p95", "p99", "CPU", "goal"];
    let cells = pairs.iter().map(|pair| {
        let of = |figure| pair.ratios.get(&figure).map_or(ABSENT.into(), ratio);
        vec![
            format!("{} / {}", pair.ours, pair.theirs),
            of(ToolFigure::RequestsPerS),
            of(ToolFigure::P50),
            of(ToolFigure::P95),
            of(ToolFigure::P99),
            of(ToolFigure::CpuPerRequest),
            pair.goal.as_ref().map_or(ABSENT.into(), |goal| {
                format!("≤ {:.2} {}", goal.most, verdict(goal))
            }),
        ]
    });
    Grid::fitting(&head, &short, 1, cells.collect())
}

/// The median with its interval in brackets; without an interval, with the range written as `low to high`.
fn ratio(ratio: &Ratio) -> String {
    let Ratio {
        median, low, high, ..
    } = ratio;
    match (ratio.n, ratio.sure) {
        (1, _) => format!("{median:.2} (n=1)"),
        (_, true) => format!("{median:.2} ({low:.2}–{high:.2})"),
        (_, false) => format!("{median:.2} ({low:.2} to {high:.2})"),
    }
}

fn verdict(goal: &Goal) -> String {
    match goal.met {
        true => "met".to_owned(),
        false => format!("missed by {:.0} %", (goal.over * 100.0).max(1.0)),
    }
}

fn shown(value: Option<f64>, digits: i32) -> String {
    value.map_or(ABSENT.into(), |value| significant(value, digits))
}
