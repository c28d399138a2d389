//! Finds tail latencies caused by the machine, not by a server.
//!
//! If a virtual machine loses its CPU for a millisecond, that millisecond is in the p99 of whichever entry was
//! being measured. Such a figure isn't repeatable, so it says nothing about a server. A tail figure (p99,
//! p99.9, first-byte p99, jitter; paced stage) of a row is attributed to the machine if both conditions hold:
//!
//! 1. The control's two copies can't be compared in it: the 95 % interval of their ratio reaches beyond
//!    [`CONTROL_LIMIT`] in either direction.
//! 2. Nor can this row and the best: the wider half of the interval of their ratio exceeds [`OWN_LIMIT`].
//!
//! The first alone isn't enough, because a server's own tail may clearly exceed the noise. Nor is the second,
//! because the server itself may vary. The best row has no ratio; its figure is attributed to the machine if
//! that of every other row is, including the control's. Without an interval (fewer than three common rounds)
//! nothing is attributed.

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

/// Marks the figures caused by the machine, and returns a reason that lists them.
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
