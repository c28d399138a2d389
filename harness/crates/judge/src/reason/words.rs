//! Formats each reason as one line: the cause, then what to do.

use std::fmt;

use super::{Effect, Reason};
use record::Step;
use record::figure;
use words::{counted, grouped, listed};

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken { .. }
            | Self::Nonconformant { .. }
            | Self::SlowFirstByte { .. }
            | Self::Errors { .. }
            | Self::Silent(_)
            | Self::OrdersNotConserved { .. }
            | Self::IdsRepeated(_)
            | Self::DelayedAck(_)
            | Self::MemoryGrows { .. }
            | Self::MemoryGrew { .. }
            | Self::Bursts(_)
            | Self::TooFewValid { .. }
            | Self::NoTrial => self.of_the_server(f),
            Self::DriverBound { .. }
            | Self::DriverUnknown
            | Self::NearControl(_)
            | Self::LittlesLaw { .. }
            | Self::RateMissed(_)
            | Self::SentLate { .. }
            | Self::Connections { .. }
            | Self::Reconnects { .. }
            | Self::Bytes { .. } => self.of_the_load(f),
            Self::Stolen(_)
            | Self::OtherLoad(_)
            | Self::Restless { .. }
            | Self::Throttled(_)
            | Self::WaitingLoad(_)
            | Self::ControlSpread { .. }
            | Self::NoControl(_)
            | Self::Machine(_)
            | Self::Changed(_)
            | Self::RoundOrder { .. }
            | Self::MachineTail { .. }
            | Self::NotSteady { .. }
            | Self::OutlierRound { .. } => self.of_the_machine(f),
        }
    }
}

