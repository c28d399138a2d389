//! The widest interval among the ratios between servers.

use super::ranking::{Basis, at, basis};
use super::row_view::series;
use super::rows::{self, Judged};
use super::{Court, is_control};
use record::{Environment, Record, Run, SCHEMA_VERSION, Trial, Verdict};
use stats::{Bootstrap, Interval, paired_ratio};

/// The ratio between two servers with the widest interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Widest {
    /// How far its 95 % interval reaches from its median, as a share of it; infinite if there are too few
    /// rounds for an interval.
    pub half_width: f64,
    /// The servers.
    pub servers: [String; 2],
    /// The figure ranked by.
    pub figure: &'static str,
    /// The workload.
    pub workload: String,
}

/// The widest 95 % interval among the ratios used for ranking: of each pair of servers in each workload, or of
/// a single server and the control. `None` if there is no such pair.
pub fn widest_ratio(run: &Run, trials: &[Trial]) -> Option<Widest> {
    let record = Record {
        schema_version: SCHEMA_VERSION,
        run: run.clone(),
        environment: Environment::default(),
        servers: Vec::new(),
        trials: trials.to_vec(),
        protocol: None,
        costs: None,
        micro: None,
        added: record::Added::default(),
    };
    let mut court = Court::new(&record);
    let mut widest: Option<Widest> = None;
    for workload in court.workloads() {
        let judged = rows::of_workload(&mut court, &workload);
        let basis = basis(&judged, run.schedule);
        for (a, b) in pairs(&judged, &basis) {
            let found = Widest {
                half_width: half_width(a, b, &basis, &mut court.bootstrap),
                servers: [a, b].map(|judged| judged.row.server.clone()),
                figure: basis.figure,
                workload: workload.clone(),
            };
            if widest
                .as_ref()
                .is_none_or(|w| found.half_width > w.half_width)
            {
                widest = Some(found);
            }
        }
    }
    widest
}

fn pairs<'j, 'a>(judged: &'j [Judged<'a>], basis: &Basis) -> Vec<(&'j Judged<'a>, &'j Judged<'a>)> {
    let ranked: Vec<&Judged<'_>> = judged.iter().filter(|j| at(j, basis.stage)).collect();
    if let [only] = ranked[..] {
        let control = judged.iter().find(|j| {
            j.row.stage == basis.stage
                && j.row.verdict != Verdict::Failed
                && is_control(&j.row.server)
        });
        return control.map(|control| (only, control)).into_iter().collect();
    }
    let after = |index: usize| ranked[index + 1..].iter();
    (0..ranked.len())
        .flat_map(|index| after(index).map(move |b| (index, *b)))
        .map(|(index, b)| (ranked[index], b))
        .collect()
}

fn half_width(a: &Judged<'_>, b: &Judged<'_>, basis: &Basis, bootstrap: &mut Bootstrap) -> f64 {
    let of = |judged: &Judged<'_>| series(&judged.valid, basis.figure);
    let Some(ratio) = paired_ratio(&of(a), &of(b), bootstrap) else {
        return f64::INFINITY;
    };
    let reach = |Interval { low, high }| (high - ratio.median).max(ratio.median - low);
    ratio
        .interval
        .map_or(f64::INFINITY, |interval| reach(interval).exp_m1())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{run, trial};
    use super::*;
    use catalog::Stage;

    /// Rounds in which each server's speed varies by a given share.
    fn rounds(count: u32, servers: &[(&str, f64)]) -> Vec<Trial> {
        let one = |round: u32, name: &str, spread: f64| {
            let off = f64::from((round * 7 + name.len() as u32) % 5) - 2.0;
            let level = if is_control(name) { 2.0 } else { 1.0 };
            trial(name, Stage::Peak, round, level * (1.0 + spread * off / 2.0))
        };
        (1..=count)
            .flat_map(|round| {
                servers
                    .iter()
                    .map(move |&(name, spread)| one(round, name, spread))
            })
            .collect()
    }

    #[test]
    fn the_least_sure_pair_is_named() {
        let trials = rounds(10, &[("alpha", 0.001), ("beta", 0.001), ("gamma-x", 0.2)]);
        let widest = widest_ratio(&run(), &trials).unwrap();
        assert!(widest.servers.contains(&"gamma-x".into()), "{widest:?}");
        assert!((0.05..0.5).contains(&widest.half_width), "{widest:?}");
        let without = rounds(10, &[("alpha", 0.001), ("beta", 0.001)]);
        assert!(widest_ratio(&run(), &without).unwrap().half_width < 0.01);
    }

    #[test]
    fn a_single_server_is_held_against_the_control() {
        let trials = rounds(
            10,
            &[("alpha", 0.01), ("control", 0.01), ("control~2", 0.01)],
        );
        let widest = widest_ratio(&run(), &trials).unwrap();
        assert_eq!(widest.servers[0], "alpha");
        assert!(widest.servers[1].starts_with("control"), "{widest:?}");
    }

    #[test]
    fn too_few_rounds_are_not_sure_and_no_pair_is_nothing() {
        let trials = rounds(2, &[("alpha", 0.01), ("beta", 0.01)]);
        assert_eq!(
            widest_ratio(&run(), &trials).unwrap().half_width,
            f64::INFINITY
        );
        assert_eq!(widest_ratio(&run(), &rounds(9, &[("alpha", 0.01)])), None);
    }
}
