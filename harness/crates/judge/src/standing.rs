//! Ranks servers across workloads, from one run or several; pure.
//!
//! Each round's figures of all workloads are combined by their geometric mean, so that a workload with large
//! figures doesn't dominate. [`stats::ranks`] turns that mean into ranks, intervals and ties. Next to
//! the rank is the server's distance to the best of each workload, and the geometric mean of the distances. The
//! best is the same for all servers of a workload, so the distances give the same order.

mod pool;

use std::collections::BTreeSet;

use pool::{Pool, pools};
pub use pool::{PoolNote, Shared};

use super::compare::Choice;
use super::ranking::basis;
use super::side::{Found, Side, geometric_means};
use super::{Cause, Why, is_control, side::Cell};
use catalog::Stage;
use record::figure;
use record::{RankInterval, Record};
use serde::Serialize;
use stats::{
    Better, Bootstrap, Interval, MIN_REPLICATES, NoiseFloor, PairedRatio, Series, levels,
    noise_floor, paired_ratio, ranks,
};

/// The figure to rank by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Requests per second at peak.
    Peak,
    /// CPU time per request at the paced rate.
    Cost,
}

impl By {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Peak, Self::Cost];

    /// The figure's name in the record.
    pub fn figure(self) -> &'static str {
        match self {
            Self::Peak => figure::RATE,
            Self::Cost => figure::COST,
        }
    }

    /// The stage it is taken from.
    pub fn stage(self) -> Stage {
        match self {
            Self::Peak => Stage::Peak,
            Self::Cost => Stage::Paced,
        }
    }

    /// Which direction is better.
    pub fn better(self) -> Better {
        figure::better(self.figure())
    }
}

/// A run and its name.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// The name used in messages.
    pub name: &'a str,
    /// The run.
    pub record: &'a Record,
}

/// What to rank, and by what.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StandingChoice {
    /// Only these entries, if any are named.
    pub servers: Vec<String>,
    /// Only these workloads, if any are named.
    pub workloads: Vec<String>,
    /// The figure; if absent, chosen by what the runs allow.
    pub by: Option<By>,
}

/// How many times worse than the best: 1 is equal; 1.2 is 20 % more time per request, or a best rate that is 20
/// % higher.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// The median over rounds. It may be slightly below 1 by chance.
    pub median: f64,
    /// Its 95 % interval; absent with fewer than three common rounds.
    pub interval: Option<Interval>,
}

/// A server in one workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Beside {
    /// The workload.
    pub workload: String,
    /// The distance to the best of the workload.
    pub distance: Distance,
    /// This server is the best.
    pub best: bool,
}

/// A ranked server.
#[derive(Debug, Clone, PartialEq)]
pub struct Stood {
    /// The entry's name.
    pub server: String,
    /// The name shown.
    pub display: String,
    /// Absent if ranks are withheld.
    pub rank: Option<RankInterval>,
    /// The geometric mean over workloads of the distances to the best.
    pub score: Distance,
    /// Rounds with a valid trial of every workload.
    pub rounds: usize,
    /// The workloads, in the order of [`Standing::workloads`].
    pub workloads: Vec<Beside>,
}

/// A server that isn't ranked.
#[derive(Debug, Clone, PartialEq)]
pub struct Unranked {
    /// The entry's name.
    pub server: String,
    /// The name shown.
    pub display: String,
    /// Why.
    pub cause: Unfit,
}

/// Why a server isn't ranked.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", content = "parameters", rename_all = "snake_case")]
pub enum Unfit {
    /// A run didn't measure it.
    NotMeasured {
        /// The run.
        run: String,
        /// Why.
        causes: Vec<Cause>,
    },
    /// It fails in a workload.
    Failed {
        /// The workload.
        workload: String,
        /// The run.
        run: String,
        /// Why.
        causes: Vec<Cause>,
    },
    /// It isn't ranked with the others of a workload.
    SetApart {
        /// The workload.
        workload: String,
        /// The run.
        run: String,
        /// Why.
        cause: Cause,
    },
    /// It has no valid figure in a workload.
    NoFigure {
        /// The workload.
        workload: String,
        /// The figure.
        figure: &'static str,
    },
    /// Too few rounds have a valid trial in every workload.
    TooFewRounds {
        /// How many do.
        rounds: usize,
        /// How many are needed.
        needed: usize,
    },
}

