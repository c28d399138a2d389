//! Says each reason in one line: the cause, then what to do.

use judge::{Effect, Reason};
use record::Step;
use record::figure;
use words::{counted, grouped, listed};

use super::why;

/// What a gate found.
pub fn reason(reason: &Reason) -> String {
    match reason {
        // Of the server.
        Reason::Broken { step, reason, .. } => {
            format!("{}: {}", broken(*step), one_line(reason))
        }
        Reason::Nonconformant {
            passed,
            total,
            first,
        } => format!(
            "not measured: only {passed} of {total} checks passed{}",
            first_one(first.as_deref())
        ),
        Reason::SlowFirstByte { found_us, limit_us } => format!(
            "not measured: the idle first byte takes {} (limit {}); change the limit with \
             --first-byte-limit",
            millis(*found_us),
            millis(*limit_us)
        ),
        Reason::Errors {
            total,
            kinds,
            first,
        } => {
            let kinds: Vec<String> = kinds
                .iter()
                .map(|(kind, count)| format!("{kind} {count}"))
                .collect();
            format!(
                "{} under load ({}){}",
                counted(*total, "error"),
                kinds.join(", "),
                first_one(first.as_deref())
            )
        }
        Reason::Silent { connections: count } => format!(
            "{} without a response at the end of the load, for more than a second and twice \
             the longest latency: the server hangs",
            counted(*count as u64, "connection")
        ),
        Reason::OrdersNotConserved {
            accepted,
            growth,
            unanswered,
        } => format!(
            "the client counted {accepted} accepted and {unanswered} unanswered orders, but \
             the server's total grew by {growth}: it loses or invents orders"
        ),
        Reason::IdsRepeated { ids: count } => format!("{count} order ids were issued twice"),
        Reason::DelayedAck { share } => format!(
            "{} of the requests took 40 to 50 ms after an early first byte: Nagle's algorithm \
             and delayed ACKs; write head and body in one call, or set TCP_NODELAY",
            percent(*share)
        ),
        Reason::MemoryGrows { bytes, per_request } => format!(
            "memory kept growing: {:.0} MiB in the second half of the load, {per_request:.0} \
             bytes per request; check for a leak, or a garbage collector that has not run \
             yet",
            bytes / 1_048_576.0
        ),
        Reason::MemoryGrew {
            bytes,
            per_request,
            stopped,
        } => format!(
            "memory grew by {:.0} MiB under load, {per_request:.0} bytes per request{}; check \
             for a cache or pool with a high limit, or a leak",
            bytes / 1_048_576.0,
            if *stopped { ", then stopped" } else { "" }
        ),
        Reason::Bursts { share } => format!(
            "CPU time comes in bursts: the mean over all slices is {} above the typical slice \
             shown in the table; check for occasional work, such as table growth or garbage \
             collection",
            percent(*share)
        ),
        Reason::TooFewValid { valid, ran } => {
            format!("only {valid} of {ran} trials are valid; at least half must be")
        }
        Reason::NoTrial => "not measured: the run ended first".to_owned(),
        // Of the load.
        Reason::DriverBound {
            driver,
            waiting,
            server,
        } => driver_bound(*driver, *waiting, *server),
        Reason::DriverUnknown => {
            "the load generator may have been the limit: its CPU time could not be read".to_owned()
        }
        Reason::NearControl { share } => format!(
            "the rate is {} of the control's, close to the load generator's maximum, so it is \
             a lower bound; give the load generator more CPUs",
            percent(*share)
        ),
        Reason::LittlesLaw { off, closes } => format!(
            "rate × mean latency is {} off the number of connections (limit 5 %, Little's \
             law): rate and latency are inconsistent; {}",
            signed_percent(*off),
            match closes {
                true => "the server closes its connections, and no latency includes the reconnects",
                false => "measure longer",
            }
        ),
        Reason::RateMissed { achieved } => format!(
            "only {:.1} % of the target rate was achieved (99.5 % needed): the latency is that \
             of an overloaded server; lower --rate",
            achieved * 100.0
        ),
        Reason::SentLate { found_us, limit_us } => format!(
            "the load generator sent late: p99 {} (limit {}), and the latency includes it; use \
             a quieter machine or lower --rate",
            millis(*found_us),
            millis(*limit_us)
        ),
        Reason::Connections { found, asked } => format!(
            "{found} of {asked} connections were established; check the file descriptor limit"
        ),
        Reason::Reconnects {
            connections,
            requests,
        } => {
            let apart = reason.effect() == Effect::SetsApart;
            reconnects(*connections, *requests, apart)
        }
        Reason::Bytes { received, expected } => {
            format!("received {received} bytes, but the responses have {expected}")
        }
        // Of the machine.
        Reason::Stolen { share } => format!(
            "the hypervisor took {} of the CPU time; use a quieter host",
            percent(*share)
        ),
        Reason::OtherLoad { share } => format!(
            "other programs took {} of the CPU time; stop them (`top` shows which)",
            percent(*share)
        ),
        Reason::Throttled { periods } => format!(
            "the container used up its CPU quota and was throttled in {}; give it CPUs \
             (--cpuset-cpus) instead of a quota (--cpus)",
            counted(*periods as u64, "period")
        ),
        Reason::Restless {
            share,
            paused: false,
        } => format!(
            "it used {} of a CPU while other servers had the load, and took that time from \
             them; check for a busy loop or a short timer",
            percent(*share)
        ),
        Reason::Restless { paused: true, .. } => {
            "it used CPU time while other servers had the load, so it was stopped (SIGSTOP) \
             between its slices; its figures include waking up"
                .to_owned()
        }
        Reason::WaitingLoad { share } => format!(
            "servers waiting for their turn took {} of the CPU time; use --isolated, or leave \
             out the server whose row reports it",
            percent(*share)
        ),
        Reason::ControlSpread {
            figure,
            share,
            pair: false,
        } => format!(
            "the control varied by {} in {figure} between rounds; use a quieter machine",
            percent(*share)
        ),
        Reason::ControlSpread {
            figure,
            share,
            pair: true,
        } => format!(
            "the ratio of the control's two copies varied by {} in {figure} between rounds, \
             though they ran at the same time; use a quieter machine",
            percent(*share)
        ),
        Reason::MachineTail { figures, apart } => {
            let names: Vec<&str> = figures.iter().map(|figure| tail_name(figure)).collect();
            let are = if names.len() > 1 { "are" } else { "is" };
            format!(
                "{} marked ~ {are} caused by the machine, not the servers: two copies of the \
                 control differ by up to {}",
                listed(&names),
                apart_by(*apart)
            )
        }
        Reason::NoControl { found } => format!(
            "{found}; the noise floor is assumed, and rates can't be compared with the load \
             generator's maximum"
        ),
        Reason::Machine { finding: id } => format!(
            "the machine distorts the figures ({id}, see Environment); run `harness doctor`"
        ),
        Reason::Changed { findings: what } => format!(
            "the machine changed during the run ({}, see Environment): rounds before and after \
             aren't comparable; run again without changes",
            what.join(", ")
        ),
        Reason::RoundOrder {
            figure,
            rho,
            p,
            trials,
        } => round_order(figure, *rho, *p, *trials),
        Reason::NotSteady {
            settled_ms: Some(after),
        } => format!(
            "not steady until {} s into the measurement; use a longer warm-up",
            after / 1e3
        ),
        Reason::NotSteady { settled_ms: None } => {
            "no steady state was reached; measure longer".to_owned()
        }
        Reason::OutlierRound {
            round,
            figure,
            off,
            beside_others,
        } => format!(
            "outlier in round {round}: {figure} is {} off the median{}; it still counts",
            signed_percent(*off),
            if *beside_others {
                ", relative to the other entries of that round"
            } else {
                ""
            }
        ),
        // Of a server's rows, and of a workload.
        Reason::RowsFailed { failed, rows } => {
            format!("{failed} of its {rows} rows failed; see those rows for the reasons")
        }
        Reason::RowsMarked { marked, rows } => {
            format!("{marked} of its {rows} rows are marked; see those rows for the reasons")
        }
        Reason::NoPeakRate => "no server has a valid peak rate".to_owned(),
        Reason::NoCost { why: basis } => {
            format!("{}, and no server has a cost at a paced rate", why(basis))
        }
        Reason::TooFewRounds { rounds, needed } => format!(
            "{rounds} valid {}; at least {needed} are needed to separate differences from noise, 10 \
             are better",
            if *rounds == 1 { "round" } else { "rounds" }
        ),
    }
}

