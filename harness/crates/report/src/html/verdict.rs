//! The result in a sentence for each workload, and warnings about it.

use serde::Serialize;

use crate::chart::{self, Entrant, Field, rank_text};
use crate::notes::Notes;
use crate::page;
use catalog::Stage;
use record::{Level, RankInterval, Record, Summary, Verdict};
use words::listed;

use super::{Figure, anchor, figure};

/// A box at the top of the page.
#[derive(Debug, Serialize)]
pub(super) struct Banner {
    /// Figures or ranks are missing or wrong, not just less precise.
    bad: bool,
    title: String,
    lines: Vec<String>,
}

/// All workloads.
#[derive(Debug, Serialize)]
pub(super) struct Verdicts {
    /// The figure ranked by, if it is the same for all workloads.
    by: String,
    sentences: Vec<Sentence>,
}

/// The result of a workload.
#[derive(Debug, Serialize)]
struct Sentence {
    workload: String,
    id: String,
    text: String,
    /// The ratios to the best; absent if nothing can be compared.
    figure: Option<Figure>,
}

/// Warnings: an unfinished run, withheld ranks, failed servers, a machine that invalidates figures.
pub(super) fn banners(record: &Record, summary: &Summary) -> Vec<Banner> {
    let mut banners = Vec::new();
    if let Some(text) = page::unfinished(&record.run) {
        banners.push(Banner {
            bad: false,
            title: "Incomplete run".to_owned(),
            lines: vec![text.to_owned()],
        });
    }
    let unranked = |workload: &str| {
        let mut rows = summary.rows.iter().filter(|row| row.workload == workload);
        rows.all(|row| row.rank.is_none())
    };
    let withheld = summary.rankings.iter().filter(|r| unranked(&r.workload));
    let mut reasons = Notes::default();
    let count = withheld
        .map(|ranking| reasons.number(&ranking.reason, &ranking.workload))
        .count();
    let lines = reasons.texts(summary.rankings.len());
    if !lines.is_empty() {
        banners.push(Banner {
            bad: true,
            title: match count {
                all if all == summary.rankings.len() => {
                    "Ranks are withheld; only figures are shown".to_owned()
                }
                some => format!(
                    "Ranks are withheld in {some} of {} workloads; only figures are shown",
                    summary.rankings.len()
                ),
            },
            lines,
        });
    }
    let failed = summary
        .servers
        .iter()
        .filter(|row| row.verdict == Verdict::Failed);
    let lines: Vec<String> = failed
        .map(|row| format!("{}: {}", row.display, row.reasons.join("; ")))
        .collect();
    if !lines.is_empty() {
        banners.push(Banner {
            bad: true,
            title: "Failed".to_owned(),
            lines,
        });
    }
    let findings = record.environment.findings.iter();
    let wrong = findings.filter(|finding| finding.level == Level::Fail);
    let lines: Vec<String> = wrong
        .map(|f| format!("{}: {} ({})", f.subject(), f.found, f.why))
        .collect();
    if !lines.is_empty() {
        banners.push(Banner {
            bad: true,
            title: "This machine invalidates the figures".to_owned(),
            lines,
        });
    }
    banners
}

/// One sentence for each workload.
pub(super) fn verdicts(fields: &[Field<'_>]) -> Verdicts {
    let all: Vec<Option<String>> = fields.iter().map(ranked_by).collect();
    let mut told = all.iter().flatten();
    let first = told.next().cloned();
    let common = first.filter(|first| told.all(|other| other == first));
    let sentence = |(field, by): (&Field<'_>, &Option<String>)| {
        let own = by.clone().filter(|_| common.is_none());
        sentence(field, own)
    };
    let sentences = fields.iter().zip(&all).map(sentence).collect();
    let ties = "Each line is the 95 % interval of a ratio to the best. If it touches the band, the \
                server ties with the best, and its mark is filled. Servers with overlapping ranks, \
                such as 1–2 and 2–3, can't be told apart.";
    Verdicts {
        by: match (&common, all.iter().any(Option::is_some)) {
            (Some(by), _) => format!("{by} {ties}"),
            (None, true) => ties.to_owned(),
            (None, false) => "Each line is the 95 % interval of a ratio to the best.".to_owned(),
        },
        sentences,
    }
}

/// The figure that a workload is ranked by; `None` if it has no ranks.
fn ranked_by(field: &Field<'_>) -> Option<String> {
    field.entries.iter().find_map(Entrant::rank)?;
    let ranking = field.ranking?;
    let load = match ranking.stage {
        Stage::Peak => "at peak",
        Stage::Paced => "at the same rate for all",
    };
    let name = record::figure::name(&ranking.ranked_by);
    Some(format!("Ranked by {name} {load}."))
}

fn sentence(field: &Field<'_>, by: Option<String>) -> Sentence {
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
    Sentence {
        workload: field.workload.to_owned(),
        id: anchor(field.workload),
        text: format!("{}. {}", parts.join("; "), by.unwrap_or_default())
            .trim_end()
            .to_owned(),
        figure: chart::decisive(field).map(figure),
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