/// Why servers are ranked by one figure and not by another.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", content = "parameters", rename_all = "snake_case")]
pub enum Grounds {
    /// It was asked for.
    Chosen,
    /// The load generator limited no server's peak in any workload.
    ServerBound,
    /// The first workload of a run that isn't ranked by peak.
    Workload {
        /// The workload.
        workload: String,
        /// The run.
        run: String,
        /// Why it isn't.
        why: Why,
    },
}

/// Why there are no ranks.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", content = "parameters", rename_all = "snake_case")]
pub enum Withheld {
    /// A workload is too noisy in a run.
    Noise {
        /// The workload.
        workload: String,
        /// The run.
        run: String,
        /// The noise.
        cause: Cause,
    },
    /// Peak rates may be the load generator's limit.
    DriverMayBind {
        /// In this workload.
        workload: String,
        /// Whose, by the names shown.
        servers: Vec<String>,
    },
    /// No server has a valid row in every workload.
    NoServer,
}

/// The ranking of some runs across workloads.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The figure ranked by.
    pub by: By,
    /// Why that figure.
    pub why: Grounds,
    /// The workloads ranked over, by name.
    pub workloads: Vec<String>,
    /// The servers that have a valid row in every workload, best first.
    pub places: Vec<Stood>,
    /// The others.
    pub unranked: Vec<Unranked>,
    /// Why there are no ranks; empty if there are.
    pub withheld: Vec<Withheld>,
    /// The noise floor.
    pub floor: NoiseFloor,
    /// Notes on the runs.
    pub notes: Vec<PoolNote>,
}

