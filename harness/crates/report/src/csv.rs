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
        out.push_str(&row);
        out.push('\n');
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
        line(out, common, None);
    }
    for figure in figures {
        line(out, common, Some(figure));
    }
}

fn line(out: &mut Vec<String>, common: &Common<'_>, figure: Option<(&String, &Estimate)>) {
    let estimate = figure.map(|(_, estimate)| estimate);
    let number =
        |get: fn(&Estimate) -> f64| estimate.map_or_else(String::new, |e| get(e).to_string());
    let ratio = figure.and_then(|(name, _)| common.ratios?.get(name));
    let of_ratio = |get: fn(&RatioToBest) -> Option<f64>| {
        ratio
            .and_then(get)
            .map_or_else(String::new, |value| value.to_string())
    };
    let rank =
        |get: fn(RankInterval) -> u32| common.rank.map_or_else(String::new, |r| get(r).to_string());
    let bounded = common.lower_bound && figure.is_some_and(|(name, _)| name == RATE);
    let cells = [
        common.server.to_owned(),
        common.workload.to_owned(),
        common.stage.to_owned(),
        figure.map_or_else(String::new, |(name, _)| name.clone()),
        figure
            .map_or("", |(name, _)| Unit::of(name).name())
            .to_owned(),
        number(|e| e.median),
        number(|e| e.low),
        number(|e| e.high),
        estimate.map_or(0, |e| e.n).to_string(),
        of_ratio(|r| Some(r.ratio)),
        of_ratio(|r| r.low),
        of_ratio(|r| r.high),
        ratio.map_or_else(String::new, |r| r.best.clone()),
        ratio.map_or_else(String::new, |r| r.by_machine.to_string()),
        common.verdict.to_owned(),
        rank(|r| r.low),
        rank(|r| r.high),
        bounded.to_string(),
        common.reasons.clone(),
    ];
    out.push(cells.map(|cell| quoted(&cell)).join(","));
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
