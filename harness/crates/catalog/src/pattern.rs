//! Load that changes over time, as data.
//!
//! A pattern is a TOML file: a description, and stages whose rates are multiples of a base rate. `harness/patterns`
//! has those that come with the harness.
//!
//! ```toml
//! about = "One line on what it shows"
//! arrivals = "poisson"    # or constant (default): how requests are spread over time
//!
//! [[stage]]
//! seconds = 10            # above 0, fractions allowed
//! rate = 1                # constant, times the base rate
//! phase = "before"        # or burst, or after; all stages have one, in this order, or none has
//!
//! [[stage]]
//! seconds = 5
//! from = 1                # changes linearly
//! to = 3
//! phase = "burst"
//!
//! [[stage]]
//! seconds = 10
//! rate = 1
//! phase = "after"
//!
//! [[request]]             # its own requests, as in a workload file; otherwise those of the workload that is chosen
//! path = "/ping"
//! ```

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::workload::file::{self, RequestEntry};
use super::workload::toml_files;
use super::{Workload, WorkloadError};

/// Maximum number of stages: as many as one drive of the load generator can have.
const MAX_STAGES: usize = 64;
/// Maximum multiple of the base rate.
const MAX_FACTOR: f64 = 1_000.0;
/// Maximum length of a stage, seconds.
const MAX_SECONDS: f64 = 86_400.0;

/// Load that changes over time. It is only created from a valid file.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    /// Its file's name without `.toml`.
    pub name: String,
    /// A one-line description.
    pub about: String,
    /// Whether requests come at random like those of independent users (a Poisson process), not at even intervals.
    pub poisson: bool,
    /// 1 to 64.
    pub stages: Vec<PatternStage>,
    /// Its own requests, if it has any.
    pub requests: Option<Workload>,
}

/// A period in which the rate changes linearly, or is constant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PatternStage {
    /// Its length, above 0.
    pub length: Duration,
    /// The rate at its start, as a multiple of the base rate; 0 to 1,000.
    pub from: f64,
    /// The rate at its end.
    pub to: f64,
    /// Its part in a burst; all stages have one, or none has.
    pub phase: Option<Phase>,
}

/// What a stage is in a pattern with a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The usual load; what comes after the burst is compared with it.
    Before,
    /// More load, up and down again.
    Burst,
    /// The usual load again.
    After,
}

impl Phase {
    /// Every phase in the order of time.
    pub const ALL: [Self; 3] = [Self::Before, Self::Burst, Self::After];

    /// The name used in files and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Burst => "burst",
            Self::After => "after",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename = "Pattern", deny_unknown_fields)]
struct PatternFile {
    about: String,
    #[serde(default)]
    arrivals: Spread,
    #[serde(default)]
    stage: Vec<StageEntry>,
    #[serde(default)]
    request: Vec<RequestEntry>,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename = "Arrivals", rename_all = "lowercase")]
enum Spread {
    #[default]
    Constant,
    Poisson,
}

#[derive(Deserialize)]
#[serde(rename = "Stage", deny_unknown_fields)]
struct StageEntry {
    seconds: f64,
    rate: Option<f64>,
    from: Option<f64>,
    to: Option<f64>,
    phase: Option<Phase>,
}

impl Pattern {
    /// Reads every `*.toml` of a folder, sorted by name.
    ///
    /// # Errors
    /// The first file that can't be read or used; see [`WorkloadError`].
    pub fn load_dir(dir: &Path) -> Result<Vec<Self>, WorkloadError> {
        let paths = toml_files(dir)?;
        paths.iter().map(|path| Self::load(path)).collect()
    }

    /// Reads one file.
    ///
    /// # Errors
    /// See [`WorkloadError`].
    pub fn load(path: &Path) -> Result<Self, WorkloadError> {
        Self::parse(path, &file::read(path)?)
    }

