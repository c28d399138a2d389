//! What the noise consists of: between intervals, between processes, between rounds.
//!
//! The model is log y = server + round + process + interval, where all but the first are normal and
//! independent. A two-way analysis of variance of the trials' means without repetition gives the round and a
//! residual. The residual includes the processes and the mean of their intervals, whose share is known from the
//! scatter within trials.

use catalog::Stage;
use stats::robust_spread;

use crate::Names;
use crate::pool::{Kind, Pool, RankFigure, Slice, whole};
use crate::table::{MarkdownTable, tenths};

/// Standard deviations as log-ratios, so relative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Components {
    /// Between the intervals of one process.
    pub(crate) interval: f64,
    /// The correlation of neighbouring intervals; −1/k for k independent intervals.
    pub(crate) neighbours: f64,
    /// Intervals in a trial, on average.
    pub(crate) count: f64,
    /// Between processes of one server in one round, without the share of their intervals.
    pub(crate) process: f64,
    /// Of a trial: process and the mean of its intervals.
    pub(crate) trial: f64,
    /// Shared by all trials of a round.
    pub(crate) round: f64,
}

/// The section of the report.
pub(crate) fn report(pool: &Pool, names: &Names) -> String {
    let servers = names.measured(pool);
    let mut table = MarkdownTable::new([
        "figure",
        "cycles, shared",
        "intervals of a process",
        "neighbours' correlation",
        "mean of a trial's intervals",
        "processes",
        "rounds, shared",
        "ratio of two in a round",
        "with endless trials",
        "twins' ratio, robust",
    ]);
    for (stage, kind) in [
        (Stage::Paced, Kind::Cost),
        (Stage::Peak, Kind::Cost),
        (Stage::Peak, Kind::Rate),
    ] {
        let mut cells: Vec<_> = servers
            .iter()
            .map(|name| pool.slices(stage, name))
            .map(|trials| logs(&trials, kind))
            .collect();
        let cycles = pool
            .interleaved
            .then(|| take_cycles_off(&mut cells))
            .flatten();
        let Some(found) = components(&cells) else {
            continue;
        };
        let figure = RankFigure::new(stage, kind);
        table.row([
            figure.name(),
            tenths(cycles),
            tenths(found.interval),
            format!("{:.2} ({:.2})", found.neighbours, -1.0 / found.count),
            tenths(found.interval / found.count.sqrt()),
            tenths(found.process),
            tenths(found.round),
            tenths(found.trial * 2_f64.sqrt()),
            tenths(found.process * 2_f64.sqrt()),
            tenths(twins(pool, names, &figure)),
        ]);
    }
    format!(
        "Relative standard deviations, over {}. An interval is a slice, or 100 ms in an isolated \
         run; brackets show the correlation that independent intervals would have. Variation \
         shared by the slices of a cycle comes first and is removed from the rest; it cancels in \
         the ratio of two servers, as does variation shared by rounds. Variation between processes \
         remains however long a trial is.\n\n{table}",
        servers
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ")
    )
}

/// The spread of the twins' log-ratio by the median absolute deviation, which is robust against one bad round.
fn twins(pool: &Pool, names: &Names, figure: &RankFigure) -> Option<f64> {
    let column = |name: &str| whole(&pool.column(figure, None, name));
    let (base, twin) = (column(&names.base), column(&names.twin));
    let ratios: Vec<f64> = base
        .iter()
        .filter_map(|(round, base)| Some(twin.get(round)? / base))
        .collect();
    robust_spread(&ratios)
}

/// The logarithms of the intervals of each trial.
fn logs(trials: &[Option<Vec<Slice>>], kind: Kind) -> Vec<Option<Vec<f64>>> {
    let value = |slice: &Slice| match kind {
        Kind::Rate => Some(slice.requests / slice.length_s),
        _ => slice.cost_us(),
    };
    let of_trial = |slices: &Vec<Slice>| {
        let logs = slices.iter().filter_map(value).map(f64::ln);
        let logs: Vec<f64> = logs.filter(|log| log.is_finite()).collect();
        (logs.len() > 1).then_some(logs)
    };
    trials
        .iter()
        .map(|trial| of_trial(trial.as_ref()?))
        .collect()
}

/// Removes from each slice the variation shared by all servers' slices of its cycle, beyond that of their
/// trials, and returns its standard deviation. Leaves cycles that a server misses unchanged.
fn take_cycles_off(cells: &mut [Vec<Option<Vec<f64>>>]) -> Option<f64> {
    let (mut squares, mut count) = (0.0, 0.0);
    for round in 0..cells.first()?.len() {
        let means: Option<Vec<f64>> = cells
            .iter()
            .map(|server| Some(mean(server[round].as_ref()?.iter().copied())))
            .collect();
        let Some(means) = means else { continue };
        let of_round = |server: &Vec<Option<Vec<f64>>>| server[round].as_ref().map_or(0, Vec::len);
        for cycle in 0..cells.iter().map(of_round).min().unwrap_or(0) {
            let off = |(server, own): (&Vec<Option<Vec<f64>>>, &f64)| {
                server[round]
                    .as_ref()
                    .map_or(0.0, |slices| slices[cycle] - own)
            };
            let shared = mean(cells.iter().zip(&means).map(off));
            for slices in cells.iter_mut().filter_map(|server| server[round].as_mut()) {
                slices[cycle] -= shared;
            }
            squares += shared * shared;
            count += 1.0;
        }
    }
    (count > 0.0).then(|| (squares / count).sqrt())
}

