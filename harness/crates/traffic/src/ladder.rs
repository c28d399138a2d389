//! How a server's figures change with the number of connections, of worker threads, or with the rate.
//!
//! A round of a factor has a fresh process of each server, and of each number of workers if those are the factor. They
//! take turns (`turns`). Connections and rates ascend, because memory that a process took for many connections would
//! stay for fewer.

use std::time::Duration;

use anyhow::Result;

use super::turns::{Contender, Driven, Field, Racer, TrialOptions, Turn, USUAL_START};
use catalog::{Workload, plan};
use loadgen::{Config, GENERATOR_BUSY};
use record::{Factor, Failure, Ladder, LadderTrial, RoundLadder};
use runner::Interrupt;

/// About how long a round takes for one server and one workload.
pub fn time_of_ladder(ladder: &Ladder, trials: &TrialOptions) -> Duration {
    let rungs = ladder.values.len() as u32;
    let processes = match ladder.factor {
        Factor::Workers => rungs,
        Factor::Connections | Factor::Rates => 1,
    };
    USUAL_START * processes + trials.time() * rungs
}

/// Measures a round of one factor. Calls `show` with what is measured next. Returns what each contender showed before it
/// failed, if it did.
pub fn ladder_round(
    contenders: &[Contender<'_>],
    (round, workload): (u32, &Workload),
    ladder: &Ladder,
    trials: &TrialOptions,
    interrupt: &Interrupt,
    show: &mut dyn FnMut(&str),
) -> Vec<(RoundLadder, Option<Failure>)> {
    let factor = ladder.factor;
    let seed = plan::round_seed(trials.served.seed, round);
    let mut field = Field::new(trials, seed, interrupt);
    // The worker threads of each contender's processes.
    let processes: Vec<usize> = match factor {
        Factor::Workers => ladder.values.iter().map(|value| *value as usize).collect(),
        Factor::Connections | Factor::Rates => vec![trials.served.boot.workers],
    };
    for (index, contender) in contenders.iter().enumerate() {
        show(&format!("starting {}", contender.name));
        for &workers in &processes {
            let log = format!(
                "{}-{}-{workers}-{}-round-{round}",
                contender.name,
                workload.name,
                factor.name()
            );
            let entrant = Entrant { index, workers };
            field.start(contender, workload, (workers, &log), entrant);
        }
    }
    let mut climb = |value: Option<f64>| {
        field.each(&mut |racer, turn| {
            let value = value.unwrap_or(racer.state.workers as f64);
            show(&format!("{}: {} {value}", racer.name, factor.name()));
            let trial = racer.rung(factor, value, turn)?;
            Ok((racer.state.index, trial))
        })
    };
    let measured = match factor {
        Factor::Workers => climb(None),
        Factor::Connections | Factor::Rates => ladder
            .values
            .iter()
            .flat_map(|value| climb(Some(*value)))
            .collect(),
    };
    let mut rounds: Vec<(RoundLadder, Option<Failure>)> = contenders
        .iter()
        .map(|_| {
            let trials = Vec::new();
            (RoundLadder { round, trials }, None)
        })
        .collect();
    for (index, trial) in measured {
        rounds[index].0.trials.push(trial);
    }
    let ended = field
        .racers
        .into_iter()
        .map(|racer| racer.and_then(Racer::end));
    for (place, ended) in ended.enumerate() {
        if let Err(failure) = ended {
            rounds[place / processes.len()].1.get_or_insert(failure);
        }
    }
    for (round, _) in &mut rounds {
        round.trials.sort_by(|a, b| a.value.total_cmp(&b.value));
    }
    rounds
}

/// A process: of which contender, and with how many worker threads.
struct Entrant {
    index: usize,
    workers: usize,
}

impl Racer<Entrant> {
    fn rung(&mut self, factor: Factor, value: f64, turn: &Turn<'_>) -> Result<LadderTrial> {
        let config = match factor {
            Factor::Connections => Config {
                connections: value as usize,
                ..self.closed(turn)
            },
            Factor::Workers => self.closed(turn),
            Factor::Rates => self.at_rate(value, turn),
        };
        let driven = self.drive(config)?;
        Ok(driven.trial(factor, value))
    }
}

impl Driven {
    fn trial(&self, factor: Factor, value: f64) -> LadderTrial {
        let m = &self.measured;
        let at_rate = factor == Factor::Rates;
        let achieved = (at_rate && m.asked > 0).then(|| m.requests as f64 / m.asked as f64);
        let mut figures = self.figures();
        for (id, figure) in [
            ("achieved_ratio", achieved),
            ("cpu_ratio", self.cpu_ratio),
            (
                "rss_after_bytes",
                self.rss_after_bytes.map(|bytes| bytes as f64),
            ),
        ] {
            figures.extend(figure.map(|figure| (id.to_owned(), figure)));
        }
        LadderTrial {
            value,
            figures,
            generator_bound: m.busy_ratio() > GENERATOR_BUSY && !(at_rate && m.kept_up()),
            first_error: m.first_error.clone(),
        }
    }
}
