//! Gates 4, 6 and 8, which look at all trials of a row, and the notes on a row.

use std::collections::BTreeMap;

use super::super::reason::Reason;
use super::super::row_view::{RowView, series, values};
use super::machine::quotients;
use catalog::Stage;
use record::figure;
use record::{Interval, Schedule, Trial};
use stats::{Series, Steadiness, geometric_mean, median, outliers, steadiness};

/// Gate 4: the load generator or server counts as busy from this share on.
const BUSY: f64 = 0.90;
/// Gate 4: the largest share of the control's rate.
const CONTROL_SHARE: f64 = 0.70;
/// Gate 6: limit of the median over trials of the p99 send lag, in microseconds.
const USUAL_LAG_LIMIT_US: f64 = 200.0;
/// Gate 8: reconnects per request below this are not reported.
const FEW_CONNECTIONS: f64 = 1e-4;
/// Rates within this share count as the same level.
const RATE_TOLERANCE: f64 = 0.10;
/// Median latencies within this share count as the same level; latency varies more than rate.
const LATENCY_TOLERANCE: f64 = 0.25;
/// Rounds closer to the median than this are never outliers.
const NEAR: f64 = 0.10;
/// How far the mean CPU time over all slices may exceed that of a typical slice, beyond what the other entries
/// show.
const BURSTS: f64 = 0.05;
/// If more than this share of the control's trials was unsteady, the machine was unsteady.
const RESTLESS_MACHINE: f64 = 0.25;

/// Gate 4: the load generator is busy and the server is not.
///
/// If both are busy, as is usual with one core each, the server's CPUs are a limit as well: its rate is at most
/// a tenth below what it could reach, so it is not a lower bound. That relies on CPU time: a server that polls
/// in a loop is always busy, and only [`near_control`] detects that. If neither is busy, the number of
/// connections is the limit; the caption states that number.
pub(super) fn driver_bound(row: &RowView<'_>) -> Option<Reason> {
    if row.stage != Stage::Peak {
        return None;
    }
    let Some(driver) = row.median("driver_busy_ratio") else {
        return Some(Reason::DriverUnknown);
    };
    // A thread that waits for a CPU has no time left either.
    let waiting = row.median("driver_wait_ratio").unwrap_or(0.0);
    let server = row.median("server_busy_ratio");
    let idle = server.is_none_or(|server| server < BUSY);
    (driver + waiting > BUSY && idle).then_some(Reason::DriverBound {
        driver,
        waiting,
        server,
    })
}

/// Gate 4: the rate in each round as a share of the geometric mean of the control's entries in that round; the
/// median over rounds.
pub(super) fn near_control(row: &RowView<'_>) -> Option<Reason> {
    if row.stage != Stage::Peak {
        return None;
    }
    let share = |(round, rate): (&u32, &f64)| {
        let of_round: Vec<f64> = row
            .control
            .iter()
            .filter_map(|s| s.get(round))
            .copied()
            .collect();
        Some(rate / geometric_mean(&of_round)?)
    };
    let rates = row.series("requests_per_s");
    let shares: Vec<f64> = rates.iter().filter_map(share).collect();
    median(&shares)
        .filter(|&share| share > CONTROL_SHARE)
        .map(|share| Reason::NearControl { share })
}

/// Gate 6: the median over trials of the send lag, with a stricter limit than for each trial.
pub(super) fn usually_late(row: &RowView<'_>) -> Option<Reason> {
    if row.stage != Stage::Paced {
        return None;
    }
    let found_us = row
        .median("send_lag_p99_us")
        .filter(|&lag| lag > USUAL_LAG_LIMIT_US)?;
    Some(Reason::SentLate {
        found_us,
        limit_us: USUAL_LAG_LIMIT_US,
    })
}

/// Gate 8: connections that the server closed under load and that had to be reopened, over all valid trials.
pub(super) fn reconnects(row: &RowView<'_>) -> Option<Reason> {
    let sum = |figure| values(row.valid, figure).iter().sum::<f64>();
    let (connections, requests) = (sum("reconnects"), sum("requests_sent"));
    // Older records don't count requests.
    let many = requests > 0.0 && connections > FEW_CONNECTIONS * requests;
    many.then_some(Reason::Reconnects {
        connections,
        requests,
    })
}