    /// Parses the text of a file; `path` gives its name.
    ///
    /// # Errors
    /// See [`WorkloadError`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, WorkloadError> {
        file::with_room_for(text, || Self::parse_here(path, text))
    }

    fn parse_here(path: &Path, text: &str) -> Result<Self, WorkloadError> {
        let file: PatternFile = toml::from_str(text).map_err(|source| WorkloadError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        // Checks the name and the description too.
        let requests = file::with_requests(path, &file.about, file.request)?;
        let wrong = |(key, problem): (String, &str)| WorkloadError::Value {
            path: path.to_owned(),
            key,
            problem: problem.to_owned(),
        };
        let stages = file.stage.into_iter().enumerate();
        let stages: Vec<PatternStage> = stages
            .map(|(index, entry)| {
                stage(&entry)
                    .map_err(|(key, problem)| wrong((format!("stage[{index}].{key}"), problem)))
            })
            .collect::<Result<_, _>>()?;
        check(&stages).map_err(|problem| wrong(("stage".to_owned(), problem)))?;
        let name = path.file_stem().unwrap_or_default();
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            about: file.about,
            poisson: file.arrivals == Spread::Poisson,
            stages,
            requests,
        })
    }

    /// How long it takes.
    pub fn length(&self) -> Duration {
        self.stages.iter().map(|stage| stage.length).sum()
    }

    /// The highest rate, as a multiple of the base rate.
    pub fn highest(&self) -> f64 {
        let rates = self.stages.iter().flat_map(|stage| [stage.from, stage.to]);
        rates.fold(0.0, f64::max)
    }

    /// The rate at this time from its start, as a multiple of the base rate; 0 after its end.
    pub fn rate_at(&self, at: Duration) -> f64 {
        let mut begin = Duration::ZERO;
        for stage in &self.stages {
            let end = begin + stage.length;
            if at < end {
                let share = (at - begin).as_secs_f64() / stage.length.as_secs_f64();
                return stage.from + (stage.to - stage.from) * share;
            }
            begin = end;
        }
        0.0
    }

    /// When a phase begins and ends, from the pattern's start; `None` if it has no phases.
    pub fn phase(&self, phase: Phase) -> Option<(Duration, Duration)> {
        let mut begin = Duration::ZERO;
        let mut found: Option<(Duration, Duration)> = None;
        for stage in &self.stages {
            let end = begin + stage.length;
            if stage.phase == Some(phase) {
                found = Some((found.map_or(begin, |(first, _)| first), end));
            }
            begin = end;
        }
        found
    }
}

/// A stage, or the key of what is wrong and why.
fn stage(entry: &StageEntry) -> Result<PatternStage, (&'static str, &'static str)> {
    if !(entry.seconds > 0.0 && entry.seconds <= MAX_SECONDS) {
        return Err(("seconds", "must be above 0 and at most 86400"));
    }
    let (from, to) = match (entry.rate, entry.from, entry.to) {
        (Some(rate), None, None) => (rate, rate),
        (None, Some(from), Some(to)) => (from, to),
        _ => return Err(("rate", "give either rate, or from and to")),
    };
    if ![from, to]
        .iter()
        .all(|rate| (0.0..=MAX_FACTOR).contains(rate))
    {
        return Err(("rate", "is a multiple of the base rate, from 0 to 1000"));
    }
    Ok(PatternStage {
        length: Duration::from_secs_f64(entry.seconds),
        from,
        to,
        phase: entry.phase,
    })
}

