//! Tidy CSV: one observation per row, with full precision.
//!
//! A row without figures has one line with an empty figure, so that failed servers are included. Figures of a
//! server over the whole run have an empty workload and stage.

use std::collections::BTreeMap;

use record::figure::{RATE, Unit};
use record::{Estimate, Estimates, RankInterval, RatioToBest, Record, Summary};

pub(super) const HEAD: &str = "server,workload,stage,figure,unit,median,low,high,n,ratio,\
                    ratio_low,ratio_high,best,by_machine,verdict,rank_low,rank_high,lower_bound,reasons";

/// What all observations of a row share.
struct Common<'a> {
    server: &'a str,
    workload: &'a str,
    stage: &'a str,
    verdict: &'a str,
    rank: Option<RankInterval>,
    lower_bound: bool,
    reasons: String,
    ratios: Option<&'a BTreeMap<String, RatioToBest>>,
}

/// The text of `table.csv` (RFC 4180, but with `\n` line endings).
pub(super) fn csv(_record: &Record, summary: &Summary) -> String {
    let mut out = format!("{HEAD}\n");
    for row in rows(summary) {
        out += &format!("{row}\n");
    }
    out
}

/// The observations, one line each.
pub(super) fn rows(summary: &Summary) -> Vec<String> {
    let mut out = Vec::new();
    for row in &summary.rows {
        let common = Common {
            server: &row.server,
            workload: &row.workload,
            stage: row.stage.name(),
            verdict: row.verdict.name(),
            rank: row.rank,
            lower_bound: row.lower_bound,
            reasons: row.reasons.join("; "),
            ratios: Some(&row.ratio_to_best),
        };
        observations(&mut out, &common, &row.figures);
    }
    for row in &summary.servers {
        let common = Common {
            server: &row.server,
            workload: "",
            stage: "",
            verdict: row.verdict.name(),
            rank: None,
            lower_bound: false,
            reasons: row.reasons.join("; "),
            ratios: None,
        };
        observations(&mut out, &common, &row.with_build());
    }
    out
}

fn observations(out: &mut Vec<String>, common: &Common<'_>, figures: &Estimates) {
    if figures.is_empty() {
        out.push(line(common, None));
    }
    out.extend(figures.iter().map(|figure| line(common, Some(figure))));
}

fn line(common: &Common<'_>, figure: Option<(&String, &Estimate)>) -> String {
    let (name, estimate) = figure.unzip();
    let ratio = name.and_then(|name| common.ratios?.get(name));
    let rank = common.rank;
    let bounded = common.lower_bound && name.is_some_and(|name| name == RATE);
    let cells = [
        common.server.to_owned(),
        common.workload.to_owned(),
        common.stage.to_owned(),
        shown(name),
        shown(name.map(|name| Unit::of(name).name())),
        shown(estimate.map(|e| e.median)),
        shown(estimate.map(|e| e.low)),
        shown(estimate.map(|e| e.high)),
        estimate.map_or(0, |e| e.n).to_string(),
        shown(ratio.map(|r| r.ratio)),
        shown(ratio.and_then(|r| r.low)),
        shown(ratio.and_then(|r| r.high)),
        shown(ratio.map(|r| &r.best)),
        shown(ratio.map(|r| r.by_machine)),
        common.verdict.to_owned(),
        shown(rank.map(|r| r.low)),
        shown(rank.map(|r| r.high)),
        bounded.to_string(),
        common.reasons.clone(),
    ];
    cells.map(|cell| quoted(&cell)).join(",")
}

/// Empty for what is absent.
fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// A cell, quoted if needed.
pub(super) fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn only_cells_that_need_it_are_quoted() {
        assert_eq!(quoted("plain 1.5"), "plain 1.5");
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("say \"no\"\n"), "\"say \"\"no\"\"\n\"");
    }
}
