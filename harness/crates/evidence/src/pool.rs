//! A recorded run as a table: a column for each server, a slot for each round.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use catalog::Stage;
use judge::{Effect, gates};
use record::{Figures, Record, Run, Trial};
use stats::{Better, Series, geometric_mean};

/// The valid trials of one workload.
pub(crate) struct Pool {
    /// Number of rounds.
    pub(crate) rounds: usize,
    /// Whether the intervals of its trials are slices of the same cycles.
    pub(crate) interleaved: bool,
    /// The servers, in name order.
    pub(crate) names: Vec<String>,
    /// The measured time of each stage.
    lengths: BTreeMap<Stage, Duration>,
    trials: BTreeMap<(Stage, String), Vec<Option<Measured>>>,
}

/// The results of a trial.
struct Measured {
    figures: Figures,
    slices: Vec<Slice>,
}

/// The data of a 100 ms interval.
#[derive(Clone, Copy)]
pub(crate) struct Slice {
    /// Seconds.
    pub(crate) length_s: f64,
    /// Requests completed.
    pub(crate) requests: f64,
    /// CPU time of the server, microseconds.
    pub(crate) cpu_us: Option<f64>,
}

/// One figure of one server, with a slot for each round.
pub(crate) type RoundValues = Vec<Option<f64>>;

impl Pool {
    /// Takes the valid trials of `workload`. Without a name, the record must have exactly one workload.
    pub(crate) fn new(record: &Record, workload: Option<&str>) -> Result<Self> {
        let held: BTreeSet<&str> = record.trials.iter().map(|t| t.workload.as_str()).collect();
        let held: Vec<&str> = held.into_iter().collect();
        let workload = match (workload, &held[..]) {
            (Some(name), _) if held.contains(&name) => name,
            (None, [only]) => only,
            _ => bail!(
                "choose one of the record's workloads with --workload: {}",
                held.join(", ")
            ),
        };
        let run = &record.run;
        let lengths_ms = [(Stage::Peak, run.peak_ms), (Stage::Paced, run.paced_ms)];
        let ran: Vec<&Trial> = record
            .trials
            .iter()
            .filter(|trial| trial.workload == workload)
            .collect();
        let pool = Self::of_trials(&ran, lengths_ms, |trial| counts(run, trial));
        Ok(Self {
            interleaved: run.schedule.is_interleaved(),
            ..pool
        })
    }

    fn of_trials(
        ran: &[&Trial],
        lengths_ms: [(Stage, u64); 2],
        counts: impl Fn(&Trial) -> bool,
    ) -> Self {
        let numbers: BTreeSet<u32> = ran.iter().map(|trial| trial.round).collect();
        let place: BTreeMap<u32, usize> = numbers.into_iter().zip(0..).collect();
        let mut trials = BTreeMap::<_, Vec<Option<Measured>>>::new();
        for trial in ran {
            let column = trials
                .entry((trial.stage, trial.server.clone()))
                .or_insert_with(|| (0..place.len()).map(|_| None).collect());
            if counts(trial) {
                column[place[&trial.round]] = Some(Measured::new(trial));
            }
        }
        let names: BTreeSet<&String> = trials.keys().map(|(_, name)| name).collect();
        Self {
            rounds: place.len(),
            interleaved: false,
            names: names.into_iter().cloned().collect(),
            lengths: lengths_ms
                .map(|(stage, ms)| (stage, Duration::from_millis(ms)))
                .into(),
            trials,
        }
    }

    /// The measured time of a stage's trials.
    pub(crate) fn length(&self, stage: Stage) -> Duration {
        self.lengths[&stage]
    }

    /// Whether it has a server.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// Fails if it doesn't have a server, listing those it has.
    pub(crate) fn need(&self, name: &str) -> Result<()> {
        let known = || self.names.join(", ");
        let found = self.has(name).then_some(());
        found.with_context(|| format!("no server \"{name}\" in this run (known: {})", known()))
    }

    /// A figure of a server in each round. With `cut`, only of the first part of each trial.
    pub(crate) fn column(
        &self,
        figure: &RankFigure,
        cut: Option<Duration>,
        name: &str,
    ) -> RoundValues {
        self.of(figure.stage, name, |trial| figure.value(trial, cut))
    }

    /// The intervals of a server's trials, by round.
    pub(crate) fn slices(&self, stage: Stage, name: &str) -> Vec<Option<Vec<Slice>>> {
        self.of(stage, name, |trial| Some(trial.slices.clone()))
    }

