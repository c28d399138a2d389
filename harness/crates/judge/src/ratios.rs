//! How each row compares with the best one of its workload and stage.
//!
//! The ratio is the median over common rounds of log(value / best's value), with a 95 % interval from
//! resampling the rounds ([`paired_ratio`]). It is shown as a factor.
//!
//! The best is the row with the best level ([`levels`]: the median log-ratio to the round's reference) among
//! those that did not fail. The control and twins are never the best; another build may be. A row with too few
//! rounds for an interval is not the best if another has enough. Nor is a row that is set apart, such as one
//! that opened a connection for each request.

use std::collections::BTreeMap;

use super::row_view::series;
use super::rows::Judged;
use catalog::Stage;
use record::figure::{self, Figure};
use record::{EntryKind, RatioToBest, Verdict};
use stats::{Better, Bootstrap, MIN_REPLICATES, PairedRatio, Series, levels, paired_ratio};

/// Fills in [`record::Row::ratio_to_best`] of a workload's rows.
pub(super) fn give(judged: &mut [Judged<'_>], bootstrap: &mut Bootstrap) {
    for stage in Stage::ALL {
        for figure in figure::of_table() {
            // In the paced stage the rate is the same for all by design.
            if figure.id == figure::RATE && stage == Stage::Paced {
                continue;
            }
            for (row, ratio) in ratios(judged, stage, figure, bootstrap) {
                let own = &mut judged[row].row.ratio_to_best;
                own.insert(figure.id.to_owned(), ratio);
            }
        }
    }
}

/// The ratios in one figure, each with the index of its row.
fn ratios(
    judged: &[Judged<'_>],
    stage: Stage,
    figure: &Figure,
    bootstrap: &mut Bootstrap,
) -> Vec<(usize, RatioToBest)> {
    let of_row = |(index, judged): (usize, &Judged<'_>)| {
        let sound = judged.row.stage == stage && judged.row.verdict != Verdict::Failed;
        let own = series(&judged.valid, figure.id);
        (sound && own.values().any(|value| *value > 0.0)).then_some((index, own))
    };
    let all: BTreeMap<usize, Series> = judged.iter().enumerate().filter_map(of_row).collect();
    let Some(best) = best(judged, &all, figure.better()) else {
        return Vec::new();
    };
    let name = &judged[best].row.server;
    let to_best = |(&index, own): (&usize, &Series)| {
        let ratio = if index == best {
            None
        } else {
            Some(paired_ratio(own, &all[&best], bootstrap)?)
        };
        let interval = ratio.as_ref().and_then(PairedRatio::factors);
        let rounds = ratio.map_or(own.len(), |ratio| ratio.n);
        let found = RatioToBest {
            ratio: ratio.map_or(1.0, |ratio| ratio.factor()),
            low: interval.map(|interval| interval.low),
            high: interval.map(|interval| interval.high),
            rounds: u32::try_from(rounds).unwrap_or(u32::MAX),
            best: name.clone(),
            by_machine: false,
        };
        Some((index, found))
    };
    all.iter().filter_map(to_best).collect()
}

/// The index of the best row; `None` if no server has the figure.
fn best(judged: &[Judged<'_>], all: &BTreeMap<usize, Series>, better: Better) -> Option<usize> {
    let may = |index: &usize| {
        let kind = EntryKind::of(&judged[*index].row.server);
        let apart = judged[*index].apart.is_some();
        matches!(kind, EntryKind::Server | EntryKind::Build(_)) && !apart
    };
    let candidates: Vec<(&usize, &Series)> = all.iter().filter(|(i, _)| may(i)).collect();
    let most = candidates.iter().map(|(_, own)| own.len()).max()?;
    let enough = candidates
        .into_iter()
        .filter(|(_, own)| own.len() >= most.min(MIN_REPLICATES));
    let (indices, series): (Vec<usize>, Vec<Series>) =
        enough.map(|(index, own)| (*index, own.clone())).unzip();
    let level = |level: Option<f64>| match better {
        Better::Higher => level.map(|level| -level),
        Better::Lower => level,
    };
    let placed = indices.into_iter().zip(levels(&series));
    placed
        .filter_map(|(index, own)| Some((index, level(own)?)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(index, _)| index)
}