/// The first of several, if it is known.
fn first_one(first: Option<&str>) -> String {
    first.map_or_else(String::new, |first| format!("; first: {}", one_line(first)))
}

fn reconnects(connections: f64, requests: f64, apart: bool) -> String {
    let often = match (requests / connections).round() {
        every if every <= 1.0 => "every request opened a connection".to_owned(),
        every => format!("one connection per {} requests", grouped(every as usize)),
    };
    let rest = match apart {
        true => {
            "the figures include that cost, so it is not ranked with servers that keep \
             connections; enable keep-alive"
        }
        false => "check for a limit on requests or idle time per connection",
    };
    format!(
        "{often} ({} for {} requests); {rest}",
        grouped(connections as usize),
        grouped(requests as usize)
    )
}

/// Waiting is only mentioned above this share.
const MUCH_WAITING: f64 = 0.10;

fn driver_bound(driver: f64, waiting: f64, server: Option<f64>) -> String {
    let driver = percent(driver);
    let server = match server {
        Some(server) => format!("the server only {}", percent(server)),
        None => "and it is unknown how busy the server was".to_owned(),
    };
    let (waited, advice) = match waiting > MUCH_WAITING {
        true => (
            format!(" (and waited for a CPU {} of the time)", percent(waiting)),
            "stop other programs on the load generator's CPUs",
        ),
        false => (String::new(), "give the load generator more CPUs"),
    };
    format!(
        "the load generator was {driver} busy{waited}, {server}; the rate is a lower bound; {advice}"
    )
}

