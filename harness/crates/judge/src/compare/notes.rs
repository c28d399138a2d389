//! Notes on the comparison of two runs.

use std::collections::BTreeMap;

use super::{Choice, Side};
use crate::{Cause, is_control};
use record::{Ended, Record, Verdict};
use serde::Serialize;

/// A difference between the runs, or a problem of one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", content = "parameters", rename_all = "snake_case")]
pub enum Note {
    /// The run is not complete: still running, or killed.
    Open {
        /// `base` or `new`, as in the other variants; absent if both are the same run.
        run: Option<String>,
    },
    /// The run was interrupted.
    Interrupted {
        /// Which.
        run: Option<String>,
    },
    /// Noise withholds the ranks of a workload.
    Noise {
        /// In which run.
        run: Option<String>,
        /// The workload.
        workload: String,
        /// The noise.
        cause: Cause,
    },
    /// Rows are marked.
    Marked {
        /// In which run.
        run: Option<String>,
        /// How many.
        rows: usize,
    },
    /// The stages have different lengths.
    Lengths {
        /// In base.
        base: Lengths,
        /// In new.
        new: Lengths,
    },
    /// The conditions differ.
    Differs {
        /// What differs.
        what: Condition,
        /// In base.
        base: String,
        /// In new.
        new: String,
    },
    /// A workload has another description.
    Description {
        /// The workload.
        workload: String,
    },
    /// Servers were built with different flags.
    Flags {
        /// The entries of new.
        servers: Vec<String>,
        /// The flags in base, if recorded.
        base: Option<String>,
        /// In new.
        new: Option<String>,
    },
    /// Servers have the same binary in both runs.
    SameBinaries {
        /// The entries.
        servers: Vec<String>,
    },
    /// Two builds are the same program.
    SameProgram {
        /// The entry of base.
        base: String,
        /// The entry of new.
        new: String,
    },
}

/// How long the parts of a stage were, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Lengths {
    /// The peak stage.
    pub peak_ms: u64,
    /// The paced stage.
    pub paced_ms: u64,
    /// The warm-up before each.
    pub warmup_ms: u64,
}

/// A condition that should be the same in both runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// The version of the harness.
    Harness,
    /// The compiler.
    Compiler,
    /// The control.
    Control,
}

/// Differences between the runs, and problems of either.
pub(super) fn between(base: &Side<'_>, new: &Side<'_>, choice: &Choice) -> Vec<Note> {
    if choice.same_run {
        return of_one(None, base, choice);
    }
    let mut notes = of_one(Some(&base.called), base, choice);
    notes.extend(of_one(Some(&new.called), new, choice));
    notes.extend(lengths(base, new));
    notes.extend(tools(base.court.record, new.court.record));
    notes.extend(workloads(base.court.record, new.court.record, choice));
    notes.extend(same_binaries(base, new));
    notes
}

/// Problems of one run.
fn of_one(called: Option<&str>, side: &Side<'_>, choice: &Choice) -> Vec<Note> {
    let run = called.map(str::to_owned);
    let chosen =
        |workload: &String| choice.workloads.is_empty() || choice.workloads.contains(workload);
    let mut notes = Vec::new();
    notes.extend(match side.court.record.run.ended {
        Ended::Complete => None,
        Ended::Open => Some(Note::Open { run: run.clone() }),
        Ended::Interrupted => Some(Note::Interrupted { run: run.clone() }),
    });
    for workload in side.court.workloads().iter().filter(|w| chosen(w)) {
        // Reasons to withhold its ranks.
        let noise = side.noise(workload).into_iter();
        notes.extend(noise.map(|cause| Note::Noise {
            run: run.clone(),
            workload: workload.clone(),
            cause,
        }));
    }
    let rows = side
        .judged
        .iter()
        .map(|judged| &judged.row)
        .filter(|row| row.verdict == Verdict::Marked && !is_control(&row.server))
        .filter(|row| chosen(&row.workload) && choice.stages.contains(&row.stage))
        .count();
    if rows > 0 {
        notes.push(Note::Marked { run, rows });
    }
    notes
}

fn lengths(base: &Side<'_>, new: &Side<'_>) -> Option<Note> {
    let of = |side: &Side<'_>| {
        let run = &side.court.record.run;
        Lengths {
            peak_ms: run.peak_ms,
            paced_ms: run.paced_ms,
            warmup_ms: run.warmup_ms,
        }
    };
    let (base, new) = (of(base), of(new));
    (base != new).then_some(Note::Lengths { base, new })
}

fn tools(base: &Record, new: &Record) -> Vec<Note> {
    let differ = |what, base: &str, new: &str| {
        (base != new).then(|| Note::Differs {
            what,
            base: base.to_owned(),
            new: new.to_owned(),
        })
    };
    let harness = differ(
        Condition::Harness,
        &base.run.harness_version,
        &new.run.harness_version,
    );
    let compiler = differ(
        Condition::Compiler,
        &base.environment.rustc,
        &new.environment.rustc,
    );
    let control = |record: &Record| Some(record.environment.control()?.found.clone());
    let control = control(base).zip(control(new));
    let control = control.and_then(|(base, new)| differ(Condition::Control, &base, &new));
    harness.into_iter().chain(compiler).chain(control).collect()
}

/// A workload with another description is another workload.
fn workloads(base: &Record, new: &Record, choice: &Choice) -> Vec<Note> {
    let wanted = |name: &&String| choice.workloads.is_empty() || choice.workloads.contains(name);
    let differs = |name: &&String| {
        let about = new.run.workloads.get(*name);
        about.is_some() && about != base.run.workloads.get(*name)
    };
    let names = base.run.workloads.keys().filter(wanted).filter(differs);
    let described = |workload: &String| Note::Description {
        workload: workload.clone(),
    };
    names.map(described).collect()
}

/// Pairs that were built with different flags, which may explain their changes.
pub(super) fn other_flags(
    base: &Side<'_>,
    new: &Side<'_>,
    pairs: &[(String, String)],
) -> Vec<Note> {
    let flags = |side: &Side<'_>, name: &str| {
        let server = side.entry(name).and_then(|entry| entry.server);
        server.and_then(|server| server.build.as_ref()?.flags_line())
    };
    let mut names = BTreeMap::<_, Vec<String>>::new();
    for (base_name, new_name) in pairs {
        let both = (flags(base, base_name), flags(new, new_name));
        if both.0 != both.1 {
            names.entry(both).or_default().push(new_name.clone());
        }
    }
    let note = |((base, new), servers)| Note::Flags { servers, base, new };
    names.into_iter().map(note).collect()
}

/// Unchanged programs: their changes are noise or caused by the machine.
fn same_binaries(base: &Side<'_>, new: &Side<'_>) -> Option<Note> {
    let built = |side: &Side<'_>, name: &str| {
        let build = side.entry(name)?.server?.build.as_ref()?;
        build.sha256.clone()
    };
    let same = |name: &&str| {
        let of_base = built(base, name);
        of_base.is_some() && of_base == built(new, name)
    };
    let servers: Vec<String> = base
        .names()
        .filter(|name| !name.contains('~'))
        .filter(same)
        .map(str::to_owned)
        .collect();
    (!servers.is_empty()).then_some(Note::SameBinaries { servers })
}
