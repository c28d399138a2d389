//! The noise floor: how far two entries of the same program differ.

use super::ranking::Basis;
use super::rows::Judged;
use super::{Settings, row_view};
use record::{NoiseFloor, Pair, TWIN_SUFFIX};
use stats::{Bootstrap, Series, noise_floor, paired_ratio};

/// The two entries of a program, the control included, by their names.
struct Twice<'a> {
    first: (&'a str, Series),
    second: (&'a str, Series),
}

/// The floor, and δ itself as a log-ratio.
pub(super) fn measure(
    judged: &[Judged<'_>],
    basis: &Basis,
    settings: &Settings,
    bootstrap: &mut Bootstrap,
) -> (NoiseFloor, f64) {
    let entered = twice(judged, basis);
    let pairs = entered.iter().filter_map(|two| pair(two, bootstrap));
    let pairs: Vec<Pair> = pairs.collect();
    let series: Vec<(Series, Series)> = entered
        .into_iter()
        .map(|two| (two.second.1, two.first.1))
        .collect();
    let delta = noise_floor(&series, settings.minimum_delta, bootstrap).delta;
    let floor = NoiseFloor {
        delta: delta.exp_m1(),
        pairs,
    };
    (floor, delta)
}

fn twice<'a>(judged: &'a [Judged<'_>], basis: &Basis) -> Vec<Twice<'a>> {
    let entered = |j: &'a Judged<'_>| {
        let name = j.row.server.as_str();
        (name, row_view::series(&j.valid, basis.figure))
    };
    let of_stage = || judged.iter().filter(|j| j.row.stage == basis.stage);
    let second = |j: &'a Judged<'_>| {
        let name = j.row.server.strip_suffix(TWIN_SUFFIX)?;
        let first = of_stage().find(|other| other.row.server == name)?;
        Some(Twice {
            first: entered(first),
            second: entered(j),
        })
    };
    of_stage().filter_map(second).collect()
}

fn pair(two: &Twice<'_>, bootstrap: &mut Bootstrap) -> Option<Pair> {
    let ratio = paired_ratio(&two.second.1, &two.first.1, bootstrap)?;
    let interval = ratio.factors();
    Some(Pair {
        first: two.first.0.to_owned(),
        second: two.second.0.to_owned(),
        ratio: ratio.factor(),
        low: interval.map(|interval| interval.low),
        high: interval.map(|interval| interval.high),
    })
}