/// More than half of the trials were not steady from their start: in rate at peak, in median latency when
/// paced.
///
/// In an interleaved run the windows are slices, spread over the whole stage. Changes of the machine affect the
/// slices of the same number of all entries, so each slice is first divided by the median of the other entries'
/// slices. If the control was not steady either, the machine is the cause, and the server isn't marked.
pub(super) fn not_steady(row: &RowView<'_>) -> Option<Reason> {
    let levels = Levels::of(row, row.valid);
    let control = row.others_of_control();
    if Levels::of(row, &control).share_unsteady() > RESTLESS_MACHINE {
        return None;
    }
    if 2 * levels.unsteady > levels.judged {
        return Some(Reason::NotSteady { settled_ms: None });
    }
    (levels.share_unsteady() > 0.5).then(|| Reason::NotSteady {
        settled_ms: median(&levels.settled_ms),
    })
}

/// How many trials were steady.
#[derive(Default)]
struct Levels {
    judged: usize,
    unsteady: usize,
    /// When the others became steady, if not at once.
    settled_ms: Vec<f64>,
}

impl Levels {
    fn of(row: &RowView<'_>, trials: &[&Trial]) -> Self {
        let mut levels = Self::default();
        for trial in trials {
            match trial_steadiness(row, trial) {
                Steadiness::TooFew => continue,
                Steadiness::Steady => {}
                Steadiness::SteadyFrom(window) => {
                    levels.settled_ms.push(window_ms(trial) * window as f64);
                }
                Steadiness::Unsteady => levels.unsteady += 1,
            }
            levels.judged += 1;
        }
        levels
    }

    /// The share of trials that were not steady from their start.
    fn share_unsteady(&self) -> f64 {
        let found = self.unsteady + self.settled_ms.len();
        found as f64 / self.judged.max(1) as f64
    }
}

fn trial_steadiness(row: &RowView<'_>, trial: &Trial) -> Steadiness {
    let tolerance = match trial.stage {
        Stage::Peak => RATE_TOLERANCE,
        Stage::Paced => LATENCY_TOLERANCE,
    };
    let levels = match row.run.schedule {
        Schedule::Isolated => windows(trial),
        Schedule::Interleaved { .. } => {
            let beside =
                |other: &&&Trial| other.round == trial.round && other.server != trial.server;
            let of_round = row.others.iter().filter(beside);
            let others: Vec<_> = of_round.filter_map(|other| course(other)).collect();
            // Without another entry's slice, an effect of the machine can't be removed.
            let beside = |(place, own): (usize, f64)| {
                let of_place = others.iter().filter_map(|other| other.get(&place));
                Some((place, own / median(&of_place.copied().collect::<Vec<_>>())?))
            };
            windows(trial).into_iter().filter_map(beside).collect()
        }
    };
    let levels: Vec<f64> = levels.into_iter().map(|(_, level)| level).collect();
    steadiness(&levels, tolerance)
}

/// The level of each window as a share of the trial's median level.
fn course(trial: &Trial) -> Option<BTreeMap<usize, f64>> {
    let windows = windows(trial);
    let levels: Vec<f64> = windows.iter().map(|(_, level)| *level).collect();
    let middle = median(&levels).filter(|middle| *middle > 0.0)?;
    Some(
        windows
            .into_iter()
            .map(|(at, level)| (at, level / middle))
            .collect(),
    )
}

/// The number and the level of each full window.
fn windows(trial: &Trial) -> Vec<(usize, f64)> {
    let rate = |at: &Interval| at.requests as f64 / at.length_ns as f64;
    let whole = trial
        .intervals
        .iter()
        .map(|at| at.length_ns)
        .max()
        .unwrap_or(0);
    // The last interval may be cut short.
    let full = trial
        .intervals
        .iter()
        .enumerate()
        .filter(|(_, at)| at.length_ns > 0 && 2 * at.length_ns > whole);
    match trial.stage {
        Stage::Peak => full.map(|(place, at)| (place, rate(at))).collect(),
        Stage::Paced => full
            .filter_map(|(place, at)| Some((place, at.p50_ns? as f64)))
            .collect(),
    }
}

