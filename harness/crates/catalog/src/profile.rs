//! How long and how often to measure.

use std::time::Duration;

use super::Stage;

/// How long and how often to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The name used in flags and records.
    pub name: &'static str,
    /// A one-line description.
    pub about: &'static str,
    /// The workloads to run by default; empty means all but the optional ones.
    pub workloads: &'static [&'static str],
    /// Number of rounds; each measures every server in a fresh process.
    pub rounds: u32,
    /// Uncounted load before each measurement.
    pub warmup: Duration,
    /// The measured time of a peak trial.
    pub peak: Duration,
    /// The measured time of a paced trial.
    pub paced: Duration,
}

/// All profiles, shortest first.
pub const PROFILES: [Profile; 4] = [
    Profile {
        name: "smoke",
        about: "checks that the whole pipeline works; its figures mean nothing",
        workloads: &["mixed"],
        rounds: 3,
        warmup: Duration::from_millis(50),
        peak: Duration::from_millis(200),
        paced: Duration::from_millis(200),
    },
    Profile {
        name: "quick",
        about: "a first look in under 3 minutes",
        workloads: &["mixed"],
        rounds: 12,
        warmup: Duration::from_millis(80),
        peak: Duration::from_millis(400),
        paced: Duration::from_millis(400),
    },
    Profile {
        name: "standard",
        about: "all workloads but the optional ones; five servers in under 8 minutes",
        workloads: &[],
        rounds: 12,
        warmup: Duration::from_millis(80),
        peak: Duration::from_millis(350),
        paced: Duration::from_millis(350),
    },
    Profile {
        name: "publish",
        about: "long, for a quiet bare-metal machine",
        workloads: &[],
        rounds: 30,
        warmup: Duration::from_millis(500),
        peak: Duration::from_secs(2),
        paced: Duration::from_secs(2),
    },
];

impl Profile {
    /// The measured time of a trial of `stage`.
    pub fn measured(&self, stage: Stage) -> Duration {
        match stage {
            Stage::Peak => self.peak,
            Stage::Paced => self.paced,
        }
    }

    /// Finds a profile by its name.
    ///
    /// # Errors
    /// A message for the user with the nearest name.
    pub fn find(name: &str) -> Result<&'static Self, String> {
        let known: Vec<&str> = PROFILES.iter().map(|profile| profile.name).collect();
        PROFILES
            .iter()
            .find(|profile| profile.name == name)
            .ok_or_else(|| super::names::unknown("profile", name, &known))
    }
}