impl Reason {
    fn of_the_server(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken { step, reason, .. } => {
                write!(f, "{} failed: {}", step_name(*step), one_line(reason))
            }
            Self::Nonconformant {
                passed,
                total,
                first,
            } => {
                write!(f, "not measured: only {passed} of {total} checks passed")?;
                first
                    .as_ref()
                    .map_or(Ok(()), |first| write!(f, "; first: {}", one_line(first)))
            }
            Self::SlowFirstByte { found_us, limit_us } => write!(
                f,
                "not measured: the idle first byte takes {} (limit {}); change the limit with \
                 --first-byte-limit",
                millis(*found_us),
                millis(*limit_us)
            ),
            Self::Errors {
                total,
                kinds,
                first,
            } => {
                write!(f, "{} under load ({kinds})", counted(*total, "error"))?;
                first
                    .as_ref()
                    .map_or(Ok(()), |first| write!(f, "; first: {}", one_line(first)))
            }
            Self::Silent(count) => write!(
                f,
                "{} without a response at the end of the load, for more than a second and twice \
                 the longest latency: the server hangs",
                counted(*count as u64, "connection")
            ),
            Self::OrdersNotConserved {
                accepted,
                growth,
                unanswered,
            } => write!(
                f,
                "the client counted {accepted} accepted and {unanswered} unanswered orders, but \
                 the server's total grew by {growth}: it loses or invents orders"
            ),
            Self::IdsRepeated(count) => write!(f, "{count} order ids were issued twice"),
            Self::DelayedAck(share) => write!(
                f,
                "{} of the requests took 40 to 50 ms after an early first byte: Nagle's algorithm \
                 and delayed ACKs; write head and body in one call, or set TCP_NODELAY",
                percent(*share)
            ),
            Self::MemoryGrows { bytes, per_request } => write!(
                f,
                "memory kept growing: {:.0} MiB in the second half of the load, {per_request:.0} \
                 bytes per request; check for a leak, or a garbage collector that has not run \
                 yet",
                bytes / 1_048_576.0
            ),
            Self::MemoryGrew {
                bytes,
                per_request,
                stopped,
            } => write!(
                f,
                "memory grew by {:.0} MiB under load, {per_request:.0} bytes per request{}; check \
                 for a cache or pool with a high limit, or a leak",
                bytes / 1_048_576.0,
                if *stopped { ", then stopped" } else { "" }
            ),
            Self::Bursts(share) => write!(
                f,
                "CPU time comes in bursts: the mean over all slices is {} above the typical slice \
                 shown in the table; check for occasional work, such as table growth or garbage \
                 collection",
                percent(*share)
            ),
            Self::TooFewValid { valid, ran } => {
                write!(
                    f,
                    "only {valid} of {ran} trials are valid; at least half must be"
                )
            }
            _ => f.write_str("not measured: the run ended first"),
        }
    }

    fn of_the_load(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DriverBound {
                driver,
                waiting,
                server,
            } => driver_bound(f, *driver, *waiting, *server),
            Self::DriverUnknown => f.write_str(
                "the load generator may have been the limit: its CPU time could not be read",
            ),
            Self::NearControl(share) => write!(
                f,
                "the rate is {} of the control's, close to the load generator's maximum, so it is \
                 a lower bound; give the load generator more CPUs",
                percent(*share)
            ),
            Self::LittlesLaw { off, closes } => write!(
                f,
                "rate × mean latency is {} off the number of connections (limit 5 %, Little's \
                 law): rate and latency are inconsistent; {}",
                signed_percent(*off),
                match closes {
                    true =>
                        "the server closes its connections, and no latency includes the reconnects",
                    false => "measure longer",
                }
            ),
            Self::RateMissed(achieved) => write!(
                f,
                "only {:.1} % of the target rate was achieved (99.5 % needed): the latency is that \
                 of an overloaded server; lower --rate",
                achieved * 100.0
            ),
            Self::SentLate { found_us, limit_us } => write!(
                f,
                "the load generator sent late: p99 {} (limit {}), and the latency includes it; use \
                 a quieter machine or lower --rate",
                millis(*found_us),
                millis(*limit_us)
            ),
            Self::Connections { found, asked } => write!(
                f,
                "{found} of {asked} connections were established; check the file descriptor limit"
            ),
            Self::Reconnects {
                connections,
                requests,
            } => reconnects(
                f,
                *connections,
                *requests,
                self.effect() == Effect::SetsApart,
            ),
            Self::Bytes { received, expected } => write!(
                f,
                "received {received} bytes, but the responses have {expected}"
            ),
            _ => Ok(()),
        }
    }

    fn of_the_machine(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stolen(share) => write!(
                f,
                "the hypervisor took {} of the CPU time; use a quieter host",
                percent(*share)
            ),
            Self::OtherLoad(share) => write!(
                f,
                "other programs took {} of the CPU time; stop them (`top` shows which)",
                percent(*share)
            ),
            Self::Throttled(periods) => write!(
                f,
                "the container used up its CPU quota and was throttled in {}; give it CPUs \
                 (--cpuset-cpus) instead of a quota (--cpus)",
                counted(*periods as u64, "period")
            ),
            Self::Restless {
                share,
                paused: false,
            } => write!(
                f,
                "it used {} of a CPU while other servers had the load, and took that time from \
                 them; check for a busy loop or a short timer",
                percent(*share)
            ),
            Self::Restless { paused: true, .. } => f.write_str(
                "it used CPU time while other servers had the load, so it was stopped (SIGSTOP) \
                 between its slices; its figures include waking up",
            ),
            Self::WaitingLoad(share) => write!(
                f,
                "servers waiting for their turn took {} of the CPU time; use --isolated, or leave \
                 out the server whose row reports it",
                percent(*share)
            ),
            Self::ControlSpread {
                figure,
                share,
                pair: false,
            } => write!(
                f,
                "the control varied by {} in {figure} between rounds; use a quieter machine",
                percent(*share)
            ),
            Self::ControlSpread {
                figure,
                share,
                pair: true,
            } => write!(
                f,
                "the ratio of the control's two copies varied by {} in {figure} between rounds, \
                 though they ran at the same time; use a quieter machine",
                percent(*share)
            ),
            Self::MachineTail { figures, apart } => {
                let names: Vec<&str> = figures.iter().map(|figure| tail_name(figure)).collect();
                let are = if names.len() > 1 { "are" } else { "is" };
                write!(
                    f,
                    "{} marked ~ {are} caused by the machine, not the servers: two copies of the \
                     control differ by up to {}",
                    listed(&names),
                    apart_by(*apart)
                )
            }
            Self::NoControl(found) => write!(
                f,
                "{found}; the noise floor is assumed, and rates can't be compared with the load \
                 generator's maximum"
            ),
            Self::Machine(id) => write!(
                f,
                "the machine distorts the figures ({id}, see Environment); run `harness doctor`"
            ),
            Self::Changed(what) => write!(
                f,
                "the machine changed during the run ({}, see Environment): rounds before and after \
                 aren't comparable; run again without changes",
                what.join(", ")
            ),
            Self::RoundOrder {
                figure,
                rho,
                p,
                trials,
            } => round_order(f, figure, *rho, *p, *trials),
            Self::NotSteady {
                settled_ms: Some(after),
            } => write!(
                f,
                "not steady until {} s into the measurement; use a longer warm-up",
                after / 1e3
            ),
            Self::NotSteady { settled_ms: None } => {
                f.write_str("no steady state was reached; measure longer")
            }
            Self::OutlierRound {
                round,
                figure,
                off,
                beside_others,
            } => write!(
                f,
                "round {round} is an outlier: its {figure} is {} off the median{}; it still counts",
                signed_percent(*off),
                if *beside_others {
                    ", relative to the other entries of that round"
                } else {
                    ""
                }
            ),
            _ => Ok(()),
        }
    }
}