fn round_order(figure: &str, rho: f64, p: f64, trials: usize) -> String {
    let what = match figure {
        figure::RATE => "rate",
        other => figure::name(other),
    };
    let direction = if rho > 0.0 { "rises" } else { "falls" };
    let chance = match p {
        p if p < 0.001 => "p < 0.001".to_owned(),
        p => format!("p = {p:.3}"),
    };
    format!(
        "the {what} {direction} from the first to the last trial of a round (rank correlation \
         {rho:+.2} over {trials} trials, {chance}): something carries over between trials, such as \
         heat or closed connections; the shuffled order spreads it over all servers, but the \
         intervals are wider"
    )
}

/// The figure's column heading, without the unit.
fn tail_name(figure: &str) -> &str {
    figure::find(figure).map_or(figure, |figure| figure.head.trim_end_matches(" µs"))
}

/// Formats a factor of at least 1: `42 %` below 2, then `a factor of 9.4`.
fn apart_by(factor: f64) -> String {
    match factor {
        ..2.0 => percent(factor - 1.0),
        2.0..10.0 => format!("a factor of {factor:.1}"),
        _ => format!("a factor of {factor:.0}"),
    }
}

/// What a failure of this step means.
fn broken(step: Step) -> &'static str {
    match step {
        Step::Build => "does not build",
        Step::Boot => "boot failed",
        Step::Check => "check failed",
        Step::Accept => "checking the responses before the load failed",
        Step::Drive => "load failed",
        Step::Stop => "stop failed",
    }
}

/// The longest quoted text, in characters.
const MAX_QUOTED: usize = 240;

/// Joins quoted text into one line and truncates it.
fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn signed_percent(share: f64) -> String {
    format!("{:+.1} %", share * 100.0)
}