    fn of<T>(
        &self,
        stage: Stage,
        name: &str,
        get: impl Fn(&Measured) -> Option<T>,
    ) -> Vec<Option<T>> {
        let trials = self.trials.get(&(stage, name.to_owned()));
        match trials {
            Some(trials) => trials.iter().map(|trial| get(trial.as_ref()?)).collect(),
            None => (0..self.rounds).map(|_| None).collect(),
        }
    }
}

/// As in the judge: no gate invalidates it.
fn counts(run: &Run, trial: &Trial) -> bool {
    let reasons = gates::on_trial(run, trial);
    reasons
        .iter()
        .all(|reason| reason.effect() < Effect::Invalidates)
}

impl Measured {
    fn new(trial: &Trial) -> Self {
        let slices = trial.intervals.iter().map(|interval| Slice {
            length_s: interval.length_ns as f64 / 1e9,
            requests: interval.requests as f64,
            cpu_us: interval.cpu_ns.map(|ns| ns as f64 / 1e3),
        });
        Self {
            figures: trial.figures.clone(),
            slices: slices.collect(),
        }
    }

    /// The intervals entirely within the first `cut`.
    fn first(&self, cut: Duration) -> Option<&[Slice]> {
        let mut end_s = 0.0;
        let inside = |slice: &&Slice| {
            end_s += slice.length_s;
            // Lengths are measured, so allow for a tenth of an interval.
            end_s <= cut.as_secs_f64() + 0.01
        };
        let count = self.slices.iter().take_while(inside).count();
        (count > 0).then(|| &self.slices[..count])
    }
}

/// A figure that a rank might go by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RankFigure {
    pub(crate) stage: Stage,
    pub(crate) kind: Kind,
}

/// How a figure is taken from a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Requests per second.
    Rate,
    /// CPU time per request over the whole trial.
    Cost,
    /// CPU time per request, the median of the intervals.
    MiddleCost,
    /// User CPU time per request.
    UserCost,
}

/// The figures to test. Those that the judge ranks by come first.
pub(crate) const FIGURES: [RankFigure; 7] = [
    RankFigure::new(Stage::Peak, Kind::Rate),
    RankFigure::new(Stage::Paced, Kind::Cost),
    RankFigure::new(Stage::Peak, Kind::Cost),
    RankFigure::new(Stage::Paced, Kind::MiddleCost),
    RankFigure::new(Stage::Peak, Kind::MiddleCost),
    RankFigure::new(Stage::Paced, Kind::UserCost),
    RankFigure::new(Stage::Peak, Kind::UserCost),
];

impl RankFigure {
    pub(crate) const fn new(stage: Stage, kind: Kind) -> Self {
        Self { stage, kind }
    }

    /// Its name in a table.
    pub(crate) fn name(&self) -> String {
        let what = match self.kind {
            Kind::Rate => "requests/s",
            Kind::Cost => "CPU/request",
            Kind::MiddleCost => "CPU/request, median of intervals",
            Kind::UserCost => "user CPU/request",
        };
        format!("{}, {what}", self.stage)
    }

    /// Which of two values is better.
    pub(crate) fn better(&self) -> Better {
        match self.kind {
            Kind::Rate => Better::Higher,
            _ => Better::Lower,
        }
    }

    /// Whether it can be computed for a part of a trial. User time is only read at both ends, in ticks of 10
    /// ms.
    pub(crate) fn can_be_cut(&self) -> bool {
        self.kind != Kind::UserCost
    }

    fn value(&self, trial: &Measured, cut: Option<Duration>) -> Option<f64> {
        let whole = |name: &str| trial.figures.get(name).copied();
        let slices = match cut {
            Some(cut) => trial.first(cut)?,
            None => &trial.slices,
        };
        let value = match (self.kind, cut) {
            (Kind::Rate, None) => whole("requests_per_s"),
            (Kind::Cost, None) => whole("cpu_us_per_request"),
            (Kind::UserCost, None) => whole("cpu_user_us_per_request"),
            (Kind::UserCost, Some(_)) => None,
            (Kind::Rate, Some(_)) => {
                let seconds: f64 = slices.iter().map(|slice| slice.length_s).sum();
                Some(requests(slices) / seconds)
            }
            (Kind::Cost, Some(_)) => {
                let cpu_us: Option<f64> = slices.iter().map(|slice| slice.cpu_us).sum();
                Some(cpu_us? / requests(slices))
            }
            (Kind::MiddleCost, _) => {
                let costs: Vec<f64> = slices.iter().filter_map(Slice::cost_us).collect();
                stats::median(&costs)
            }
        };
        value.filter(|value| value.is_finite() && *value > 0.0)
    }
}

