//! The noise floor: how far apart two entries of one program were, as data and in words.

use super::ranking::Basis;
use super::rows::Judged;
use super::{Settings, row_view};
use crate::record::{NoiseFloor, Pair, TWIN_SUFFIX};
use crate::stats::{Bootstrap, Series, noise_floor, paired_ratio};

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

/// Which differences tie, and how that is known; one clause for a caption.
pub(super) fn told(floor: &NoiseFloor, settings: &Settings) -> String {
    let within = format!("differences within {:.1} % tie", floor.delta * 100.0);
    if floor.pairs.is_empty() {
        return format!("{within} (assumed: nothing was entered twice)");
    }
    let least = settings.minimum_delta.exp_m1() >= floor.delta;
    let least = if least { ", never less" } else { "" };
    let pairs: Vec<String> = floor.pairs.iter().map(differed).collect();
    format!(
        "{within}{least} (from what was entered twice: {})",
        pairs.join("; ")
    )
}

fn differed(pair: &Pair) -> String {
    let percent = |ratio: f64| format!("{:+.1} %", (ratio - 1.0) * 100.0);
    let interval = match pair.low.zip(pair.high) {
        Some((low, high)) => {
            format!("95 % interval {} to {}", percent(low), percent(high))
        }
        None => "too few common rounds for an interval".to_owned(),
    };
    format!(
        "{} and {} differed by {}, {interval}",
        pair.first,
        pair.second,
        percent(pair.ratio)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floor(delta: f64, pairs: &[(&str, f64, f64, f64)]) -> String {
        let pair = |&(name, ratio, low, high): &(&str, f64, f64, f64)| Pair {
            first: name.to_owned(),
            second: format!("{name}{TWIN_SUFFIX}"),
            ratio,
            low: Some(low),
            high: Some(high),
        };
        let pairs = pairs.iter().map(pair).collect();
        told(&NoiseFloor { delta, pairs }, &Settings::default())
    }

    #[test]
    fn an_assumed_floor_is_told_from_a_measured_one() {
        assert_eq!(
            floor(0.010_05, &[]),
            "differences within 1.0 % tie (assumed: nothing was entered twice)"
        );
        assert_eq!(
            floor(0.021, &[("control", 1.013, 1.005, 1.021)]),
            "differences within 2.1 % tie (from what was entered twice: control and control~2 \
             differed by +1.3 %, 95 % interval +0.5 % to +2.1 %)"
        );
    }

    #[test]
    fn every_pair_is_named_and_the_least_floor_is_called_so() {
        let told = floor(
            Settings::default().minimum_delta.exp_m1(),
            &[
                ("control", 0.997, 0.99, 1.004),
                ("alder", 1.001, 0.995, 1.006),
            ],
        );
        assert!(
            told.starts_with(
                "differences within 1.0 % tie, never less (from what was entered twice: control and"
            ),
            "{told}"
        );
        assert!(
            told.contains("differed by -0.3 %") && told.contains("; alder and alder~2"),
            "{told}"
        );
    }
}
