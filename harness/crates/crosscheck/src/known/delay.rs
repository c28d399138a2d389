//! Delays with known quantiles.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::QUANTILES;

/// The share of short delays in the two-humped distribution.
const SHORT_SHARE: f64 = 0.7;
/// Half-width of a hump, as a share of its middle.
const HUMP: f64 = 0.1;

/// How long a server waits before it responds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delay {
    /// Always the same.
    Constant(Duration),
    /// Exponentially distributed with this mean.
    Exponential(Duration),
    /// 70 % spread evenly over ±10 % of the first, 30 % over ±10 % of the second.
    TwoHumped(Duration, Duration),
    /// Nothing for `length`, once in every period; otherwise at once. The stall begins two fifths into its
    /// period.
    Stall {
        /// The stall.
        length: Duration,
        /// The period.
        every: Duration,
    },
    /// One response after the other, each takes this long: the server's capacity is its inverse.
    Queue(Duration),
}

impl Delay {
    /// The quantile function: a share of `u` (0 to 1) of all delays is at most this, in nanoseconds. 0 for a
    /// stall.
    pub(super) fn quantile_ns(&self, u: f64) -> f64 {
        let ns = |time: &Duration| time.as_nanos() as f64;
        let hump = |middle: f64, at: f64| middle * (1.0 - HUMP + 2.0 * HUMP * at);
        match self {
            Self::Constant(time) | Self::Queue(time) => ns(time),
            Self::Exponential(mean) => -ns(mean) * (1.0 - u).ln(),
            Self::TwoHumped(short, _) if u < SHORT_SHARE => hump(ns(short), u / SHORT_SHARE),
            Self::TwoHumped(_, long) => hump(ns(long), (u - SHORT_SHARE) / (1.0 - SHORT_SHARE)),
            Self::Stall { .. } => 0.0,
        }
    }

    /// When to respond to a request that came `arrived` after the first one, by the same clock, in nanoseconds;
    /// `u` draws from the distribution. A queue also waits for the response before it.
    pub(super) fn due_ns(&self, arrived: u64, u: f64) -> u64 {
        let Self::Stall { length, every } = self else {
            return arrived + self.quantile_ns(u).round() as u64;
        };
        let (length, every) = (length.as_nanos() as u64, every.as_nanos() as u64);
        let begin = arrived / every * every + every * 2 / 5;
        match begin <= arrived && arrived < begin + length {
            true => begin + length,
            false => arrived,
        }
    }

    /// Theoretical latency in nanoseconds by quantile name, if requests are sent at even steps, latency counts
    /// from their due time, and everything else takes no time.
    ///
    /// A request that is due `s` into a stall of length S waits S − s. Of all requests, (S − L) / P are due so
    /// that they wait longer than L, with P the period. So the quantile q is S − (1 − q) P if that is above 0,
    /// and the longest wait is S. Immediate responses have no theoretical latency, and an unbounded
    /// distribution has no maximum. A queue has the latency of its service, at rates below its capacity.
    pub(crate) fn paper_ns(&self) -> BTreeMap<String, f64> {
        let mut paper: BTreeMap<String, f64> = QUANTILES
            .iter()
            .map(|(name, q)| ((*name).to_owned(), self.latency_ns(*q)))
            .filter(|(_, ns)| *ns > 0.0)
            .collect();
        if !matches!(self, Self::Exponential(_)) {
            paper.insert("max".to_owned(), self.latency_ns(1.0));
        }
        paper
    }

    fn latency_ns(&self, q: f64) -> f64 {
        match self {
            Self::Stall { length, every } => {
                length.as_nanos() as f64 - (1.0 - q) * every.as_nanos() as f64
            }
            other => other.quantile_ns(q),
        }
    }
}