impl Slice {
    /// CPU time per request, microseconds.
    pub(crate) fn cost_us(&self) -> Option<f64> {
        (self.requests > 0.0).then_some(self.cpu_us? / self.requests)
    }
}

fn requests(slices: &[Slice]) -> f64 {
    slices.iter().map(|slice| slice.requests).sum()
}

/// The drawn rounds of a column as the rounds of a new run.
pub(crate) fn series(column: &RoundValues, draw: &[usize]) -> Series {
    (1..)
        .zip(draw)
        .filter_map(|(round, &index)| Some((round, column[index]?)))
        .collect()
}

/// A column whose rounds are geometric means of several each, as `harness rank` computes over workloads; no
/// value if one of them is missing.
pub(crate) fn combined(column: &RoundValues, groups: &[Vec<usize>]) -> RoundValues {
    let mean = |group: &Vec<usize>| {
        let values: Option<Vec<f64>> = group.iter().map(|&index| column[index]).collect();
        geometric_mean(&values?)
    };
    groups.iter().map(mean).collect()
}

/// A column with all its rounds.
pub(crate) fn whole(column: &RoundValues) -> Series {
    series(column, &(0..column.len()).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use record::Interval;
    use serde_json::json;

    use super::*;

    const LENGTHS_MS: [(Stage, u64); 2] = [(Stage::Peak, 300), (Stage::Paced, 300)];

    /// A trial of 300 ms in which a request costs 10, 20 and 60 µs of CPU.
    fn trial(server: &str, round: u32) -> Trial {
        let trial = json!({
            "round": round, "position": round, "server": server, "workload": "w",
            "stage": "paced", "started_unix_ns": 0, "failure": null, "errors": {},
            "first_error": null, "histograms": {},
            "figures": {"requests_per_s": 1_000.0, "cpu_us_per_request": 30.0},
        });
        let interval = |cost_us: u64| Interval {
            length_ns: 100_000_000,
            requests: 100,
            cpu_ns: Some(100 * 1_000 * cost_us),
            ..Interval::default()
        };
        Trial {
            intervals: [10, 20, 60].map(interval).into(),
            ..serde_json::from_value(trial).unwrap()
        }
    }

    fn pool(trials: &[Trial]) -> Pool {
        let ran: Vec<&Trial> = trials.iter().collect();
        Pool::of_trials(&ran, LENGTHS_MS, |trial| trial.round != 7)
    }

    fn paced(kind: Kind) -> RankFigure {
        RankFigure::new(Stage::Paced, kind)
    }

    #[test]
    fn a_column_has_a_place_for_each_round() {
        let pool = pool(&[trial("a", 1), trial("b", 1), trial("a", 5), trial("b", 7)]);
        assert_eq!(
            (pool.rounds, &pool.names[..]),
            (3, &["a".into(), "b".into()][..])
        );
        let column = |name| pool.column(&paced(Kind::Cost), None, name);
        assert_eq!(column("a"), [Some(30.0), Some(30.0), None]);
        // The trial of round 7 is invalid.
        assert_eq!(column("b"), [Some(30.0), None, None]);
        assert_eq!(column("c"), [None; 3]);
        assert!(
            pool.need("c")
                .unwrap_err()
                .to_string()
                .contains("known: a, b")
        );
        assert_eq!(
            series(&column("a"), &[1, 2, 0]),
            Series::from([(1, 30.0), (3, 30.0)])
        );
    }

    #[test]
    fn a_cut_takes_the_first_intervals_alone() {
        let pool = pool(&[trial("a", 1)]);
        let cut = |kind, ms| {
            let cut = Duration::from_millis(ms);
            pool.column(&paced(kind), Some(cut), "a")[0]
        };
        assert_eq!(cut(Kind::Cost, 100), Some(10.0));
        assert_eq!(cut(Kind::Cost, 250), Some(15.0));
        assert_eq!(cut(Kind::Cost, 300), Some(30.0));
        assert_eq!(cut(Kind::MiddleCost, 300), Some(20.0));
        assert_eq!(cut(Kind::Rate, 200).map(f64::round), Some(1_000.0));
        assert_eq!(cut(Kind::Cost, 50), None);
        assert_eq!(cut(Kind::UserCost, 300), None);
    }
}