/// What is wrong with the stages together.
fn check(stages: &[PatternStage]) -> Result<(), &'static str> {
    if stages.is_empty() || stages.len() > MAX_STAGES {
        return Err("there must be 1 to 64 stages");
    }
    if stages
        .iter()
        .all(|stage| stage.from == 0.0 && stage.to == 0.0)
    {
        return Err("at least one must have a rate above 0");
    }
    let phases: Vec<Option<Phase>> = stages.iter().map(|stage| stage.phase).collect();
    let all = Phase::ALL.map(Some);
    let complete = phases.is_sorted() && all.iter().all(|phase| phases.contains(phase));
    match phases.iter().all(Option::is_none) || complete && !phases.contains(&None) {
        true => Ok(()),
        false => {
            Err("either all stages have a phase, in the order before, burst, after, or none has")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Pattern, WorkloadError> {
        Pattern::parse(Path::new("mine.toml"), text)
    }

    const BURST: &str = r#"
about = "Up and down"
arrivals = "poisson"
stage = [
  { seconds = 2, rate = 1, phase = "before" },
  { seconds = 0.5, from = 1, to = 3, phase = "burst" },
  { seconds = 1, rate = 3, phase = "burst" },
  { seconds = 4, rate = 1, phase = "after" },
]
"#;

    #[test]
    fn a_burst_has_its_phases_and_its_rates() {
        let pattern = parse(BURST).unwrap();
        let s = Duration::from_secs_f64;
        assert_eq!((pattern.name.as_str(), pattern.poisson), ("mine", true));
        assert_eq!(pattern.length(), s(7.5));
        assert_eq!(pattern.highest(), 3.0);
        assert_eq!(pattern.phase(Phase::Before), Some((s(0.0), s(2.0))));
        assert_eq!(pattern.phase(Phase::Burst), Some((s(2.0), s(3.5))));
        assert_eq!(pattern.phase(Phase::After), Some((s(3.5), s(7.5))));
        for (at, rate) in [
            (0.0, 1.0),
            (2.0, 1.0),
            (2.25, 2.0),
            (3.0, 3.0),
            (3.5, 1.0),
            (9.0, 0.0),
        ] {
            assert!((pattern.rate_at(s(at)) - rate).abs() < 1e-9, "{at}");
        }
        assert!(pattern.requests.is_none());
    }

    #[test]
    fn its_own_requests_are_those_of_a_workload() {
        let pattern = parse(
            "about = \"Two kinds\"\nstage = [{ seconds = 1, rate = 1 }]\n\
             [[request]]\nweight = 4\npath = \"/a\"\n[[request]]\npath = \"/b\"\n",
        )
        .unwrap();
        let calls = pattern.requests.unwrap().draw(1, 256);
        let slow = calls.iter().filter(|call| call.target == "/b").count();
        let share = slow as f64 / calls.len() as f64;
        assert!((share - 0.2).abs() < 0.02, "{share}");
        assert_eq!(pattern.stages[0].phase, None);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_key() {
        for (text, words) in [
            (
                "about = \"x\"",
                "mine.toml: stage: there must be 1 to 64 stages",
            ),
            (
                "about = \"x\"\nstage = [{ seconds = 0, rate = 1 }]",
                "stage[0].seconds",
            ),
            (
                "about = \"x\"\nstage = [{ seconds = nan, rate = 1 }]",
                "stage[0].seconds",
            ),
            (
                "about = \"x\"\nstage = [{ seconds = 1 }]",
                "either rate, or from and to",
            ),
            (
                "about = \"x\"\nstage = [{ seconds = 1, rate = 1, to = 2 }]",
                "stage[0].rate",
            ),
            (
                "about = \"x\"\nstage = [{ seconds = 1, rate = -1 }]",
                "a multiple of the base rate",
            ),
            (
                "about = \"x\"\nstage = [{ seconds = 1, rate = 0 }]",
                "a rate above 0",
            ),
            (
                "about = \"x\"\nstage = [{ seconds = 1, rate = 1, phase = \"burst\" }]",
                "in the order",
            ),
            (
                &BURST.replace("\"after\"", "\"before\""),
                "in the order before, burst, after",
            ),
            (&BURST.replace(", phase = \"after\"", ""), "or none has"),
            (&BURST.replace("Up and down", " "), "about"),
            (&BURST.replace("poisson", "even"), "arrivals"),
            ("about = \"x\"\nrate = 1", "unknown field `rate`"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(Pattern::parse(Path::new("No Name.toml"), BURST).is_err());
    }

    #[test]
    fn those_that_come_with_the_harness_can_be_used() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../patterns");
        let patterns = Pattern::load_dir(&folder).unwrap();
        let names: Vec<&str> = patterns
            .iter()
            .map(|pattern| pattern.name.as_str())
            .collect();
        let all = [
            "burst",
            "constant",
            "day",
            "long-tail",
            "poisson",
            "ramp",
            "steps",
        ];
        assert_eq!(names, all);
        let burst = &patterns[0];
        assert_eq!(burst.highest(), 3.0);
        // From the base rate to 300 % within 5 s.
        let (begin, _) = burst.phase(Phase::Burst).unwrap();
        assert_eq!(burst.rate_at(begin), 1.0);
        assert_eq!(burst.rate_at(begin + Duration::from_secs(5)), 3.0);
    }
}
