//! How long and how often is measured.

use std::time::Duration;

use super::Stage;

/// How long and how often is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The name used in flags and records.
    pub name: &'static str,
    /// One line on what it is for.
    pub about: &'static str,
    /// The workloads it runs unless others are asked for; empty means all.
    pub workloads: &'static [&'static str],
    /// How often every server is measured, each time as a fresh process.
    pub rounds: u32,
    /// Load before each measurement that is not counted.
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
        about: "proves that the whole pipeline runs; its figures mean nothing",
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
        about: "all workloads; five servers in under 8 minutes",
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
    /// A message for the user that names the nearest.
    pub fn find(name: &str) -> Result<&'static Self, String> {
        let known: Vec<&str> = PROFILES.iter().map(|profile| profile.name).collect();
        PROFILES
            .iter()
            .find(|profile| profile.name == name)
            .ok_or_else(|| super::names::unknown("profile", name, &known))
    }
}