/// Ranks servers across workloads. The same records always give the same ranks.
pub fn standing(runs: &[Named<'_>], choice: &StandingChoice) -> Standing {
    let sides: Vec<Side<'_>> = runs
        .iter()
        .map(|run| Side::new(run.record, run.name))
        .collect();
    let all: BTreeSet<String> = sides
        .iter()
        .flat_map(|side| side.court.workloads())
        .collect();
    let wanted = |name: &String| choice.workloads.is_empty() || choice.workloads.contains(name);
    let workloads: Vec<String> = all.into_iter().filter(wanted).collect();
    let (by, why) = figure(&sides, &workloads, choice);
    let pools = pools(&sides, &workloads, by);
    let seed = runs
        .iter()
        .fold(0_u64, |seed, run| seed.wrapping_add(run.record.run.seed));
    let mut bootstrap = Bootstrap::new(seed);
    let (candidates, unranked) = candidates(&sides, &pools, choice);
    let withheld = withheld(&sides, &pools, &candidates, by);
    let floor = floor(&sides, &pools, &mut bootstrap);
    let places = places(
        &pools,
        candidates,
        withheld.is_empty(),
        by,
        floor.delta,
        &mut bootstrap,
    );
    Standing {
        by,
        why,
        places,
        unranked,
        withheld,
        floor,
        notes: pool::notes(&sides, &pools),
        workloads,
    }
}

/// The figure to rank by, and why.
fn figure(sides: &[Side<'_>], workloads: &[String], choice: &StandingChoice) -> (By, Grounds) {
    if let Some(by) = choice.by {
        return (by, Grounds::Chosen);
    }
    for workload in workloads {
        for side in sides {
            let rows = side.of_workload(workload);
            if rows.is_empty() {
                continue;
            }
            let basis = basis(rows, side.court.record.run.schedule);
            if basis.figure != By::Peak.figure() {
                let why = Grounds::Workload {
                    workload: workload.clone(),
                    run: side.called.clone(),
                    why: basis.why,
                };
                return (By::Cost, why);
            }
        }
    }
    (By::Peak, Grounds::ServerBound)
}

/// A server that may be ranked.
struct Candidate {
    server: String,
    display: String,
    mean: Series,
}

/// The servers that have a valid row in every workload, and why the others are not ranked.
fn candidates(
    sides: &[Side<'_>],
    pools: &[Pool],
    choice: &StandingChoice,
) -> (Vec<Candidate>, Vec<Unranked>) {
    let seconds: BTreeSet<&str> = sides
        .iter()
        .flat_map(|side| side.twins())
        .map(|(_, second)| second)
        .collect();
    let mut names: Vec<&str> = Vec::new();
    for name in sides.iter().flat_map(Side::names) {
        let wanted = match choice.servers.is_empty() {
            true => !is_control(name) && !seconds.contains(name),
            false => choice.servers.iter().any(|server| server == name),
        };
        if wanted && !names.contains(&name) {
            names.push(name);
        }
    }
    let (mut found, mut unranked) = (Vec::new(), Vec::new());
    for name in names {
        let display = sides.iter().find_map(|side| side.entry(name));
        let display = display.map_or_else(|| name.to_owned(), |entry| entry.display.clone());
        let server = name.to_owned();
        let mean = mean(pools, name);
        match unfit(sides, pools, name, &mean) {
            None => found.push(Candidate {
                server,
                display,
                mean,
            }),
            Some(cause) => unranked.push(Unranked {
                server,
                display,
                cause,
            }),
        }
    }
    (found, unranked)
}

/// The geometric mean over workloads of each round that has all.
fn mean(pools: &[Pool], name: &str) -> Series {
    let all: Vec<Series> = pools.iter().map(|pool| pool.series(name)).collect();
    geometric_means(&all)
}

/// Why a server is not ranked.
fn unfit(sides: &[Side<'_>], pools: &[Pool], name: &str, mean: &Series) -> Option<Unfit> {
    for pool in pools {
        for side in sides.iter().filter(|side| side.entry(name).is_some()) {
            let (workload, run) = (pool.cell.workload.clone(), side.called.clone());
            if let Some(causes) = side.not_measured(name) {
                return Some(Unfit::NotMeasured { run, causes });
            }
            match side.found(name, &pool.cell) {
                Found::Failed(causes) => {
                    return Some(Unfit::Failed {
                        workload,
                        run,
                        causes,
                    });
                }
                Found::Sound(judged) => {
                    if let Some(cause) = judged.apart.clone() {
                        return Some(Unfit::SetApart {
                            workload,
                            run,
                            cause,
                        });
                    }
                }
                Found::NotRun => {}
            }
        }
        if pool.series(name).is_empty() {
            return Some(Unfit::NoFigure {
                workload: pool.cell.workload.clone(),
                figure: pool.figure,
            });
        }
    }
    let rounds = mean.len();
    (rounds < MIN_REPLICATES).then_some(Unfit::TooFewRounds {
        rounds,
        needed: MIN_REPLICATES,
    })
}

/// Why no ranks are given; empty if they are.
fn withheld(sides: &[Side<'_>], pools: &[Pool], candidates: &[Candidate], by: By) -> Vec<Withheld> {
    let mut causes = Vec::new();
    for pool in pools {
        for side in sides {
            let workload = &pool.cell.workload;
            let noise = side.noise_in(workload, by.stage(), by.figure());
            causes.extend(noise.into_iter().map(|cause| Withheld::Noise {
                workload: workload.clone(),
                run: side.called.clone(),
                cause,
            }));
        }
        if by == By::Peak {
            causes.extend(bound(sides, candidates, &pool.cell));
        }
    }
    if causes.is_empty() && candidates.is_empty() {
        causes.push(Withheld::NoServer);
    }
    causes
}

/// Peak rates that may be the load generator's limit.
fn bound(sides: &[Side<'_>], candidates: &[Candidate], cell: &Cell) -> Option<Withheld> {
    let is_bound = |candidate: &&Candidate| {
        let rows = sides
            .iter()
            .filter_map(|side| side.row(&candidate.server, cell));
        rows.into_iter().any(|judged| !judged.server_bound)
    };
    let servers: Vec<String> = candidates
        .iter()
        .filter(is_bound)
        .map(|candidate| candidate.display.clone())
        .collect();
    (!servers.is_empty()).then(|| Withheld::DriverMayBind {
        workload: cell.workload.clone(),
        servers,
    })
}

/// How far two entries of the same program differ in the mean over workloads; if none was entered twice in
/// every workload, the largest difference in one of them.
fn floor(sides: &[Side<'_>], pools: &[Pool], bootstrap: &mut Bootstrap) -> NoiseFloor {
    let minimum = Choice::default().minimum_delta;
    let twins: BTreeSet<(&str, &str)> = sides.iter().flat_map(|side| side.twins()).collect();
    let of_means: Vec<(Series, Series)> = twins
        .iter()
        .map(|(a, b)| (mean(pools, a), mean(pools, b)))
        .collect();
    let found = noise_floor(&of_means, minimum, bootstrap);
    if found.pairs > 0 {
        return found;
    }
    let of_pool = |pool: &Pool| -> Vec<(Series, Series)> {
        let both = |(a, b): &(&str, &str)| (pool.series(a), pool.series(b));
        twins.iter().map(both).collect()
    };
    let each: Vec<(Series, Series)> = pools.iter().flat_map(of_pool).collect();
    noise_floor(&each, minimum, bootstrap)
}

fn places(
    pools: &[Pool],
    candidates: Vec<Candidate>,
    ranked: bool,
    by: By,
    delta: f64,
    bootstrap: &mut Bootstrap,
) -> Vec<Stood> {
    let means: Vec<Series> = candidates.iter().map(|c| c.mean.clone()).collect();
    let held = match ranked {
        true => ranks(&means, by.better(), delta, bootstrap),
        false => vec![None; means.len()],
    };
    let bests: Vec<Option<&str>> = pools
        .iter()
        .map(|pool| best(pool, &candidates, by.better()))
        .collect();
    let of_best = |(pool, name): (&Pool, &Option<&str>)| name.map(|name| pool.series(name));
    let of_bests: Vec<Series> = pools.iter().zip(&bests).filter_map(of_best).collect();
    let of_bests = geometric_means(&of_bests);
    let mut places = Vec::new();
    for (candidate, rank) in candidates.iter().zip(held) {
        let workloads = pools.iter().zip(&bests).filter_map(|(pool, best)| {
            let name = &candidate.server;
            let to_best = distance(&pool.series(name), &pool.series((*best)?), by, bootstrap)?;
            Some(Beside {
                workload: pool.cell.workload.clone(),
                distance: to_best,
                best: best.is_some_and(|best| best == name),
            })
        });
        let workloads: Vec<Beside> = workloads.collect();
        let Some(score) = distance(&candidate.mean, &of_bests, by, bootstrap) else {
            continue;
        };
        places.push(Stood {
            server: candidate.server.clone(),
            display: candidate.display.clone(),
            rank: rank.map(|range| RankInterval {
                low: range.low,
                high: range.high,
            }),
            score,
            rounds: candidate.mean.len(),
            workloads,
        });
    }
    places.sort_by(|a, b| {
        let by_rank = |place: &Stood| place.rank.map(|rank| (rank.low, rank.high));
        let by_score = a.score.median.total_cmp(&b.score.median);
        by_rank(a).cmp(&by_rank(b)).then(by_score)
    });
    places
}

/// The best of a workload among those ranked.
fn best<'c>(pool: &Pool, candidates: &'c [Candidate], better: Better) -> Option<&'c str> {
    let all: Vec<Series> = candidates.iter().map(|c| pool.series(&c.server)).collect();
    let sign = if better == Better::Higher { -1.0 } else { 1.0 };
    let found = levels(&all).into_iter().zip(candidates);
    found
        .filter_map(|(level, candidate)| Some((sign * level?, candidate)))
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.server.as_str())
}

fn distance(own: &Series, best: &Series, by: By, bootstrap: &mut Bootstrap) -> Option<Distance> {
    let ratio: PairedRatio = match by.better() {
        Better::Lower => paired_ratio(own, best, bootstrap),
        Better::Higher => paired_ratio(best, own, bootstrap),
    }?;
    Some(Distance {
        median: ratio.factor(),
        interval: ratio.factors(),
    })
}
