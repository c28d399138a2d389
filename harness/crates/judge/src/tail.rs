//! Tails that the machine made and not the servers.
//!
//! A virtual machine that loses its CPU for a millisecond puts that millisecond into the p99 of
//! whichever entry was being measured. Such a figure repeats in no entry, so it says nothing of a
//! server. A tail figure (p99, p99.9, first-byte p99, jitter; paced stage) of a row is the
//! machine's where both hold:
//!
//! 1. Two copies of one program, the control's two entries, can't be compared in it: the 95 %
//!    interval of their ratio reaches beyond [`CONTROL_LIMIT`] either way.
//! 2. Neither can this row and the best: the wider half of the interval of their ratio is beyond
//!    [`OWN_LIMIT`].
//!
//! The first alone does not suffice, for a server may have a tail of its own that stands out of the noise
//! clearly. The second alone does not either: it may be the server that varies. The best's own row has no
//! ratio to be judged by; its figure is the machine's where that of every other row is, the
//! control's included. Without an interval (fewer than three common rounds) nothing is said.

use super::reason::Reason;
use super::row_view::series;
use super::rows::Judged;
use catalog::Stage;
use record::figure::FIGURES;
use record::{CONTROL, RatioToBest, Verdict, second_name};
use stats::{Bootstrap, paired_ratio};

/// How far the interval of the control's two entries may reach from 1, as a factor.
const CONTROL_LIMIT: f64 = 1.10;

/// How far the interval of a ratio to the best may reach from that ratio, as a factor.
const OWN_LIMIT: f64 = 1.25;

/// Marks the figures that are the machine's, and says which those are.
pub(super) fn mark(judged: &mut [Judged<'_>], bootstrap: &mut Bootstrap) -> Option<Reason> {
    let mut figures = Vec::new();
    let mut worst = 1.0_f64;
    for figure in FIGURES.iter().filter(|figure| figure.tail).map(|f| f.id) {
        let reach = control_reach(judged, figure, bootstrap);
        let Some(reach) = reach.filter(|reach| *reach > CONTROL_LIMIT) else {
            continue;
        };
        if mark_rows(judged, figure) {
            figures.push(figure);
            worst = worst.max(reach);
        }
    }
    (!figures.is_empty()).then_some(Reason::MachineTail {
        figures,
        apart: worst,
    })
}

/// How far from 1 the ratio of the control's two entries may be, as a factor of at least 1.
fn control_reach(judged: &[Judged<'_>], figure: &str, bootstrap: &mut Bootstrap) -> Option<f64> {
    let of = |name: &str| {
        let mut sound = judged
            .iter()
            .filter(|j| j.row.stage == Stage::Paced && j.row.verdict != Verdict::Failed);
        sound
            .find(|j| j.row.server == name)
            .map(|j| series(&j.valid, figure))
    };
    let ratio = paired_ratio(&of(&second_name(CONTROL))?, &of(CONTROL)?, bootstrap)?;
    let interval = ratio.factors()?;
    Some(interval.high.max(1.0 / interval.low))
}

/// Whether any row of the paced stage is marked.
fn mark_rows(judged: &mut [Judged<'_>], figure: &str) -> bool {
    let rows = judged.iter_mut().filter(|j| j.row.stage == Stage::Paced);
    let (mut best, mut any, mut all) = (None, false, true);
    for row in rows {
        let server = &row.row.server;
        let Some(own) = row.row.ratio_to_best.get_mut(figure) else {
            continue;
        };
        if own.best == *server {
            best = Some(own);
        } else if let Some(wide) = is_wide(own) {
            own.by_machine = wide;
            any |= wide;
            all &= wide;
        }
    }
    if let Some(best) = best {
        best.by_machine = any && all;
    }
    any
}

fn is_wide(own: &RatioToBest) -> Option<bool> {
    let (low, high) = own.interval()?;
    Some((high / own.ratio).max(own.ratio / low) > OWN_LIMIT)
}
