//! Why a row is not simply good: what a gate found, and what to do about it.

use std::fmt;

use crate::record::Step;
use crate::words::counted;

/// What a reason does to the trial, row or workload it is found on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// The figures count, with this reservation.
    Marks,
    /// The figures count; the peak rate is a lower bound.
    Bounds,
    /// The figures are shown; no ranks are given.
    Withholds,
    /// The trial does not count.
    Invalidates,
    /// The server is not measured.
    Fails,
}

/// What a gate found. Its `Display` says it in one line: the cause, then what to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// The server was not measured, or a trial broke off.
    Broken {
        /// Where.
        step: Step,
        /// The cause.
        reason: String,
        /// The whole server, not a single trial.
        server: bool,
    },
    /// The referee found answers that are not the contract's.
    Nonconformant {
        /// Checks that passed.
        passed: u32,
        /// Checks made.
        total: u32,
        /// The first that failed.
        first: Option<String>,
    },
    /// The first byte came late at idle, microseconds.
    SlowFirstByte {
        /// Median of warm requests.
        found_us: f64,
        /// The run's limit.
        limit_us: f64,
    },
    /// Wrong answers, timeouts or resets under load.
    Errors {
        /// All of them.
        total: u64,
        /// By kind, as in `status 3, timeout 1`.
        kinds: String,
        /// The first in words.
        first: Option<String>,
    },
    /// The server's count of orders does not fit the client's.
    OrdersNotConserved {
        /// Accepted by the client.
        accepted: f64,
        /// Growth of the server's total.
        growth: f64,
        /// Sent without an answer.
        unanswered: f64,
    },
    /// Order ids that were given twice.
    IdsRepeated(f64),
    /// The driver had no time left while the server had; shares from 0 to 1.
    DriverBound {
        /// Of the busiest driver thread: it worked.
        driver: f64,
        /// It was ready to work and something else had its CPU.
        waiting: f64,
        /// The server's CPUs.
        server: Option<f64>,
    },
    /// Whether the driver was the limit can't be said: its busy share is absent.
    DriverUnknown,
    /// The rate is close to what the load generator reaches at all; share of the control's rate.
    NearControl(f64),
    /// Rate and latency do not belong together.
    LittlesLaw {
        /// Rate × mean latency / connections − 1, out of its limits.
        off: f64,
        /// The server closes its connections, and making one again is in no latency.
        closes: bool,
    },
    /// Achieved / asked, below its limit.
    RateMissed(f64),
    /// The 99th percentile of the send lag, microseconds, above its limit.
    SentLate {
        /// What was found.
        found_us: f64,
        /// The limit.
        limit_us: f64,
    },
    /// Fewer or more connections than asked for.
    Connections {
        /// Established.
        found: f64,
        /// Asked for.
        asked: u32,
    },
    /// Bytes read that belong to no response, or responses without their bytes.
    Bytes {
        /// Read from the sockets.
        received: f64,
        /// In complete responses.
        expected: f64,
    },
    /// The hypervisor took CPU time; share from 0 to 1.
    Stolen(f64),
    /// Other processes took CPU time; share from 0 to 1.
    OtherLoad(f64),
    /// The control varied between rounds by this share of its median.
    ControlSpread(f64),
    /// Something about the machine that makes figures wrong.
    /// The id of the first such finding; the environment says all of it once.
    Machine(String),
    /// Settings of the machine that were others after the run than before, by the ids of
    /// their findings.
    Changed(Vec<String>),
    /// Within the rounds, the figure follows the order of the trials.
    RoundOrder {
        /// The figure ranked by.
        figure: &'static str,
        /// Spearman's rank correlation, from -1 to 1.
        rho: f64,
        /// The chance of one as strong where the order means nothing.
        p: f64,
        /// How many trials it is taken over.
        trials: usize,
    },
    /// The level changed within the trial, or had not settled at its start.
    NotSteady {
        /// It settled after so many milliseconds; absent where it never did.
        settled_ms: Option<f64>,
    },
    /// A round that stands apart from the others; it is kept.
    OutlierRound {
        /// Which.
        round: u32,
        /// The figure.
        figure: &'static str,
        /// Value / median − 1.
        off: f64,
    },
    /// Under half of the trials count.
    TooFewValid {
        /// Trials that count.
        valid: usize,
        /// Trials that ran.
        ran: usize,
    },
    /// The run ended before any.
    NoTrial,
}