/// The `k`-th number between 0 and 1 of a sequence that fills the interval evenly: any 2ⁿ numbers starting at a
/// multiple of 2ⁿ have one in each 2ⁿ-th of it. So the quantiles of the draws match the theoretical ones
/// without random scatter, which would be 5 % at the 99.9th percentile of 10,000 exponential delays. Van der
/// Corput's sequence in base 2, with digits flipped by `seed`.
pub(super) fn even(k: u64, seed: u64) -> f64 {
    /// Spreads a small seed over all digits (the multiplier of splitmix64).
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let digits = k.reverse_bits() ^ seed.wrapping_mul(SPREAD);
    // An f64 below 1 holds no more than 53 digits.
    (digits >> 11) as f64 / (1_u64 << 53) as f64
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: &Duration| format!("{}ms", time.as_millis());
        match self {
            Self::Constant(time) => write!(f, "constant:{}", ms(time)),
            Self::Queue(time) => write!(f, "queue:{}", ms(time)),
            Self::Exponential(mean) => write!(f, "exponential:{}", ms(mean)),
            Self::TwoHumped(short, long) => write!(f, "two-humped:{}:{}", ms(short), ms(long)),
            Self::Stall { length, every } => write!(f, "stall:{}:{}", ms(length), ms(every)),
        }
    }
}

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, times) = text.split_once(':').unwrap_or((text, ""));
        let times: Result<Vec<Duration>, String> = times
            .split(':')
            .filter(|time| !time.is_empty())
            .map(milliseconds)
            .collect();
        match (kind, &times?[..]) {
            ("constant", &[time]) => Ok(Self::Constant(time)),
            ("queue", &[time]) => Ok(Self::Queue(time)),
            ("exponential", &[mean]) => Ok(Self::Exponential(mean)),
            ("two-humped", &[short, long]) => Ok(Self::TwoHumped(short, long)),
            ("stall", &[length, every]) if length * 2 <= every => Ok(Self::Stall { length, every }),
            _ => Err(
                "expected constant:TIME, exponential:MEAN, two-humped:SHORT:LONG, stall:LENGTH:EVERY or queue:TIME, \
                 for example 10ms for a TIME; a stall is at most half its period"
                    .to_owned(),
            ),
        }
    }
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix("ms").and_then(|n| n.parse().ok());
    let number = number.filter(|ms| (1..=3_600_000).contains(ms));
    number
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{text}: expected whole milliseconds, such as 10ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delay(text: &str) -> Delay {
        text.parse().unwrap()
    }

    #[test]
    fn delays_are_read_as_they_are_written() {
        for text in [
            "constant:10ms",
            "exponential:10ms",
            "two-humped:5ms:20ms",
            "stall:1000ms:5000ms",
            "queue:2ms",
        ] {
            assert_eq!(delay(text).to_string(), text);
        }
        for wrong in [
            "",
            "constant",
            "constant:1",
            "constant:0ms",
            "constant:1ms:2ms",
            "stall:3ms:5ms",
            "x:1ms",
        ] {
            assert!(wrong.parse::<Delay>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn quantiles_are_those_of_the_textbook() {
        let close = |text: &str, name: &str, ms: f64| {
            let paper = delay(text).paper_ns();
            assert!(
                (paper[name] / 1e6 - ms).abs() < 1e-3,
                "{text} {name} {paper:?}"
            );
        };
        for name in ["p50", "p999", "max"] {
            close("constant:10ms", name, 10.0);
        }
        // mean · ln 2, mean · ln 100.
        close("exponential:10ms", "p50", 6.931_472);
        close("exponential:10ms", "p99", 46.051_702);
        // 4.5 to 5.5 ms hold 70 %, 18 to 22 ms the rest.
        close("two-humped:5ms:20ms", "p50", 4.5 + 0.5 / 0.7);
        close("two-humped:5ms:20ms", "p90", 18.0 + 4.0 * 0.2 / 0.3);
        close("two-humped:5ms:20ms", "max", 22.0);
        close("stall:1000ms:5000ms", "p90", 500.0);
        close("stall:1000ms:5000ms", "p99", 950.0);
        close("stall:1000ms:5000ms", "max", 1000.0);
        assert!(!delay("stall:1000ms:5000ms").paper_ns().contains_key("p50"));
        assert!(!delay("exponential:10ms").paper_ns().contains_key("max"));
    }

    #[test]
    fn a_stall_ends_when_it_should() {
        let ms = |ms: u64| ms * 1_000_000;
        let stall = delay("stall:1000ms:5000ms");
        for (arrived, due) in [
            (0, 0),
            (1999, 1999),
            (2000, 3000),
            (2999, 3000),
            (3000, 3000),
            (4999, 4999),
            (7500, 8000),
        ] {
            assert_eq!(stall.due_ns(ms(arrived), 0.5), ms(due), "{arrived}");
        }
    }

    #[test]
    fn what_is_drawn_has_the_quantiles_on_paper() {
        for text in ["exponential:10ms", "two-humped:5ms:20ms"] {
            let delay = delay(text);
            // Any range of it, not only one that begins at a power of two.
            let mut drawn: Vec<u64> = (1234..11_234)
                .map(|k| delay.due_ns(0, even(k, 7)))
                .collect();
            drawn.sort_unstable();
            for (name, q) in QUANTILES {
                let got = drawn[(q * 10_000.0) as usize - 1] as f64;
                let paper = delay.paper_ns()[name];
                assert!(
                    (got / paper - 1.0).abs() < 0.01,
                    "{text} {name}: {got} {paper}"
                );
            }
        }
    }

    #[test]
    fn seeds_give_other_orders_of_the_same_numbers() {
        let numbers = |seed| (0..8).map(|k| even(k, seed)).collect::<Vec<_>>();
        assert_ne!(numbers(1), numbers(2));
        for seed in [0, 1, 99] {
            let mut eighths: Vec<u64> = numbers(seed).iter().map(|u| (u * 8.0) as u64).collect();
            eighths.sort_unstable();
            assert_eq!(eighths, [0, 1, 2, 3, 4, 5, 6, 7]);
        }
    }
}
