//! Gates 4 and 6 on the trials of a row together, and what else is said of a row.

use super::super::reason::Reason;
use super::super::row_view::RowView;
use crate::catalog::Stage;
use crate::record::{Interval, Trial};
use crate::stats::{Series, Steadiness, geometric_mean, median, outliers, steadiness};

/// Gate 4: from this share of busy time on, driver or server counts as busy.
const BUSY: f64 = 0.90;
/// Gate 4: the greatest share of the control's rate.
const CONTROL_SHARE: f64 = 0.70;
/// Gate 6: the 99th percentile of the send lag, microseconds, in the median over trials.
const USUAL_LAG_LIMIT_US: f64 = 200.0;
/// Levels of the rate within this share are one level.
const RATE_TOLERANCE: f64 = 0.10;
/// Levels of the median latency within this share are one level; it moves more than a rate.
const LATENCY_TOLERANCE: f64 = 0.25;
/// Rounds nearer to the median than this share don't stand apart, however alike the others are.
const NEAR: f64 = 0.10;

/// Gate 4: a busy driver and a server that is not.
///
/// Where both are busy, as is usual with one core each, the server's own CPUs are the limit
/// as well: its rate is at most a tenth below what it could be, and it is no lower bound. That trusts the
/// CPU time: a server that polls in a loop is always busy, and only
/// [`near_control`] can tell. Where neither is busy, the connections are the limit; the rate
/// is then what that many connections get, which the caption states.
pub(super) fn driver_bound(row: &RowView<'_>) -> Option<Reason> {
    if row.stage != Stage::Peak {
        return None;
    }
    let Some(driver) = row.median("driver_busy_ratio") else {
        return Some(Reason::DriverUnknown);
    };
    // A thread that waits for its CPU has as little time left as one that works.
    let waiting = row.median("driver_wait_ratio").unwrap_or(0.0);
    let server = row.median("server_busy_ratio");
    let idle = server.is_none_or(|server| server < BUSY);
    (driver + waiting > BUSY && idle).then_some(Reason::DriverBound {
        driver,
        waiting,
        server,
    })
}

/// Gate 4: the median over rounds of the rate as a share of the control's in that round, of
/// the geometric mean of its entries.
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
        .map(Reason::NearControl)
}

/// Gate 6: the send lag in the median over trials; a stricter limit than that on each trial.
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

/// Over half of the trials had no steady level from their start on: of the rate in a peak
/// stage, of the median latency in a paced one.
pub(super) fn not_steady(row: &RowView<'_>) -> Option<Reason> {
    let mut judged = 0;
    let mut unsteady = 0;
    let mut settled_ms = Vec::new();
    for trial in row.valid {
        match trial_steadiness(trial) {
            Steadiness::TooFew => continue,
            Steadiness::Steady => {}
            Steadiness::SteadyFrom(window) => settled_ms.push(window_ms(trial) * window as f64),
            Steadiness::Unsteady => unsteady += 1,
        }
        judged += 1;
    }
    if 2 * unsteady > judged {
        return Some(Reason::NotSteady { settled_ms: None });
    }
    let half = 2 * (unsteady + settled_ms.len()) > judged;
    half.then(|| Reason::NotSteady {
        settled_ms: median(&settled_ms),
    })
}

fn trial_steadiness(trial: &Trial) -> Steadiness {
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
        .filter(|at| at.length_ns > 0 && 2 * at.length_ns > whole);
    match trial.stage {
        Stage::Peak => steadiness(&full.map(rate).collect::<Vec<_>>(), RATE_TOLERANCE),
        Stage::Paced => {
            let medians: Vec<f64> = full.filter_map(|at| Some(at.p50_ns? as f64)).collect();
            steadiness(&medians, LATENCY_TOLERANCE)
        }
    }
}

fn window_ms(trial: &Trial) -> f64 {
    trial
        .intervals
        .first()
        .map_or(0.0, |at| at.length_ns as f64 / 1e6)
}

/// The round furthest from the others in the figure that may carry the rank.
pub(super) fn outlier_round(row: &RowView<'_>) -> Option<Reason> {
    let figure = match row.stage {
        Stage::Peak => "requests_per_s",
        Stage::Paced => "cpu_us_per_request",
    };
    let series: Series = row
        .series(figure)
        .into_iter()
        .filter(|(_, value)| *value > 0.0)
        .collect();
    let (rounds, values): (Vec<u32>, Vec<f64>) = series.into_iter().unzip();
    let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    let middle = median(&values)?;
    let off = |index: &usize| values[*index] / middle - 1.0;
    outliers(&logs)
        .into_iter()
        .filter(|index| off(index).abs() > NEAR)
        .max_by(|a, b| logs_off(&logs, *a, middle).total_cmp(&logs_off(&logs, *b, middle)))
        .map(|index| Reason::OutlierRound {
            round: rounds[index],
            figure,
            off: off(&index),
        })
}

fn logs_off(logs: &[f64], index: usize, middle: f64) -> f64 {
    (logs[index] - middle.ln()).abs()
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{run, trial};
    use super::super::on_row;
    use super::*;

    /// The reasons on a row of ten trials, each changed by `change`.
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
        // Both busy: the server is at its own limit too.
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
        assert!(matches!(near[..], [Reason::NearControl(share)] if (0.78..0.85).contains(&share)));
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
    fn one_wild_round_is_named_and_kept() {
        let wild = found(Stage::Peak, &[], |round, trial| {
            if round == 7 {
                trial
                    .figures
                    .insert("requests_per_s".into(), run_rate() / 2.0);
            }
        });
        assert!(
            matches!(wild[..], [Reason::OutlierRound { round: 7, figure: "requests_per_s", off }] if off < -0.4)
        );
    }

    #[test]
    fn a_changing_level_is_said_for_each_stage_by_its_own_measure() {
        // In the first second half the requests, and twice the latency.
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
}