fn window_ms(trial: &Trial) -> f64 {
    trial
        .intervals
        .first()
        .map_or(0.0, |at| at.length_ns as f64 / 1e6)
}

/// CPU time comes in bursts: the mean over all slices exceeds a typical slice by more than it does for the
/// other entries, so the server causes the bursts and not the machine.
pub(super) fn bursts(row: &RowView<'_>) -> Option<Reason> {
    let extra = |trials: &[&Trial]| {
        let (typical, mean) = ("cpu_us_per_request", "cpu_mean_us_per_request");
        let shares = quotients(&series(trials, mean), &series(trials, typical));
        median(&shares.into_values().collect::<Vec<_>>())
    };
    let others: Vec<f64> = by_entry(row.others)
        .values()
        .filter_map(|trials| extra(trials))
        .collect();
    let machine = median(&others)?.max(1.0);
    let own = extra(row.valid)?;
    (own / machine > 1.0 + BURSTS).then_some(Reason::Bursts { share: own - 1.0 })
}

/// The round furthest from the others, in the figure ranked by.
///
/// In an interleaved run a slow round is slow for all entries and cancels in their ratios, so each value is
/// first divided by that round's effect on the other entries. A round that is no further off than the control's
/// two copies ever were from each other is attributed to the machine.
pub(super) fn outlier_round(row: &RowView<'_>) -> Option<Reason> {
    let figure = match row.stage {
        Stage::Peak => figure::RATE,
        Stage::Paced => figure::COST,
    };
    let weather = weather(row.others, figure);
    let beside = |(round, value): (u32, f64)| (round, value / weather.get(&round).unwrap_or(&1.0));
    let series: Series = row
        .series(figure)
        .into_iter()
        .filter(|(_, value)| *value > 0.0)
        .map(beside)
        .collect();
    let (rounds, values): (Vec<u32>, Vec<f64>) = series.into_iter().unzip();
    let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    let middle = median(&values)?.ln();
    let near = control_gap(row, figure).max(NEAR.ln_1p());
    let off = |index: &usize| logs[*index] - middle;
    outliers(&logs)
        .into_iter()
        .filter(|index| off(index).abs() > near)
        .max_by(|a, b| off(a).abs().total_cmp(&off(b).abs()))
        .map(|index| Reason::OutlierRound {
            round: rounds[index],
            figure,
            off: off(&index).exp_m1(),
            beside_others: !weather.is_empty(),
        })
}

/// The largest log-ratio between the control's two copies in any round; 0 if it has only one entry, or the run
/// is isolated.
fn control_gap(row: &RowView<'_>, figure: &str) -> f64 {
    let control = row.others_of_control();
    let copies = by_entry(&control);
    let mut copies = copies.values().map(|trials| series(trials, figure));
    let (Some(first), Some(second)) = (copies.next(), copies.next()) else {
        return 0.0;
    };
    let gaps = quotients(&second, &first);
    gaps.into_values()
        .filter(|gap| *gap > 0.0)
        .map(|gap| gap.ln().abs())
        .fold(0.0, f64::max)
}

/// Each round's effect on these entries: the median over them of their value in the round, as a share of their
/// median over rounds.
fn weather(others: &[&Trial], figure: &str) -> Series {
    let mut shares = BTreeMap::<u32, Vec<f64>>::new();
    for trials in by_entry(others).values() {
        let own = series(trials, figure);
        let values: Vec<f64> = own.values().copied().collect();
        let Some(middle) = median(&values).filter(|middle| *middle > 0.0) else {
            continue;
        };
        for (round, value) in own.into_iter().filter(|(_, value)| *value > 0.0) {
            shares.entry(round).or_default().push(value / middle);
        }
    }
    let of_round = |(round, shares): (u32, Vec<f64>)| Some((round, median(&shares)?));
    shares.into_iter().filter_map(of_round).collect()
}

