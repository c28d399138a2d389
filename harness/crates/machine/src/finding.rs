//! What is stored of the machine and of findings on it.
//!
//! Findings from before and after the run are in one list. Their ids tell them apart: an id ends in [`DURING`]
//! if it was measured over the run, and in [`CHANGED`] if the setting changed during the run, as in `steal`,
//! `steal-during`, `governor-changed`.

use serde::{Deserialize, Serialize};

/// The suffix of an id measured over the whole run.
pub const DURING: &str = "-during";
/// The suffix of the id of a setting that changed during the run.
pub const CHANGED: &str = "-changed";
/// The prefix of `found` if it could not be read; such a finding has level ok.
pub const UNKNOWN: &str = "unknown: ";

/// The name of the control: a minimal responder that shows what the load generator reaches.
/// A finding of that id says what became of it.
pub const CONTROL: &str = "control";

/// The id of a finding about a target, and the class of a target's row.
pub const TARGET: &str = "target";

/// When something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the run.
    Before,
    /// During the run.
    During,
    /// At the end of the run, if it changed since the start.
    Changed,
}

/// The machine, and problems found on it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Environment {
    /// As in `/proc/cpuinfo`.
    pub cpu_model: String,
    /// Logical CPUs online.
    pub logical_cpus: u32,
    /// Physical cores online.
    pub physical_cores: u32,
    /// NUMA nodes.
    pub numa_nodes: u32,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// Release, as `uname -r` prints it.
    pub kernel: String,
    /// `rustc --version`.
    pub rustc: String,
    /// The frequency governor, if there is one.
    pub governor: Option<String>,
    /// The hypervisor or container runtime, if known.
    pub virtualisation: Option<String>,
    /// The clock source.
    pub clock_source: Option<String>,
    /// CPUs given to the server.
    pub server_cpus: Vec<u32>,
    /// CPUs given to the load generator.
    pub driver_cpus: Vec<u32>,
    /// Whether both sides could be pinned.
    pub pinned: bool,
    /// What may distort measurements here, checked before and after the run.
    pub findings: Vec<Finding>,
    /// A hash of everything that must be equal to compare two runs.
    pub fingerprint: String,
}

/// A property of the machine that matters to a measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// A short stable name, as in `governor`.
    pub id: String,
    /// Its severity.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// Why it matters.
    pub why: String,
    /// The command that fixes it, if there is one.
    pub fix: Option<String>,
}

/// The severity of a [`Finding`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// No problem.
    Ok,
    /// Figures may be noisier or lower than the hardware allows.
    Warn,
    /// Figures will be wrong.
    Fail,
}

impl Environment {
    /// The finding about the control. With level ok, `found` continues a sentence after its name, as in
    /// `replays the answers of alder`; with any other level, it was requested and there is none. Absent in older
    /// records.
    pub fn control(&self) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.id == CONTROL)
    }

    /// A finding for each target: what it is, and which figures are absent.
    pub fn targets(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.id == TARGET)
    }
}

impl Finding {
    /// What was found and, if known, why it matters or its cause.
    pub fn told(&self) -> String {
        match self.why.as_str() {
            "" => self.found.clone(),
            why => format!("{} ({why})", self.found),
        }
    }

    /// When it was found.
    pub fn moment(&self) -> Moment {
        self.parts().1
    }

    /// The subject: the id without its suffix.
    pub fn subject(&self) -> &str {
        self.parts().0
    }

    /// Whether it only says that something could not be read.
    pub fn is_unknown(&self) -> bool {
        self.found.starts_with(UNKNOWN)
    }

    fn parts(&self) -> (&str, Moment) {
        let ending = |text| self.id.strip_suffix(text);
        match (ending(DURING), ending(CHANGED)) {
            (Some(subject), _) => (subject, Moment::During),
            (_, Some(subject)) => (subject, Moment::Changed),
            _ => (&self.id, Moment::Before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;

    #[test]
    fn the_id_tells_when() {
        let parts = |id: &str| {
            let finding = Finding {
                id: id.to_owned(),
                level: Level::Ok,
                found: String::new(),
                why: String::new(),
                fix: None,
            };
            (finding.subject().to_owned(), finding.moment())
        };
        assert_eq!(parts("steal"), ("steal".to_owned(), Moment::Before));
        assert_eq!(parts("steal-during"), ("steal".to_owned(), Moment::During));
        assert_eq!(
            parts("clock-source-changed"),
            ("clock-source".to_owned(), Moment::Changed)
        );
    }
}
