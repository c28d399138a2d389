//! The result in a sentence for each workload, and warnings about it.

use minijinja::{Value, context};

use crate::chart::{self, Field, rank_text};
use crate::notes::Notes;
use crate::page;
use catalog::Stage;
use record::{Level, RankInterval, Record, Summary, Verdict};
use words::listed;

use super::{anchor, figure, list};

/// Warnings, each in a box: an unfinished run, withheld ranks, failed servers, a machine that invalidates
/// figures.
pub(super) fn banners(record: &Record, summary: &Summary) -> Value {
    let mut banners = Vec::new();
    // It is bad if figures or ranks are missing or wrong, not just less precise.
    let mut banner = |bad: bool, title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            banners.push(context! { bad, title, lines => list(lines) });
        }
    };
    let unfinished = page::unfinished(&record.run).map(str::to_owned);
    banner(false, "Incomplete run", unfinished.into_iter().collect());
    let unranked = |workload: &str| {
        let mut rows = summary.rows.iter().filter(|row| row.workload == workload);
        rows.all(|row| row.rank.is_none())
    };
    let withheld = summary.rankings.iter().filter(|r| unranked(&r.workload));
    let mut reasons = Notes::default();
    let count = withheld
        .map(|ranking| reasons.number(&ranking.reason, &ranking.workload))
        .count();
    let all = summary.rankings.len();
    let share = match count {
        some if some < all => format!(" in {some} of {all} workloads"),
        _ => String::new(),
    };
    let title = format!("Ranks are withheld{share}; only figures are shown");
    banner(true, &title, reasons.texts(all));
    let failed = summary
        .servers
        .iter()
        .filter(|row| row.verdict == Verdict::Failed)
        .map(|row| format!("{}: {}", row.display, row.reasons.join("; ")));
    banner(true, "Failed", failed.collect());
    let findings = record.environment.findings.iter();
    let wrong = findings
        .filter(|finding| finding.level == Level::Fail)
        .map(|f| format!("{}: {} ({})", f.subject(), f.found, f.why));
    let title = "This machine invalidates the figures";
    banner(true, title, wrong.collect());
    list(banners)
}

/// One sentence for each workload, and the figure ranked by if it is the same for all.
pub(super) fn verdicts(fields: &[Field<'_>]) -> Value {
    let all: Vec<Option<String>> = fields.iter().map(ranked_by).collect();
    let mut told = all.iter().flatten();
    let first = told.next().cloned();
    let common = first.filter(|first| told.all(|other| other == first));
    let sentence = |(field, by): (&Field<'_>, &Option<String>)| {
        let own = by.clone().filter(|_| common.is_none());
        sentence(field, own)
    };
    let sentences: Value = fields.iter().zip(&all).map(sentence).collect();
    let ties = "Each line is the 95 % interval of a ratio to the best. If it touches the band, the \
                server ties with the best, and its mark is filled. Servers with overlapping ranks, \
                such as 1–2 and 2–3, can't be told apart.";
    let by = match (&common, all.iter().any(Option::is_some)) {
        (Some(by), _) => format!("{by} {ties}"),
        (None, true) => ties.to_owned(),
        (None, false) => "Each line is the 95 % interval of a ratio to the best.".to_owned(),
    };
    context! { by, sentences }
}

/// The figure that a workload is ranked by; `None` if it has no ranks.
fn ranked_by(field: &Field<'_>) -> Option<String> {
    field.last_rank()?;
    let ranking = field.ranking?;
    let load = match ranking.stage {
        Stage::Peak => "at peak",
        Stage::Paced => "at the same rate for all",
    };
    let name = record::figure::name(&ranking.ranked_by);
    Some(format!("Ranked by {name} {load}."))
}

fn sentence(field: &Field<'_>, by: Option<String>) -> Value {
    let ranked: Vec<(RankInterval, &str)> = field
        .servers()
        .filter_map(|entry| Some((entry.rank()?, entry.display)))
        .collect();
    let mut parts = places(&ranked);
    if ranked.is_empty() {
        parts.push("Not ranked".to_owned());
    }
    for entry in field.servers() {
        match entry.verdict() {
            Verdict::Failed => parts.push(format!("{} failed", entry.display)),
            // It is set apart or has too few rounds; the table shows which.
            _ if !ranked.is_empty() && entry.rank().is_none() => {
                parts.push(format!("{} has no rank", entry.display));
            }
            _ => {}
        }
    }
    let text = format!("{}. {}", parts.join("; "), by.unwrap_or_default());
    context! {
        workload => field.workload,
        id => anchor(field.workload),
        text => text.trim_end(),
        // The ratios to the best; absent if nothing can be compared.
        figure => chart::decisive(field).map(figure),
    }
}

/// As in `alder and birch tie for 1–2`, `cedar 3`, best first; `ranked` is sorted.
fn places(ranked: &[(RankInterval, &str)]) -> Vec<String> {
    ranked
        .chunk_by(|(a, _), (b, _)| a == b)
        .map(|same| {
            let names: Vec<&str> = same.iter().map(|(_, name)| *name).collect();
            let rank = rank_text(Some(same[0].0));
            let tie = if names.len() > 1 { " tie for" } else { "" };
            format!("{}{tie} {rank}", listed(&names))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ties_is_said_in_words() {
        let rank = |low, high| RankInterval { low, high };
        let told = |ranked: &[(RankInterval, &str)]| places(ranked).join("; ");
        assert_eq!(
            told(&[(rank(1, 2), "a"), (rank(1, 2), "b"), (rank(3, 3), "c")]),
            "a and b tie for 1–2; c 3"
        );
        assert_eq!(
            told(&[
                (rank(1, 3), "a"),
                (rank(1, 3), "b"),
                (rank(1, 3), "c"),
                (rank(2, 4), "d")
            ]),
            "a, b and c tie for 1–3; d 2–4"
        );
        assert_eq!(told(&[]), "");
    }
}