fn reconnects(
    f: &mut fmt::Formatter<'_>,
    connections: f64,
    requests: f64,
    apart: bool,
) -> fmt::Result {
    match (requests / connections).round() {
        every if every <= 1.0 => f.write_str("every request opened a connection")?,
        every => {
            let every = grouped(every as usize);
            write!(f, "one connection per {every} requests")?;
        }
    }
    write!(
        f,
        " ({} for {} requests); ",
        grouped(connections as usize),
        grouped(requests as usize)
    )?;
    f.write_str(match apart {
        true => {
            "the figures include that cost, so it is not ranked with servers that keep \
             connections; enable keep-alive"
        }
        false => "check for a limit on requests or idle time per connection",
    })
}

/// Waiting is only mentioned above this share.
const MUCH_WAITING: f64 = 0.10;

fn driver_bound(
    f: &mut fmt::Formatter<'_>,
    driver: f64,
    waiting: f64,
    server: Option<f64>,
) -> fmt::Result {
    let starved = waiting > MUCH_WAITING;
    write!(f, "the load generator was {} busy", percent(driver))?;
    if starved {
        write!(
            f,
            " (and waited for a CPU {} of the time)",
            percent(waiting)
        )?;
    }
    match server {
        Some(server) => write!(f, ", the server only {}", percent(server))?,
        None => f.write_str(", the server by an unknown share")?,
    }
    f.write_str("; the rate is a lower bound; ")?;
    f.write_str(match starved {
        true => "stop other programs on the load generator's CPUs",
        false => "give the load generator more CPUs",
    })
}

fn round_order(
    f: &mut fmt::Formatter<'_>,
    figure: &str,
    rho: f64,
    p: f64,
    trials: usize,
) -> fmt::Result {
    let what = match figure {
        figure::RATE => "rate",
        other => figure::name(other),
    };
    let direction = if rho > 0.0 { "rises" } else { "falls" };
    let chance = match p {
        p if p < 0.001 => "p < 0.001".to_owned(),
        p => format!("p = {p:.3}"),
    };
    write!(
        f,
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

/// The step, as the start of `… failed`.
fn step_name(step: Step) -> &'static str {
    match step {
        Step::Build => "build",
        Step::Boot => "boot",
        Step::Check => "check",
        Step::Accept => "checking the responses before the load",
        Step::Drive => "load",
        Step::Stop => "stop",
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
                kinds: text(),
                first: None,
            },
            Reason::OrdersNotConserved {
                accepted: 2.0,
                growth: 1.0,
                unanswered: 0.0,
            },
            Reason::Silent(2.0),
            Reason::IdsRepeated(1.0),
            Reason::DelayedAck(0.4),
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
            Reason::NearControl(0.8),
            Reason::LittlesLaw {
                off: 0.1,
                closes: false,
            },
            Reason::LittlesLaw {
                off: -0.3,
                closes: true,
            },
            Reason::RateMissed(0.9),
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
            Reason::NoControl(text()),
            Reason::Bytes {
                received: 1.0,
                expected: 2.0,
            },
            Reason::Stolen(0.2),
            Reason::OtherLoad(0.2),
            Reason::Throttled(2.0),
            Reason::Restless {
                share: 0.2,
                paused: false,
            },
            Reason::Restless {
                share: 0.0,
                paused: true,
            },
            Reason::Bursts(0.2),
            Reason::WaitingLoad(0.2),
            Reason::ControlSpread {
                figure: "requests_per_s",
                share: 0.2,
                pair: false,
            },
            Reason::MachineTail {
                figures: vec!["jitter_us"],
                apart: 1.4,
            },
            Reason::Machine("pressure".to_owned()),
            Reason::Changed(vec!["governor".to_owned()]),
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
        ];
        for reason in reasons {
            assert!(reason.to_string().len() > 3, "{reason:?}");
        }
    }

    #[test]
    fn a_starved_driver_is_told_from_a_busy_one() {
        let told = |driver, waiting| {
            let server = Some(0.5);
            Reason::DriverBound {
                driver,
                waiting,
                server,
            }
            .to_string()
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
            let reason = Reason::Reconnects {
                connections,
                requests,
            };
            (reason.effect(), reason.to_string())
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
            Reason::MachineTail { figures, apart }.to_string()
        };
        assert_eq!(
            told(&["latency_p99_us", "jitter_us"], 1.42),
            "p99 and jitter marked ~ are caused by the machine, not the servers: two copies of the \
             control differ by up to 42 %"
        );
        assert!(told(&["first_byte_p99_us"], 9.44).ends_with("up to a factor of 9.4"));
        assert!(told(&["latency_p999_us"], 23.4).ends_with("up to a factor of 23"));
    }

    #[test]
    fn quoted_text_is_one_short_line() {
        assert_eq!(one_line("a\n  b\tc"), "a b c");
        let long = one_line(&"ö".repeat(500));
        assert_eq!(long.chars().count(), MAX_QUOTED + 1);
    }
}