impl Reason {
    /// What it does.
    pub fn effect(&self) -> Effect {
        match self {
            Self::Broken { server: true, .. }
            | Self::Nonconformant { .. }
            | Self::SlowFirstByte { .. }
            | Self::TooFewValid { .. }
            | Self::NoTrial => Effect::Fails,
            Self::Broken { server: false, .. }
            | Self::Errors { .. }
            | Self::OrdersNotConserved { .. }
            | Self::IdsRepeated(_)
            | Self::Connections { .. }
            | Self::Bytes { .. } => Effect::Invalidates,
            Self::Stolen(_) | Self::OtherLoad(_) | Self::ControlSpread(_) => Effect::Withholds,
            Self::DriverBound { .. } | Self::NearControl(_) => Effect::Bounds,
            Self::DriverUnknown
            | Self::LittlesLaw { .. }
            | Self::RateMissed(_)
            | Self::SentLate { .. }
            | Self::Machine(_)
            | Self::Changed(_)
            | Self::RoundOrder { .. }
            | Self::NotSteady { .. }
            | Self::OutlierRound { .. } => Effect::Marks,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken { .. }
            | Self::Nonconformant { .. }
            | Self::SlowFirstByte { .. }
            | Self::Errors { .. }
            | Self::OrdersNotConserved { .. }
            | Self::IdsRepeated(_)
            | Self::TooFewValid { .. }
            | Self::NoTrial => self.of_the_server(f),
            Self::DriverBound { .. }
            | Self::DriverUnknown
            | Self::NearControl(_)
            | Self::LittlesLaw { .. }
            | Self::RateMissed(_)
            | Self::SentLate { .. }
            | Self::Connections { .. }
            | Self::Bytes { .. } => self.of_the_load(f),
            Self::Stolen(_)
            | Self::OtherLoad(_)
            | Self::ControlSpread(_)
            | Self::Machine(_)
            | Self::Changed(_)
            | Self::RoundOrder { .. }
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
                write!(
                    f,
                    "{passed} of {total} checks passed, so it was not measured"
                )?;
                first
                    .as_ref()
                    .map_or(Ok(()), |first| write!(f, "; first: {}", one_line(first)))
            }
            Self::SlowFirstByte { found_us, limit_us } => write!(
                f,
                "the first byte at idle takes {} (limit {}), so it was not measured; \
                 --first-byte-limit moves the limit",
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
            Self::OrdersNotConserved {
                accepted,
                growth,
                unanswered,
            } => write!(
                f,
                "the client had {accepted} orders accepted and {unanswered} unanswered, but the \
                 server's total grew by {growth}: orders are lost or made up"
            ),
            Self::IdsRepeated(count) => write!(f, "{count} order ids were given twice"),
            Self::TooFewValid { valid, ran } => {
                write!(f, "only {valid} of {ran} trials are valid; half are needed")
            }
            _ => f.write_str("no trial was run; the run ended before"),
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
                "whether the load generator was the limit is unknown: its CPU time could not be read",
            ),
            Self::NearControl(share) => write!(
                f,
                "the rate is {} of the control's, near what the load generator reaches at all: \
                 a lower bound; give it more CPUs",
                percent(*share)
            ),
            Self::LittlesLaw { off, closes } => write!(
                f,
                "rate × mean latency is {} off the number of connections (Little's law allows \
                 5 %): rate and latency do not belong together; {}",
                signed_percent(*off),
                match closes {
                    true => "the server closes its connections, and making them again is in no latency",
                    false => "measure longer",
                }
            ),
            Self::RateMissed(achieved) => write!(
                f,
                "only {:.1} % of the asked rate was achieved (99.5 % is needed): its latency is \
                 that of an overloaded server; lower --rate",
                achieved * 100.0
            ),
            Self::SentLate { found_us, limit_us } => write!(
                f,
                "the load generator sent late: p99 {} (limit {}), which its latency contains; \
                 quieten the machine or lower --rate",
                millis(*found_us),
                millis(*limit_us)
            ),
            Self::Connections { found, asked } => write!(
                f,
                "{found} of {asked} connections were established; see the descriptor limit"
            ),
            Self::Bytes { received, expected } => write!(
                f,
                "{received} bytes were received where the responses have {expected}"
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
                "other programs took {} of the CPU time; end them, `top` shows which",
                percent(*share)
            ),
            Self::ControlSpread(share) => write!(
                f,
                "the control itself varied by {} between rounds; use a quieter host or more rounds",
                percent(*share)
            ),
            Self::Machine(id) => write!(
                f,
                "the machine makes figures wrong ({id}, under Environment); see `harness doctor`"
            ),
            Self::Changed(what) => write!(
                f,
                "the machine changed during the run ({}, see Environment): rounds before and \
                 after the change are not alike; keep it as it is and run again",
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
                "it was still settling {} s into the measurement; lengthen the warm-up",
                after / 1e3
            ),
            Self::NotSteady { settled_ms: None } => {
                f.write_str("its level kept changing: no steady state; measure longer")
            }
            Self::OutlierRound { round, figure, off } => write!(
                f,
                "round {round} stands apart: its {figure} is {} off the median; it is kept",
                signed_percent(*off)
            ),
            _ => Ok(()),
        }
    }
}

