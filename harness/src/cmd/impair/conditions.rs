//! What a network does to bytes.

use std::time::Duration;

use clap::ValueEnum;

/// Shortest time after which Linux takes a packet for lost if nothing else tells (`TCP_RTO_MIN`).
const RTO_MIN: Duration = Duration::from_millis(200);

/// Network conditions, the same in both directions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::cmd) struct Conditions {
    /// From one end to the other: half of a round trip.
    pub(in crate::cmd) delay: Duration,
    /// The delay varies uniformly by up to this in either direction; at most `delay`.
    pub(in crate::cmd) jitter: Duration,
    /// The share of packets that stall their connection, 0 to 1.
    pub(in crate::cmd) stalls: f64,
    /// Bytes per second of all connections together, above 0.
    pub(in crate::cmd) rate: Option<f64>,
}

impl Conditions {
    /// How long a lost packet stalls what follows it: the time until Linux sends it again (RFC 6298, with a minimum
    /// of 200 ms over the round trip), if no later packet shows the loss earlier.
    pub(super) fn stall(&self) -> Duration {
        2 * self.delay + RTO_MIN
    }
}

/// Known conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cmd) enum Profile {
    /// One switch: round trip 0.5 ms ± 0.1 ms, 1 Gbit/s
    Lan,
    /// Across a continent: round trip 40 ms ± 4 ms, 100 Mbit/s, 1 packet in 10,000 stalls
    Wan,
    /// LTE: round trip 70 ms ± 40 ms, 12 Mbit/s, 5 packets in 1,000 stall
    Mobile,
}

impl Profile {
    pub(in crate::cmd) fn conditions(self) -> Conditions {
        let (delay_us, jitter_us, stalls, megabits) = match self {
            Self::Lan => (250, 50, 0.0, 1_000.0),
            Self::Wan => (20_000, 2_000, 0.000_1, 100.0),
            Self::Mobile => (35_000, 20_000, 0.005, 12.0),
        };
        Conditions {
            delay: Duration::from_micros(delay_us),
            jitter: Duration::from_micros(jitter_us),
            stalls,
            rate: Some(megabits * 125_000.0),
        }
    }
}