fn by_entry<'a>(trials: &[&'a Trial]) -> BTreeMap<&'a str, Vec<&'a Trial>> {
    let mut entries = BTreeMap::<_, Vec<_>>::new();
    for trial in trials {
        entries
            .entry(trial.server.as_str())
            .or_default()
            .push(*trial);
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::super::super::reason::Effect;
    use super::super::super::testing::{run, trial};
    use super::super::on_row;
    use super::*;

    /// The reasons for a row of ten trials, each changed by `change`.
    fn found(stage: Stage, control: &[Series], change: impl Fn(u32, &mut Trial)) -> Vec<Reason> {
        let mut trials: Vec<Trial> = (1..=10)
            .map(|round| trial("alpha", stage, round, 1.0 + f64::from(round % 4) / 100.0))
            .collect();
        (1..)
            .zip(&mut trials)
            .for_each(|(round, trial)| change(round, trial));
        let valid: Vec<&Trial> = trials.iter().collect();
        on_row(&RowView {
            run: &run(),
            stage,
            valid: &valid,
            others: &[],
            control,
        })
    }

    fn set(figures: &[(&str, f64)]) -> impl Fn(u32, &mut Trial) {
        let figures: Vec<(String, f64)> = figures
            .iter()
            .map(|&(name, value)| (name.to_owned(), value))
            .collect();
        move |_, trial| trial.figures.extend(figures.clone())
    }

    #[test]
    fn a_sound_row_passes_all() {
        for stage in Stage::ALL {
            assert_eq!(found(stage, &[], |_, _| {}), [], "{stage}");
        }
    }

    #[test]
    fn a_busy_driver_and_an_idle_server_bound_the_rate() {
        let busy = |driver, server| {
            let figures = [("driver_busy_ratio", driver), ("server_busy_ratio", server)];
            found(Stage::Peak, &[], set(&figures))
        };
        let bound = Reason::DriverBound {
            driver: 0.98,
            waiting: 0.0,
            server: Some(0.7),
        };
        assert_eq!(busy(0.98, 0.7), [bound]);
        // Both are busy: the server is at its limit too.
        assert_eq!(busy(0.98, 0.97), []);
        assert_eq!(busy(0.6, 0.97), []);
        assert_eq!(
            found(Stage::Paced, &[], set(&[("driver_busy_ratio", 1.0)])),
            []
        );
    }

    #[test]
    fn a_starved_driver_bounds_the_rate_too() {
        let starved = |waiting| {
            let figures = [
                ("driver_busy_ratio", 0.4),
                ("driver_wait_ratio", waiting),
                ("server_busy_ratio", 0.5),
            ];
            found(Stage::Peak, &[], set(&figures))
        };
        assert_eq!(starved(0.4), []);
        let bound = Reason::DriverBound {
            driver: 0.4,
            waiting: 0.55,
            server: Some(0.5),
        };
        assert_eq!(starved(0.55), [bound]);
    }

    #[test]
    fn an_unread_driver_is_said() {
        let without = |name: &'static str| {
            found(Stage::Peak, &[], move |_, trial| {
                trial.figures.remove(name);
            })
        };
        assert_eq!(without("driver_busy_ratio"), [Reason::DriverUnknown]);
        assert_eq!(without("server_busy_ratio"), []);
    }

    #[test]
    fn a_rate_near_the_controls_is_a_lower_bound() {
        let own: f64 = run_rate();
        let control = |share: f64| -> Vec<Series> {
            let entry = |by: f64| (1..=10).map(|r| (r, own * by / share)).collect();
            vec![entry(0.99), entry(1.01)]
        };
        assert_eq!(found(Stage::Peak, &control(0.6), |_, _| {}), []);
        let near = found(Stage::Peak, &control(0.8), |_, _| {});
        assert!(
            matches!(near[..], [Reason::NearControl { share }] if (0.78..0.85).contains(&share))
        );
    }

    fn run_rate() -> f64 {
        trial("alpha", Stage::Peak, 1, 1.0).figures["requests_per_s"]
    }

    #[test]
    fn a_usual_lag_has_a_stricter_limit() {
        let late = found(Stage::Paced, &[], set(&[("send_lag_p99_us", 300.0)]));
        assert_eq!(
            late,
            [Reason::SentLate {
                found_us: 300.0,
                limit_us: 200.0
            }]
        );
        let once = found(Stage::Paced, &[], |round, trial| {
            if round == 3 {
                trial.figures.insert("send_lag_p99_us".into(), 300.0);
            }
        });
        assert_eq!(once, []);
    }

    #[test]
    fn connections_that_had_to_be_made_again_are_counted_over_all_trials() {
        let made = |connections, requests| {
            let figures = [("reconnects", connections), ("requests_sent", requests)];
            found(Stage::Paced, &[], set(&figures))
        };
        assert_eq!(made(0.0, 10_000.0), []);
        assert_eq!(made(1.0, 10_000.0), []);
        for (each, effect) in [
            (2.0, Effect::Marks),
            (999.0, Effect::Marks),
            (1_000.0, Effect::SetsApart),
            (10_000.0, Effect::SetsApart),
        ] {
            let reasons = made(each, 10_000.0);
            let expected = Reason::Reconnects {
                connections: 10.0 * each,
                requests: 100_000.0,
            };
            assert_eq!(reasons, [expected]);
            assert_eq!(reasons[0].effect(), effect, "{each}");
        }
        // An older record without a count of requests.
        assert_eq!(found(Stage::Peak, &[], set(&[("reconnects", 5_000.0)])), []);
    }

    #[test]
    fn one_wild_round_is_named_and_kept() {
        let wild = found(Stage::Peak, &[], |round, trial| {
            if round == 7 {
                trial
                    .figures
                    .insert("requests_per_s".into(), run_rate() / 2.0);
            }
        });
        assert!(
            matches!(wild[..], [Reason::OutlierRound { round: 7, figure: "requests_per_s", off, .. }] if off < -0.4)
        );
    }

    #[test]
    fn a_changing_level_is_said_for_each_stage_by_its_own_measure() {
        // Half the requests and twice the latency in the first second.
        let slow_start = |upto: i64| {
            move |_: u32, trial: &mut Trial| {
                let window = |at: i64| Interval {
                    start_unix_ns: at * 100_000_000,
                    length_ns: 100_000_000,
                    requests: if at < upto {
                        2_500
                    } else {
                        5_000 + (at as u64 % 3) * 20
                    },
                    p50_ns: Some(if at < upto {
                        200_000
                    } else {
                        100_000 + (at as u64 % 5) * 500
                    }),
                    ..Interval::default()
                };
                trial.intervals = (0..40).map(window).collect();
            }
        };
        for stage in Stage::ALL {
            assert_eq!(found(stage, &[], slow_start(0)), [], "{stage}");
            let settling = Reason::NotSteady {
                settled_ms: Some(1_000.0),
            };
            assert_eq!(found(stage, &[], slow_start(10)), [settling], "{stage}");
            let never = Reason::NotSteady { settled_ms: None };
            assert_eq!(found(stage, &[], slow_start(30)), [never], "{stage}");
        }
    }

    /// The reasons for a row of an interleaved run, its own trials changed by `own` and those of three other
    /// entries by `others`.
    fn interleaved(
        stage: Stage,
        own: impl Fn(u32, &mut Trial),
        others: impl Fn(u32, &mut Trial),
    ) -> Vec<Reason> {
        let rest = &others;
        beside_control(stage, own, rest, rest)
    }

    /// The same with the trials of the control changed by `control`.
    fn beside_control(
        stage: Stage,
        own: impl Fn(u32, &mut Trial),
        others: &dyn Fn(u32, &mut Trial),
        control: &dyn Fn(u32, &mut Trial),
    ) -> Vec<Reason> {
        let trials = |name: &str, speed: f64, change: &dyn Fn(u32, &mut Trial)| -> Vec<Trial> {
            let one = |round: u32| {
                let mut trial = trial(name, stage, round, speed);
                change(round, &mut trial);
                trial
            };
            (1..=10).map(one).collect()
        };
        let own = trials("alpha", 1.0, &own);
        let mut all = trials("beta", 1.3, others);
        for name in ["control", "control~2"] {
            all.extend(trials(name, 3.0, control));
        }
        let schedule = Schedule::Interleaved {
            slice_ms: 20.0,
            lead_in_ms: 1.0,
        };
        on_row(&RowView {
            run: &record::Run { schedule, ..run() },
            stage,
            valid: &own.iter().collect::<Vec<_>>(),
            others: &all.iter().collect::<Vec<_>>(),
            control: &[],
        })
    }

    /// Slices of 20 ms with ± 8 % of noise, at half speed from the fifteenth on.
    fn slices(halved: bool) -> impl Fn(u32, &mut Trial) {
        move |round, trial| {
            let speed = trial.figures["requests_per_s"] / 50_000.0;
            let salt = u64::from(round) + trial.server.len() as u64;
            let slice = |at: u64| {
                let noise = 0.92 + 0.16 * ((at * 7 + salt * 5) % 13) as f64 / 12.0;
                let slow = if halved && at >= 15 { 0.5 } else { 1.0 };
                Interval {
                    start_unix_ns: at as i64 * 80_000_000,
                    length_ns: 20_000_000,
                    requests: (1_000.0 * speed * noise * slow) as u64,
                    p50_ns: Some((100_000.0 / noise / slow) as u64),
                    ..Interval::default()
                }
            };
            trial.intervals = (0..40).map(slice).collect();
        }
    }

    #[test]
    fn interleaved_a_level_is_judged_beside_the_other_entries() {
        for stage in Stage::ALL {
            let sound = interleaved(stage, slices(false), slices(false));
            assert_eq!(sound, [], "{stage}");
            let machine = interleaved(stage, slices(true), slices(true));
            assert_eq!(machine, [], "{stage}: the machine, not the server");
            let server = interleaved(stage, slices(true), slices(false));
            assert!(
                matches!(server[..], [Reason::NotSteady { .. }]),
                "{stage}: {server:?}"
            );
            // One copy of the control is steady and the other isn't; both are the same program.
            let half = |round: u32, trial: &mut Trial| {
                slices(trial.server == "control")(round, trial);
            };
            let control = beside_control(stage, slices(true), &slices(false), &half);
            assert_eq!(control, [], "{stage}");
        }
    }

    #[test]
    fn interleaved_a_round_stands_apart_where_the_others_did_not_do_so_too() {
        let slow = |round: u32, trial: &mut Trial| {
            let noise = 1.0 + f64::from(round % 4) / 100.0;
            let by = if round == 7 { 0.5 } else { noise };
            let rate = trial.figures["requests_per_s"] * by;
            trial.figures.insert("requests_per_s".into(), rate);
        };
        assert_eq!(interleaved(Stage::Peak, slow, slow), []);
        let alone = interleaved(Stage::Peak, slow, |_, _| {});
        assert!(
            matches!(
                alone[..],
                [Reason::OutlierRound { round: 7, off, beside_others: true, .. }] if off < -0.4
            ),
            "{alone:?}"
        );
        // The control's two copies were further apart in another round.
        let apart = |round: u32, trial: &mut Trial| {
            if (round, trial.server.as_str()) == (2, "control~2") {
                let rate = trial.figures["requests_per_s"] * 0.4;
                trial.figures.insert("requests_per_s".into(), rate);
            }
        };
        assert_eq!(beside_control(Stage::Peak, slow, &|_, _| {}, &apart), []);
    }

    #[test]
    fn cpu_time_in_bursts_is_told_of_the_server_alone() {
        let mean = |by: f64| {
            move |_: u32, trial: &mut Trial| {
                let typical = trial.figures["cpu_us_per_request"];
                let mean = ("cpu_mean_us_per_request".to_owned(), typical * by);
                trial.figures.extend([mean]);
            }
        };
        for stage in Stage::ALL {
            assert_eq!(interleaved(stage, mean(1.04), mean(0.98)), [], "{stage}");
            assert_eq!(interleaved(stage, mean(1.3), mean(1.3)), [], "{stage}");
            let found = interleaved(stage, mean(1.3), mean(1.1));
            assert!(
                matches!(found[..], [Reason::Bursts { share }] if (share - 0.3).abs() < 1e-9),
                "{stage}: {found:?}"
            );
        }
    }
}