/// From this share of waiting on, it is worth a word.
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
        write!(f, ", waited for its CPU {} of the time,", percent(waiting))?;
    }
    match server {
        Some(server) => write!(f, " and the server only {}", percent(server))?,
        None => f.write_str(" and the server by an unknown share")?,
    }
    f.write_str(": the rate is a lower bound; ")?;
    f.write_str(match starved {
        true => "end what else runs on the load generator's CPUs",
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
        "requests_per_s" => "the rate",
        "cpu_us_per_request" => "the CPU time per request",
        other => other,
    };
    let direction = if rho > 0.0 { "rises" } else { "falls" };
    let chance = match p {
        p if p < 0.001 => "p < 0.001".to_owned(),
        p => format!("p = {p:.3}"),
    };
    write!(
        f,
        "{what} {direction} from the first trial of a round to its last (rank correlation {rho:+.2} \
         over {trials} trials, {chance}): something carries over from one trial to the next, such as \
         heat or closed connections; the shuffled order spreads that over all servers, but it widens \
         the intervals"
    )
}

/// The name of a step, as its failure begins.
fn step_name(step: Step) -> &'static str {
    match step {
        Step::Build => "build",
        Step::Boot => "boot",
        Step::Check => "check",
        Step::Accept => "accepting the answers before the clock",
        Step::Drive => "the load",
        Step::Stop => "stopping it",
    }
}

/// The longest text taken over from elsewhere, in characters.
const MAX_QUOTED: usize = 240;

/// Text from elsewhere on one line, cut where it is long.
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
            Reason::IdsRepeated(1.0),
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
            Reason::Bytes {
                received: 1.0,
                expected: 2.0,
            },
            Reason::Stolen(0.2),
            Reason::OtherLoad(0.2),
            Reason::ControlSpread(0.2),
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
            "the load generator was 97 % busy and the server only 50 %: the rate is a lower bound; \
             give the load generator more CPUs"
        );
        assert_eq!(
            told(0.4, 0.55),
            "the load generator was 40 % busy, waited for its CPU 55 % of the time, and the server \
             only 50 %: the rate is a lower bound; end what else runs on the load generator's CPUs"
        );
    }

    #[test]
    fn quoted_text_is_one_short_line() {
        assert_eq!(one_line("a\n  b\tc"), "a b c");
        let long = one_line(&"ö".repeat(500));
        assert_eq!(long.chars().count(), MAX_QUOTED + 1);
    }
}
