//! The figure that a workload is ranked by, and the ranks.

use super::reason::{Effect, Reason, Why, causes};
use super::row_view::{WorkloadView, series};
use super::rows::Judged;
use super::{Court, JudgedRanking, Settings, floor, gates};
use catalog::Stage;
use record::figure;
use record::{NoiseFloor, RankInterval, Ranking, Schedule, Trial, Verdict, is_control};
use stats::{MIN_REPLICATES, Series, ranks};

/// A figure to rank by.
pub(super) struct Basis {
    pub(super) stage: Stage,
    pub(super) figure: &'static str,
    pub(super) why: Why,
}

/// Ranks the rows of a workload in place and returns what they are ranked by.
pub(super) fn rank(
    court: &mut Court<'_>,
    workload: &str,
    judged: &mut [Judged<'_>],
    settings: &Settings,
) -> JudgedRanking {
    let basis = basis(judged, court.record.run.schedule);
    let (notes, noise) = of_workload(court, judged, &basis);
    let withheld = withheld(noise, judged, &basis);
    let noise_floor = withheld
        .is_empty()
        .then(|| give_ranks(court, judged, &basis, settings));
    let run = &court.record.run;
    JudgedRanking {
        ranking: Ranking {
            workload: workload.to_owned(),
            stage: basis.stage,
            ranked_by: basis.figure.to_owned(),
            reason: String::new(),
            rate_per_s: run.rates_per_s.get(workload).copied(),
            connections: run.connections,
            noise_floor,
            notes: Vec::new(),
        },
        why: basis.why,
        withheld: causes(withheld),
        notes: causes(notes),
    }
}

/// Notes on the workload, and separately the reasons to withhold its ranks.
fn of_workload(
    court: &Court<'_>,
    judged: &[Judged<'_>],
    basis: &Basis,
) -> (Vec<Reason>, Vec<Reason>) {
    let valid: Vec<&Trial> = judged
        .iter()
        .flat_map(|j| j.valid.iter().copied())
        .collect();
    let found = gates::on_workload(&WorkloadView {
        run: &court.record.run,
        environment: &court.record.environment,
        stage: basis.stage,
        figure: basis.figure,
        valid: &valid,
        control: &controls(judged, basis.stage, basis.figure),
        first_position: &court.first_position,
    });
    found
        .into_iter()
        .partition(|reason| reason.effect() < Effect::Withholds)
}

/// Peak rate if gate 4 passes for every row and the control's own rate is repeatable, otherwise the cost at the
/// paced rate.
pub(super) fn basis(judged: &[Judged<'_>], schedule: Schedule) -> Basis {
    let by_cost = |why| Basis {
        stage: Stage::Paced,
        figure: figure::COST,
        why,
    };
    let by_peak = Basis {
        stage: Stage::Peak,
        figure: figure::RATE,
        why: Why::ServerBound,
    };
    let peak: Vec<&Judged<'_>> = judged.iter().filter(|j| at(j, Stage::Peak)).collect();
    if peak.is_empty() {
        return by_cost(Why::NoPeak);
    }
    if let Some(servers) = driver_bound(&peak) {
        return by_cost(Why::DriverMayBind { servers });
    }
    let paced = judged.iter().any(|j| at(j, Stage::Paced));
    let control = controls(judged, by_peak.stage, by_peak.figure);
    match gates::unsteady(&control, schedule) {
        // If only the rate is noisy, cost can still rank; it must pass the same gate.
        Some(share) if paced => by_cost(Why::ControlVaried {
            share,
            pair: schedule.is_interleaved(),
        }),
        _ => by_peak,
    }
}

/// Whose peak rate may be the load generator's limit; empty if it is every server's.
fn driver_bound(peak: &[&Judged<'_>]) -> Option<Vec<String>> {
    let bound: Vec<String> = peak
        .iter()
        .filter(|j| !j.server_bound)
        .map(|j| j.row.display.clone())
        .collect();
    match bound.len() {
        0 => None,
        all if all == peak.len() => Some(Vec::new()),
        _ => Some(bound),
    }
}

/// The control's values of a figure, one series per entry.
pub(super) fn controls(judged: &[Judged<'_>], stage: Stage, figure: &str) -> Vec<Series> {
    judged
        .iter()
        .filter(|j| j.row.stage == stage && is_control(&j.row.server))
        .map(|j| series(&j.valid, figure))
        .filter(|series| !series.is_empty())
        .collect()
}

/// Whether a row can be ranked in a stage: it did not fail, is not set apart, and is not the control.
pub(super) fn at(judged: &Judged<'_>, stage: Stage) -> bool {
    let row = &judged.row;
    let sound = row.verdict != Verdict::Failed && judged.apart.is_none();
    row.stage == stage && sound && !is_control(&row.server)
}

/// Why no ranks are given; empty if they are.
fn withheld(noise: Vec<Reason>, judged: &[Judged<'_>], basis: &Basis) -> Vec<Reason> {
    if !noise.is_empty() {
        return noise;
    }
    let rounds = |j: &Judged<'_>| series(&j.valid, basis.figure).len();
    let ranked = judged.iter().filter(|j| at(j, basis.stage));
    match ranked.map(rounds).max().unwrap_or(0) {
        0 => vec![match basis.stage {
            Stage::Peak => Reason::NoPeakRate,
            Stage::Paced => Reason::NoCost {
                why: basis.why.clone(),
            },
        }],
        rounds if rounds < MIN_REPLICATES => vec![Reason::TooFewRounds {
            rounds,
            needed: MIN_REPLICATES,
        }],
        _ => Vec::new(),
    }
}

fn give_ranks(
    court: &mut Court<'_>,
    judged: &mut [Judged<'_>],
    basis: &Basis,
    settings: &Settings,
) -> NoiseFloor {
    let (floor, delta) = floor::measure(judged, basis, settings, &mut court.bootstrap);
    let mut ranked: Vec<&mut Judged<'_>> =
        judged.iter_mut().filter(|j| at(j, basis.stage)).collect();
    let all: Vec<Series> = ranked
        .iter()
        .map(|j| series(&j.valid, basis.figure))
        .collect();
    let found = ranks(
        &all,
        figure::better(basis.figure),
        delta,
        &mut court.bootstrap,
    );
    for (judged, range) in ranked.iter_mut().zip(found) {
        judged.row.rank = range.map(|range| RankInterval {
            low: range.low,
            high: range.high,
        });
    }
    floor
}
