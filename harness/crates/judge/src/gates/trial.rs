//! Gates 2, 3, 5, 6 and 8: what one trial must show.

use super::super::reason::Reason;
use catalog::Stage;
use record::{Run, Trial};

/// Gate 5: how far rate × mean latency may be from the number of connections, as a share.
const LITTLE_LIMIT: f64 = 0.05;
/// Gate 5: reconnects per response above which they explain the mismatch.
const CLOSES: f64 = 0.01;
/// Gate 6: the smallest share of the target rate.
const ACHIEVED_LIMIT: f64 = 0.995;
/// Gate 6: limit of a trial's p99 send lag, in microseconds. Above it the load generator causes the latency
/// tail.
const LAG_LIMIT_US: f64 = 1_000.0;

const MIB: f64 = 1_048_576.0;
/// CPU use of a waiting server is reported above this share of a CPU.
const RESTLESS: f64 = 0.02;

/// Memory grows with the requests above this many bytes per request.
const GROWTH_LIMIT: f64 = 1_024.0;
/// Growth below this, in bytes, can't be distinguished from an allocator's step size.
const GROWTH_LEAST: f64 = 8.0 * MIB;
/// Bytes that a stored order may take, and how many orders are stored.
const ORDER: f64 = 2_048.0;
const ORDERS_KEPT: f64 = 65_536.0;
/// Memory may grow under load by this many bytes:
///
/// `LOAD_BASE + CONNECTION × connections + THREAD × threads + ORDER × orders kept`.
///
/// With 64 connections and four threads that is 21 MiB; correct servers took up to 5 MiB. With 1,000
/// connections it is 80 MiB, and 65,536 orders add 128 MiB.
const LOAD_BASE: f64 = 16.0 * MIB;
/// A connection: its buffers, its task or coroutine.
const CONNECTION: f64 = 65_536.0;
/// A thread of the server: its stack and the allocator's per-thread pools.
const THREAD: f64 = 262_144.0;

fn figure(trial: &Trial, name: &str) -> Option<f64> {
    trial.figures.get(name).copied()
}

/// Gate 2: the trial completed.
pub(super) fn broken(_: &Run, trial: &Trial) -> Option<Reason> {
    let failure = trial.failure.as_ref()?;
    Some(Reason::Broken {
        step: failure.step,
        reason: failure.reason.clone(),
        server: false,
    })
}

/// Gate 2: no wrong status, length or body, no timeout, no reset.
pub(super) fn errors(_: &Run, trial: &Trial) -> Option<Reason> {
    let total = trial.errors.values().sum();
    if total == 0 && trial.first_error.is_none() {
        return None;
    }
    Some(Reason::Errors {
        total,
        kinds: trial.errors.clone(),
        first: trial.first_error.clone(),
    })
}

/// Gate 2: no connection was without a response at the end; the latencies don't include such requests.
pub(super) fn silent(_: &Run, trial: &Trial) -> Option<Reason> {
    figure(trial, "silent")
        .filter(|&count| count > 0.0)
        .map(|connections| Reason::Silent { connections })
}

/// Gate 3: accepted ≤ growth ≤ accepted + unanswered.
pub(super) fn orders_conserved(_: &Run, trial: &Trial) -> Option<Reason> {
    let accepted = figure(trial, "orders_accepted")?;
    let growth = figure(trial, "orders_growth")?;
    let unanswered = figure(trial, "orders_unanswered").unwrap_or(0.0);
    let conserved = accepted <= growth && growth <= accepted + unanswered;
    (!conserved).then_some(Reason::OrdersNotConserved {
        accepted,
        growth,
        unanswered,
    })
}

/// Gate 3: no id was issued twice.
pub(super) fn ids_repeated(_: &Run, trial: &Trial) -> Option<Reason> {
    figure(trial, "ids_repeated")
        .filter(|&count| count > 0.0)
        .map(|ids| Reason::IdsRepeated { ids })
}

/// Gate 5, Little's law in a closed loop.
pub(super) fn littles_law(run: &Run, trial: &Trial) -> Option<Reason> {
    if trial.stage != Stage::Peak || run.connections == 0 {
        return None;
    }
    // The typical slice's value, because a stall at the end of a slice is in the latencies but not in its
    // length.
    let in_flight = figure(trial, "in_flight_mean").or_else(|| {
        let rate = figure(trial, "requests_per_s")?;
        Some(rate * figure(trial, "latency_mean_us")? / 1e6)
    })?;
    let off = in_flight / f64::from(run.connections) - 1.0;
    let again = figure(trial, "reconnects").unwrap_or(0.0);
    let answers = figure(trial, "requests").unwrap_or(f64::INFINITY);
    (off.abs() > LITTLE_LIMIT).then_some(Reason::LittlesLaw {
        off,
        closes: again > CLOSES * answers,
    })
}