fn millis(us: f64) -> String {
    format!("{:.2} ms", us / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use judge::Why;

    #[test]
    fn every_reason_has_words() {
        let text = || "text".to_owned();
        let reasons = [
            Reason::Broken {
                step: Step::Boot,
                reason: text(),
                server: true,
            },
            Reason::Nonconformant {
                passed: 1,
                total: 2,
                first: None,
            },
            Reason::SlowFirstByte {
                found_us: 6e3,
                limit_us: 5e3,
            },
            Reason::Errors {
                total: 1,
                kinds: [("status".to_owned(), 1)].into(),
                first: None,
            },
            Reason::OrdersNotConserved {
                accepted: 2.0,
                growth: 1.0,
                unanswered: 0.0,
            },
            Reason::Silent { connections: 2.0 },
            Reason::IdsRepeated { ids: 1.0 },
            Reason::DelayedAck { share: 0.4 },
            Reason::MemoryGrows {
                bytes: 6e7,
                per_request: 4_096.0,
            },
            Reason::MemoryGrew {
                bytes: 6e7,
                per_request: 4_096.0,
                stopped: true,
            },
            Reason::DriverBound {
                driver: 0.95,
                waiting: 0.0,
                server: None,
            },
            Reason::DriverUnknown,
            Reason::NearControl { share: 0.8 },
            Reason::LittlesLaw {
                off: 0.1,
                closes: false,
            },
            Reason::LittlesLaw {
                off: -0.3,
                closes: true,
            },
            Reason::RateMissed { achieved: 0.9 },
            Reason::SentLate {
                found_us: 300.0,
                limit_us: 200.0,
            },
            Reason::Connections {
                found: 63.0,
                asked: 64,
            },
            Reason::Reconnects {
                connections: 1.0,
                requests: 1.0,
            },
            Reason::NoControl { found: text() },
            Reason::Bytes {
                received: 1.0,
                expected: 2.0,
            },
            Reason::Stolen { share: 0.2 },
            Reason::OtherLoad { share: 0.2 },
            Reason::Throttled { periods: 2.0 },
            Reason::Restless {
                share: 0.2,
                paused: false,
            },
            Reason::Restless {
                share: 0.0,
                paused: true,
            },
            Reason::Bursts { share: 0.2 },
            Reason::WaitingLoad { share: 0.2 },
            Reason::ControlSpread {
                figure: "requests_per_s",
                share: 0.2,
                pair: false,
            },
            Reason::MachineTail {
                figures: vec!["jitter_us"],
                apart: 1.4,
            },
            Reason::Machine {
                finding: "pressure".to_owned(),
            },
            Reason::Changed {
                findings: vec!["governor".to_owned()],
            },
            Reason::RoundOrder {
                figure: "requests_per_s",
                rho: -0.4,
                p: 0.002,
                trials: 40,
            },
            Reason::NotSteady { settled_ms: None },
            Reason::NotSteady {
                settled_ms: Some(500.0),
            },
            Reason::OutlierRound {
                round: 3,
                figure: "requests_per_s",
                off: -0.3,
                beside_others: false,
            },
            Reason::TooFewValid { valid: 1, ran: 3 },
            Reason::NoTrial,
            Reason::RowsFailed { failed: 1, rows: 8 },
            Reason::RowsMarked { marked: 1, rows: 8 },
            Reason::NoPeakRate,
            Reason::NoCost { why: Why::NoPeak },
            Reason::TooFewRounds {
                rounds: 2,
                needed: 3,
            },
        ];
        for one in reasons {
            assert!(reason(&one).len() > 3, "{one:?}");
        }
    }

    #[test]
    fn a_starved_driver_is_told_from_a_busy_one() {
        let told = |driver, waiting| {
            let server = Some(0.5);
            reason(&Reason::DriverBound {
                driver,
                waiting,
                server,
            })
        };
        assert_eq!(
            told(0.97, 0.01),
            "the load generator was 97 % busy, the server only 50 %; the rate is a lower bound; \
             give the load generator more CPUs"
        );
        assert_eq!(
            told(0.4, 0.55),
            "the load generator was 40 % busy (and waited for a CPU 55 % of the time), the server \
             only 50 %; the rate is a lower bound; stop other programs on the load generator's \
             CPUs"
        );
    }

    #[test]
    fn connections_are_told_with_their_number() {
        let told = |connections, requests| {
            let found = Reason::Reconnects {
                connections,
                requests,
            };
            (found.effect(), reason(&found))
        };
        let (effect, text) = told(18_392.0, 18_400.0);
        assert_eq!(effect, Effect::SetsApart);
        assert_eq!(
            text,
            "every request opened a connection (18,392 for 18,400 requests); the figures include \
             that cost, so it is not ranked with servers that keep connections; enable keep-alive"
        );
        let (effect, text) = told(1_840.0, 18_400.0);
        assert_eq!(effect, Effect::SetsApart);
        assert!(text.starts_with("one connection per 10 requests (1,840 for"));
        let (effect, text) = told(18.0, 18_400.0);
        assert_eq!(effect, Effect::Marks);
        assert_eq!(
            text,
            "one connection per 1,022 requests (18 for 18,400 requests); check for a limit on \
             requests or idle time per connection"
        );
    }

    #[test]
    fn a_tail_of_the_machine_is_told_with_its_figures_and_how_far_copies_differ() {
        let told = |figures: &[&'static str], apart| {
            let figures = figures.to_vec();
            reason(&Reason::MachineTail { figures, apart })
        };
        assert_eq!(
            told(&["latency_p99_us", "jitter_us"], 1.42),
            "p99 and jitter marked ~ are caused by the machine, not the servers: two copies of the \
             control differ by up to 42 %"
        );
        assert!(
            told(&["latency_p99_us"], 1.42)
                .starts_with("p99 marked ~ is caused by the machine, not the servers: two copies")
        );
        assert!(told(&["first_byte_p99_us"], 9.44).ends_with("up to a factor of 9.4"));
        assert!(told(&["latency_p999_us"], 23.4).ends_with("up to a factor of 23"));
    }

    #[test]
    fn errors_are_counted_and_the_first_is_quoted() {
        let found = reason(&Reason::Errors {
            total: 152,
            kinds: [("timeout".to_owned(), 2), ("status".to_owned(), 150)].into(),
            first: Some("GET /ping: got 500, want 200".to_owned()),
        });
        assert_eq!(
            found,
            "152 errors under load (status 150, timeout 2); first: GET /ping: got 500, want 200"
        );
    }

    #[test]
    fn what_broke_off_says_where() {
        let told = |step, reason: &str, server| {
            let reason = reason.to_owned();
            super::reason(&Reason::Broken {
                step,
                reason,
                server,
            })
        };
        assert_eq!(
            told(Step::Drive, "the server exited with status 101", false),
            "load failed: the server exited with status 101"
        );
        assert_eq!(
            told(Step::Build, "could not compile\n  `server-alpha`", true),
            "does not build: could not compile `server-alpha`"
        );
    }

    #[test]
    fn a_failed_check_is_told_with_the_first() {
        let found = reason(&Reason::Nonconformant {
            passed: 40,
            total: 41,
            first: Some("orders-422: got 500, want 422".to_owned()),
        });
        assert!(found.contains("only 40 of 41 checks passed"), "{found}");
        assert!(
            found.ends_with("first: orders-422: got 500, want 422"),
            "{found}"
        );
    }

    #[test]
    fn a_slow_first_byte_is_told_with_its_limit() {
        let found = reason(&Reason::SlowFirstByte {
            found_us: 20_100.0,
            limit_us: 5_000.0,
        });
        assert!(found.contains("20.10 ms (limit 5.00 ms)"), "{found}");
    }

    #[test]
    fn memory_that_grew_and_stopped_is_told() {
        let found = reason(&Reason::MemoryGrew {
            bytes: 22.0 * 1_048_576.0,
            per_request: 900.0,
            stopped: true,
        });
        assert_eq!(
            found,
            "memory grew by 22 MiB under load, 900 bytes per request, then stopped; check for a \
             cache or pool with a high limit, or a leak"
        );
    }

    #[test]
    fn the_ratio_of_the_controls_copies_is_of_the_same_time() {
        let found = reason(&Reason::ControlSpread {
            figure: "requests_per_s",
            share: 0.2,
            pair: true,
        });
        assert!(found.contains("ran at the same time"), "{found}");
    }

    #[test]
    fn a_missing_control_is_told_with_what_it_leaves_unknown() {
        let found = "there is no control: the disk is full".to_owned();
        assert_eq!(
            reason(&Reason::NoControl { found }),
            "there is no control: the disk is full; the noise floor is assumed, and rates can't be \
             compared with the load generator's maximum"
        );
    }

    #[test]
    fn what_is_too_few_is_counted() {
        let valid = reason(&Reason::TooFewValid { valid: 4, ran: 10 });
        assert!(
            valid.starts_with("only 4 of 10 trials are valid"),
            "{valid}"
        );
        let rounds = |rounds| reason(&Reason::TooFewRounds { rounds, needed: 3 });
        assert!(rounds(2).starts_with("2 valid rounds; at least 3 are needed"));
        assert!(rounds(1).starts_with("1 valid round;"));
        let ended = reason(&Reason::NoTrial);
        assert_eq!(ended, "not measured: the run ended first");
    }

    #[test]
    fn a_changed_machine_is_told_with_what_changed() {
        let findings = vec!["governor".to_owned(), "thermal".to_owned()];
        let found = reason(&Reason::Changed { findings });
        assert!(
            found.contains("changed during the run (governor, thermal, see"),
            "{found}"
        );
    }

    #[test]
    fn quoted_text_is_one_short_line() {
        assert_eq!(one_line("a\n  b\tc"), "a b c");
        let long = one_line(&"ö".repeat(500));
        assert_eq!(long.chars().count(), MAX_QUOTED + 1);
    }
}
