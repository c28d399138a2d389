//! Whether the order of trials within a round affects the figures.

use std::collections::BTreeMap;

use super::super::reason::Reason;
use super::super::row_view::WorkloadView;
use record::{Schedule, Trial};
use stats::{median, permutation_p, spearman};

/// The significance level. One in a hundred workloads is a false positive.
const P_LIMIT: f64 = 0.01;
/// Random permutations for the test; they give a p of [`P_LIMIT`] to ± 0.0014.
const PERMUTATIONS: u32 = 5_000;

/// Whether trials late in their round have higher or lower figures than the same server's other trials:
/// Spearman's rank correlation of the position with the residual, which is the logarithm of the figure ranked
/// by, minus its median over the server's trials.
///
/// Doesn't apply to an interleaved run, whose entries share the time of a stage.
pub(super) fn round_order(workload: &WorkloadView<'_>) -> Option<Reason> {
    if workload.run.schedule != Schedule::Isolated {
        return None;
    }
    let (places, residuals): (Vec<f64>, Vec<f64>) = by_server(workload)
        .values()
        .flat_map(|trials| residuals(trials))
        .unzip();
    let rho = spearman(&places, &residuals)?;
    let p = permutation_p(&places, &residuals, PERMUTATIONS, workload.run.seed)?;
    (p < P_LIMIT).then_some(Reason::RoundOrder {
        figure: workload.figure,
        rho,
        p,
        trials: places.len(),
    })
}

/// Position within the round and logarithm of the figure, for each server's trials.
fn by_server<'a>(workload: &WorkloadView<'a>) -> BTreeMap<&'a str, Vec<(f64, f64)>> {
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for trial in workload.valid {
        found
            .entry(trial.server.as_str())
            .or_default()
            .extend(placed(workload, trial));
    }
    found
}

fn placed(workload: &WorkloadView<'_>, trial: &Trial) -> Option<(f64, f64)> {
    let log = trial.figures.get(workload.figure)?.ln();
    let first = workload.first_position.get(&trial.round)?;
    let at_stage = trial.stage == workload.stage;
    (at_stage && log.is_finite()).then(|| (f64::from(trial.position - first), log))
}

fn residuals(trials: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let logs: Vec<f64> = trials.iter().map(|(_, log)| *log).collect();
    let Some(middle) = median(&logs) else {
        return Vec::new();
    };
    let less = |&(place, log): &(f64, f64)| (place, log - middle);
    trials.iter().map(less).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{run, trial};
    use super::*;
    use catalog::Stage;
    use catalog::plan::Plan;
    use record::{Environment, Run};

    const SERVERS: [(&str, f64); 4] = [("a", 1.0), ("b", 1.4), ("c", 0.6), ("d", 3.0)];

    /// A shuffled run in which the trial at position k of n has its cost multiplied by `effect(k / n)`, with ±
    /// 2 % of noise.
    fn shuffled(seed: u64, effect: impl Fn(f64) -> f64) -> (Run, Vec<Trial>) {
        let plan = Plan {
            entries: SERVERS.map(|(name, _)| name.to_owned()).to_vec(),
            workloads: vec!["mixed".into()],
            stages: Stage::ALL.to_vec(),
            rounds: 10,
            seed,
            interleaved: false,
            partial: BTreeMap::new(),
        };
        let steps = plan.steps();
        let per_round = steps.len() / 10;
        let of_step = |(index, step): (usize, &catalog::plan::Step)| {
            let speed = SERVERS.iter().find(|(name, _)| *name == step.server);
            let own = 1.0 + 0.02 * ((index * 7_919 + seed as usize * 31) % 101) as f64 / 100.0;
            let place = (index % per_round) as f64 / per_round as f64;
            let mut trial = trial(&step.server, step.stage, step.round, speed.unwrap().1);
            trial.position = 5 + index as u32;
            let cost = trial.figures.get_mut("cpu_us_per_request").unwrap();
            *cost *= own * effect(place);
            trial
        };
        let trials = steps.iter().enumerate().map(of_step).collect();
        (Run { seed, ..run() }, trials)
    }

    fn found((run, trials): &(Run, Vec<Trial>)) -> Option<Reason> {
        let mut first_position = BTreeMap::new();
        for trial in trials {
            first_position.entry(trial.round).or_insert(trial.position);
        }
        round_order(&WorkloadView {
            run,
            environment: &Environment::default(),
            stage: Stage::Paced,
            figure: "cpu_us_per_request",
            valid: &trials.iter().collect::<Vec<_>>(),
            control: &[],
            first_position: &first_position,
        })
    }

    #[test]
    fn an_effect_of_the_place_is_said_with_its_direction() {
        for (slope, sign) in [(0.04, 1.0), (-0.04, -1.0)] {
            let trials = shuffled(3, |place| 1.0 + slope * place);
            let Some(Reason::RoundOrder { rho, p, trials, .. }) = found(&trials) else {
                panic!("a drift of 4 % over the round was not found");
            };
            assert!(rho * sign > 0.4 && p < 0.001 && trials == 40, "{rho} {p}");
        }
    }

    #[test]
    fn an_interleaved_run_has_no_places() {
        let (run, trials) = shuffled(3, |place| 1.0 + 0.04 * place);
        let schedule = Schedule::Interleaved {
            slice_ms: 20.0,
            lead_in_ms: 1.0,
        };
        assert!(found(&(run.clone(), trials.clone())).is_some());
        assert_eq!(found(&(Run { schedule, ..run }, trials)), None);
    }

    #[test]
    fn a_sound_run_is_not_blamed() {
        let blamed = (0..100).filter(|&seed| found(&shuffled(seed, |_| 1.0)).is_some());
        // More than 5 false positives in 100 sound runs at the 1 % level have a probability of 0.0005.
        assert!(blamed.count() <= 5);
    }

    #[test]
    fn the_same_run_is_judged_alike_each_time() {
        let run = shuffled(8, |place| 1.0 + 0.02 * place);
        assert_eq!(found(&run), found(&run));
    }

    #[test]
    fn differences_between_servers_and_failed_figures_do_not_count() {
        // Unshuffled, with a different level for each server: the residuals don't correlate.
        let mut run = shuffled(1, |_| 1.0);
        run.1.sort_by(|a, b| a.server.cmp(&b.server));
        run.1.iter_mut().for_each(|trial| {
            trial.figures.insert("cpu_us_per_request".into(), 0.0);
        });
        assert_eq!(found(&run), None);
    }
}