/// Gate 6: the target rate was achieved.
pub(super) fn rate_missed(_: &Run, trial: &Trial) -> Option<Reason> {
    paced(trial, "achieved_ratio")
        .filter(|&ratio| ratio < ACHIEVED_LIMIT)
        .map(|achieved| Reason::RateMissed { achieved })
}

/// Gate 6: no trial's requests were sent very late.
pub(super) fn sent_late(_: &Run, trial: &Trial) -> Option<Reason> {
    let found_us = paced(trial, "send_lag_p99_us").filter(|&lag| lag > LAG_LIMIT_US)?;
    Some(Reason::SentLate {
        found_us,
        limit_us: LAG_LIMIT_US,
    })
}

fn paced(trial: &Trial, name: &str) -> Option<f64> {
    (trial.stage == Stage::Paced).then(|| figure(trial, name))?
}

/// Gate 8: the requested number of connections.
pub(super) fn connections(run: &Run, trial: &Trial) -> Option<Reason> {
    let found = figure(trial, "connections_established")?;
    let asked = run.connections;
    (found != f64::from(asked)).then_some(Reason::Connections { found, asked })
}

/// Gate 8: the bytes read match the responses. A request in flight at the end may have received part of its
/// response.
pub(super) fn bytes(_: &Run, trial: &Trial) -> Option<Reason> {
    let received = figure(trial, "bytes_received")?;
    let expected = figure(trial, "bytes_expected")?;
    let in_flight = figure(trial, "unanswered").unwrap_or(0.0) > 0.0;
    let sound = received == expected || in_flight && received > expected;
    (!sound).then_some(Reason::Bytes { received, expected })
}

/// Responses waited for the client's delayed ACK: head and body were written separately without TCP_NODELAY.
pub(super) fn delayed_ack(_: &Run, trial: &Trial) -> Option<Reason> {
    figure(trial, "delayed_ack_ratio").map(|share| Reason::DelayedAck { share })
}

/// Memory still grew with the requests in the second half of the load, or grew over the whole load by more than
/// connections, threads and orders explain.
pub(super) fn memory_grows(run: &Run, trial: &Trial) -> Option<Reason> {
    let orders = figure(trial, "orders_accepted").unwrap_or(0.0);
    let kept = ORDER * orders.min(ORDERS_KEPT);
    grows_to_the_end(trial, kept).or_else(|| grew(run, trial, kept))
}

fn grows_to_the_end(trial: &Trial, kept: f64) -> Option<Reason> {
    let bytes = figure(trial, "rss_growth_bytes")?;
    let per_request = figure(trial, "rss_growth_bytes_per_request")?;
    let grows = per_request > GROWTH_LIMIT && bytes > GROWTH_LEAST + kept;
    grows.then_some(Reason::MemoryGrows { bytes, per_request })
}

fn grew(run: &Run, trial: &Trial, kept: f64) -> Option<Reason> {
    let bytes = figure(trial, "rss_load_growth_bytes")?;
    let per_request = figure(trial, "rss_load_growth_bytes_per_request")?;
    let served = CONNECTION * f64::from(run.connections);
    let threads = THREAD * figure(trial, "threads").unwrap_or(0.0);
    let late = figure(trial, "rss_growth_bytes").unwrap_or(0.0);
    (bytes > LOAD_BASE + served + threads + kept).then_some(Reason::MemoryGrew {
        bytes,
        per_request,
        stopped: late <= GROWTH_LEAST,
    })
}

/// The server took CPU time while it had no load, or was stopped to prevent that.
pub(super) fn restless(_: &Run, trial: &Trial) -> Option<Reason> {
    let share = figure(trial, "waiting_cpu_ratio").unwrap_or(0.0);
    let paused = figure(trial, "paused") == Some(1.0);
    (paused || share > RESTLESS).then_some(Reason::Restless { share, paused })
}

/// The container used up its CPU quota and was throttled.
pub(super) fn throttled(_: &Run, trial: &Trial) -> Option<Reason> {
    let periods = figure(trial, "throttled_periods")?;
    (periods > 0.0).then_some(Reason::Throttled { periods })
}

#[cfg(test)]
mod tests {
    use super::super::super::reason::Effect;
    use super::super::super::testing::{run, trial};
    use super::super::on_trial;
    use super::*;
    use record::{Failure, Step};

    #[test]
    fn a_sound_trial_passes_all() {
        for stage in Stage::ALL {
            assert_eq!(
                on_trial(&run(), &trial("alpha", stage, 1, 1.0)),
                [],
                "{stage}"
            );
        }
    }