/// The components of `cells`, which has a slot for each server and round, with the logarithms of its intervals.
/// Leaves out rounds that a server misses.
///
/// `None` for fewer than two servers or two complete rounds.
pub(crate) fn components(cells: &[Vec<Option<Vec<f64>>>]) -> Option<Components> {
    let rounds =
        (0..cells.first()?.len()).filter(|&r| cells.iter().all(|server| server[r].is_some()));
    let rounds: Vec<usize> = rounds.collect();
    if cells.len() < 2 || rounds.len() < 2 {
        return None;
    }
    let trials = || {
        rounds
            .iter()
            .flat_map(|&r| cells.iter().filter_map(move |server| server[r].as_ref()))
    };
    let (mut squares, mut neighbours, mut free, mut all) = (0.0, 0.0, 0.0, 0.0);
    for trial in trials() {
        let middle = mean(trial.iter().copied());
        squares += trial.iter().map(|y| (y - middle).powi(2)).sum::<f64>();
        neighbours += trial
            .windows(2)
            .map(|pair| (pair[0] - middle) * (pair[1] - middle))
            .sum::<f64>();
        free += trial.len() as f64 - 1.0;
        all += trial.len() as f64;
    }
    let (servers, n) = (cells.len() as f64, rounds.len() as f64);
    let count = all / (servers * n);
    let value = |server: usize, round: usize| {
        cells[server][round]
            .as_ref()
            .map_or(0.0, |trial| mean(trial.iter().copied()))
    };
    let of_server: Vec<f64> = (0..cells.len())
        .map(|s| mean(rounds.iter().map(|&r| value(s, r))))
        .collect();
    let of_round: Vec<f64> = rounds
        .iter()
        .map(|&r| mean((0..cells.len()).map(|s| value(s, r))))
        .collect();
    let grand = mean(of_round.iter().copied());
    let left: f64 = rounds
        .iter()
        .zip(&of_round)
        .flat_map(|(&r, by_round)| {
            of_server
                .iter()
                .enumerate()
                .map(move |(s, by_server)| (s, r, by_server + by_round))
        })
        .map(|(s, r, expected)| (value(s, r) - expected + grand).powi(2))
        .sum();
    let trial = left / ((servers - 1.0) * (n - 1.0));
    let shared = of_round.iter().map(|y| (y - grand).powi(2)).sum::<f64>() / (n - 1.0);
    let interval = squares / free;
    Some(Components {
        interval: interval.sqrt(),
        neighbours: neighbours / squares,
        count,
        process: (trial - interval / count).max(0.0).sqrt(),
        trial: trial.sqrt(),
        // The mean over servers of a round's trials includes their own scatter too.
        round: (shared - trial / servers).max(0.0).sqrt(),
    })
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0.0), |(sum, n), value| (sum + value, n + 1.0));
    sum / n
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_pcg::Pcg64;

    use super::*;

    #[test]
    fn known_components_are_found() {
        let mut random = Pcg64::seed_from_u64(5);
        let mut normal =
            |sd: f64| sd * ((0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0);
        let rounds: Vec<f64> = (0..400).map(|_| normal(0.05)).collect();
        let mut server = |level: f64| -> Vec<Option<Vec<f64>>> {
            let mut trial = |round: &f64| {
                let process = level + round + normal(0.02);
                Some((0..10).map(|_| process + normal(0.03)).collect())
            };
            rounds.iter().map(&mut trial).collect()
        };
        let cells = [server(3.0), server(3.1), server(3.3)];
        let found = components(&cells).unwrap();
        for (found, known) in [
            (found.interval, 0.03),
            (found.process, 0.02),
            (found.round, 0.05),
            (
                found.trial,
                (0.02_f64.powi(2) + 0.03_f64.powi(2) / 10.0).sqrt(),
            ),
        ] {
            assert!((found / known - 1.0).abs() < 0.1, "{found} for {known}");
        }
        assert!(
            (found.neighbours + 0.1).abs() < 0.05,
            "{}",
            found.neighbours
        );
    }

    #[test]
    fn what_cycles_share_is_found_and_taken_off() {
        // Cycles are ± 0.1; the second server is 1 more expensive, and has an extra 0.01 in one slice.
        let cycles = [0.1, -0.1, 0.1, -0.1];
        let own = |level: f64, odd: f64| {
            let slices: Vec<f64> = cycles.iter().map(|shared| level + shared).collect();
            let mut slices = slices;
            slices[0] += odd;
            slices[1] -= odd;
            vec![Some(slices)]
        };
        let mut cells = [own(2.0, 0.0), own(3.0, 0.01)];
        let shared = take_cycles_off(&mut cells).unwrap();
        assert!((shared - 0.1).abs() < 0.005, "{shared}");
        let left = cells[1][0].as_ref().unwrap();
        assert!(
            (left[0] - 3.005).abs() < 1e-9 && (left[2] - 3.0).abs() < 1e-9,
            "{left:?}"
        );
    }

    #[test]
    fn a_round_that_one_misses_is_left_out() {
        let trial = |level: f64| Some(vec![level, level + 0.01]);
        let whole = [
            vec![trial(1.0), trial(1.1), trial(1.2)],
            vec![trial(2.0), trial(2.2), trial(2.1)],
        ];
        let mut more = whole.clone();
        more[0].push(trial(9.0));
        more[1].push(None);
        assert_eq!(components(&more), components(&whole));
        assert_eq!(components(&whole[..1]), None);
    }
}