    /// The reasons found on a trial with these figures set.
    fn found(stage: Stage, figures: &[(&str, f64)]) -> Vec<Reason> {
        let mut trial = trial("alpha", stage, 1, 1.0);
        trial.figures.extend(
            figures
                .iter()
                .map(|&(name, value)| (name.to_owned(), value)),
        );
        on_trial(&run(), &trial)
    }

    #[test]
    fn errors_are_counted_and_the_first_is_quoted() {
        let mut trial = trial("alpha", Stage::Peak, 1, 1.0);
        trial.errors = [("timeout".to_owned(), 2), ("status".to_owned(), 150)].into();
        trial.first_error = Some("GET /ping: got 500, want 200".to_owned());
        assert_eq!(
            on_trial(&run(), &trial),
            [Reason::Errors {
                total: 152,
                kinds: trial.errors.clone(),
                first: trial.first_error.clone(),
            }]
        );
    }

    #[test]
    fn a_trial_that_broke_off_says_where() {
        let mut trial = trial("alpha", Stage::Peak, 1, 1.0);
        let reason = "the server exited with status 101".to_owned();
        trial.failure = Some(Failure {
            step: Step::Drive,
            reason: reason.clone(),
            log_tail: String::new(),
        });
        let found = on_trial(&run(), &trial);
        assert_eq!(
            found[0],
            Reason::Broken {
                step: Step::Drive,
                reason,
                server: false,
            }
        );
    }

    #[test]
    fn orders_are_neither_lost_nor_made_up() {
        let orders = |accepted, growth, unanswered| {
            let figures = [
                ("orders_accepted", accepted),
                ("orders_growth", growth),
                ("orders_unanswered", unanswered),
            ];
            found(Stage::Peak, &figures).len()
        };
        assert_eq!(orders(100.0, 100.0, 0.0), 0);
        assert_eq!(orders(100.0, 103.0, 3.0), 0);
        assert_eq!(orders(100.0, 99.0, 3.0), 1);
        assert_eq!(orders(100.0, 104.0, 3.0), 1);
        assert_eq!(found(Stage::Peak, &[("ids_repeated", 0.0)]), []);
        assert_eq!(
            found(Stage::Peak, &[("ids_repeated", 1.0)]),
            [Reason::IdsRepeated { ids: 1.0 }]
        );
    }

    #[test]
    fn a_connection_that_is_silent_at_the_end_invalidates() {
        assert_eq!(found(Stage::Peak, &[("silent", 0.0)]), []);
        let silent = found(Stage::Paced, &[("silent", 2.0)]);
        assert_eq!(silent, [Reason::Silent { connections: 2.0 }]);
        assert_eq!(silent[0].effect(), Effect::Invalidates);
    }

    #[test]
    fn a_trial_that_waits_for_delayed_acks_is_marked() {
        let waits = found(Stage::Peak, &[("delayed_ack_ratio", 0.4)]);
        assert_eq!(waits, [Reason::DelayedAck { share: 0.4 }]);
        assert_eq!(waits[0].effect(), Effect::Marks);
    }

    #[test]
    fn littles_law_holds_within_five_percent() {
        // 64 connections, 50,000 requests/s: 1,280 µs.
        let latency = |us| {
            found(
                Stage::Peak,
                &[("requests_per_s", 50_000.0), ("latency_mean_us", us)],
            )
        };
        assert_eq!(latency(1_280.0 * 1.049), []);
        assert!(
            matches!(latency(1_280.0 * 1.06)[..], [Reason::LittlesLaw { off, closes: false }] if off > 0.05)
        );
        assert!(
            matches!(latency(1_280.0 * 0.94)[..], [Reason::LittlesLaw { off, closes: false }] if off < -0.05)
        );
        let closing = [
            ("requests_per_s", 50_000.0),
            ("latency_mean_us", 900.0),
            ("requests", 1_000.0),
            ("reconnects", 990.0),
        ];
        assert!(matches!(
            found(Stage::Peak, &closing)[..],
            [Reason::LittlesLaw { closes: true, .. }]
        ));
        // A paced stage has idle connections.
        assert_eq!(found(Stage::Paced, &[("latency_mean_us", 10.0)]), []);
    }

    #[test]
    fn a_paced_trial_keeps_its_rate_and_its_times() {
        assert_eq!(found(Stage::Paced, &[("achieved_ratio", 0.995)]), []);
        assert_eq!(
            found(Stage::Paced, &[("achieved_ratio", 0.994)]),
            [Reason::RateMissed { achieved: 0.994 }]
        );
        assert_eq!(found(Stage::Paced, &[("send_lag_p99_us", 999.0)]), []);
        assert_eq!(
            found(Stage::Paced, &[("send_lag_p99_us", 1_001.0)]).len(),
            1
        );
        assert_eq!(found(Stage::Peak, &[("send_lag_p99_us", 1_001.0)]), []);
    }

    #[test]
    fn a_server_that_does_not_rest_is_marked() {
        let waits = |share, paused| {
            let figures = [("waiting_cpu_ratio", share), ("paused", paused)];
            found(Stage::Peak, &figures)
        };
        assert_eq!(waits(0.019, 0.0), []);
        assert!(matches!(
            waits(0.021, 0.0)[..],
            [Reason::Restless { paused: false, .. }]
        ));
        assert!(matches!(
            waits(0.0, 1.0)[..],
            [Reason::Restless { paused: true, .. }]
        ));
    }

    #[test]
    fn a_throttled_trial_is_marked() {
        for stage in Stage::ALL {
            assert_eq!(found(stage, &[("throttled_periods", 0.0)]), []);
            let reasons = found(stage, &[("throttled_periods", 2.0)]);
            assert_eq!(reasons, [Reason::Throttled { periods: 2.0 }]);
            assert_eq!(reasons[0].effect(), Effect::Marks);
        }
    }

    #[test]
    fn connections_and_bytes_add_up() {
        assert_eq!(
            found(Stage::Peak, &[("connections_established", 63.0)]).len(),
            1
        );
        let bytes = |received, unanswered| {
            let figures = [
                ("bytes_received", received),
                ("bytes_expected", 1e6),
                ("unanswered", unanswered),
            ];
            found(Stage::Peak, &figures).len()
        };
        assert_eq!(bytes(1e6, 0.0), 0);
        assert_eq!(bytes(1e6 + 1.0, 0.0), 1);
        assert_eq!(bytes(1e6 + 1.0, 2.0), 0);
        assert_eq!(bytes(1e6 - 1.0, 2.0), 1);
    }

    #[test]
    fn memory_may_grow_by_what_is_kept() {
        let grows = |bytes, per_request, orders| {
            let figures = [
                ("rss_growth_bytes", bytes),
                ("rss_growth_bytes_per_request", per_request),
                ("orders_accepted", orders),
            ];
            found(Stage::Peak, &figures).len()
        };
        assert_eq!(grows(64e6, 1_025.0, 0.0), 1);
        assert_eq!(grows(64e6, 1_023.0, 0.0), 0);
        assert_eq!(grows(8e6, 1e6, 0.0), 0);
        // 65,536 orders of 2 KiB are 134 MB; more orders don't raise the limit.
        assert_eq!(grows(140e6, 1e4, 65_536.0), 0);
        assert_eq!(grows(143e6, 1e4, 1e6), 1);
    }

    /// What is found on a trial whose memory grew by `grew` MiB under load.
    fn grew(connections: u32, mib: f64, late_mib: f64, orders: f64) -> Vec<Reason> {
        let mut trial = trial("alpha", Stage::Peak, 1, 1.0);
        let figures = [
            ("connections_established", f64::from(connections)),
            ("latency_mean_us", f64::from(connections) / 0.05),
            ("threads", 4.0),
            ("rss_load_growth_bytes", mib * MIB),
            ("rss_load_growth_bytes_per_request", 900.0),
            ("rss_growth_bytes", late_mib * MIB),
            ("rss_growth_bytes_per_request", 900.0),
            ("orders_accepted", orders),
            ("orders_growth", orders),
        ];
        let figures = figures.map(|(name, value)| (name.to_owned(), value));
        trial.figures.extend(figures);
        let run = Run {
            connections,
            ..run()
        };
        on_trial(&run, &trial)
    }

    #[test]
    fn memory_that_grew_and_stopped_is_found() {
        assert_eq!(grew(64, 5.0, 0.0, 0.0), []);
        assert_eq!(grew(64, 21.0, 0.0, 0.0), []);
        let found = grew(64, 22.0, 8.0, 0.0);
        assert_eq!(
            found,
            [Reason::MemoryGrew {
                bytes: 22.0 * MIB,
                per_request: 900.0,
                stopped: true,
            }]
        );
        // Too little per request to count as growth until the end.
        assert!(matches!(
            grew(64, 90.0, 45.0, 0.0)[..],
            [Reason::MemoryGrew { stopped: false, .. }]
        ));
    }

    #[test]
    fn connections_and_orders_may_take_memory() {
        assert_eq!(grew(1_000, 79.0, 0.0, 0.0), []);
        assert_eq!(grew(1_000, 80.0, 0.0, 0.0).len(), 1);
        assert_eq!(grew(64, 149.0, 0.0, 65_536.0), []);
        assert_eq!(grew(64, 150.0, 0.0, 1e6).len(), 1);
    }
}
