//! A stored run as given on the command line: its folder, its run.sqlite or record.json, or a name under
//! `bench-results/`; optionally followed by a colon and one of its servers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::results::{DATABASE, RESULTS};
use crate::flags::Usage;
use catalog::{Catalog, names};
use machine::MachineDifference;
use record::Record;
use store::{Store, read_json};

const EXPORT: &str = "record.json";

/// A run given on the command line.
#[derive(Debug)]
pub(super) struct Operand {
    /// As typed, without the server.
    pub(super) name: String,
    /// The file it was read from.
    pub(super) path: PathBuf,
    pub(super) record: Record,
    pub(super) server: Option<String>,
}

impl Operand {
    /// Reads the run that `text` names.
    ///
    /// # Errors
    /// [`Usage`] if there is no such run or server, or the file can't be read: its exit status must differ
    /// from that of a regression.
    pub(super) fn load(text: &str) -> Result<Self> {
        let root = root()?;
        let (name, path, server) = match (find(&root, text), text.rsplit_once(':')) {
            (Some(path), _) => (text, path, None),
            (None, Some((name, server))) if !server.is_empty() => {
                let path = find(&root, name).ok_or_else(|| not_found(name))?;
                (name, path, Some(server.to_owned()))
            }
            (None, _) => return Err(not_found(text).into()),
        };
        let record = read(&path).map_err(|error| Usage(format!("{error:#}")))?;
        let operand = Self {
            name: name.to_owned(),
            path,
            record,
            server,
        };
        if let Some(server) = &operand.server {
            refuse_unknown("server", std::slice::from_ref(server), operand.servers())?;
        }
        Ok(operand)
    }

    /// One side of a comparison.
    pub(super) fn side(&self) -> judge::Operand<'_> {
        judge::Operand {
            record: &self.record,
            server: self.named(),
        }
    }

    /// Its file, and what that is the record of.
    pub(super) fn file(&self) -> (&Path, &str) {
        (&self.path, &self.name)
    }

    /// The server named after the colon, if any.
    pub(super) fn named(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// The names of all its entries.
    pub(super) fn servers(&self) -> BTreeSet<&str> {
        servers(&self.record)
    }

    /// The names of its workloads.
    pub(super) fn workloads(&self) -> BTreeSet<&str> {
        workloads(&self.record)
    }

    /// Whether both name the same stored run.
    pub(super) fn is(&self, other: &Self) -> bool {
        identity(&self.path) == identity(&other.path)
    }
}

/// The names of all entries of a run; they come from the record, since the workspace may have changed.
pub(super) fn servers(record: &Record) -> BTreeSet<&str> {
    let known = record.servers.iter().map(|server| server.name.as_str());
    let ran = record.trials.iter().map(|trial| trial.server.as_str());
    known.chain(ran).collect()
}

/// The names of a run's workloads.
pub(super) fn workloads(record: &Record) -> BTreeSet<&str> {
    let asked = record.run.workloads.keys().map(String::as_str);
    let ran = record.trials.iter().map(|trial| trial.workload.as_str());
    asked.chain(ran).collect()
}

/// Refuses names that no run has.
///
/// # Errors
/// [`Usage`] with the known names.
pub(super) fn refuse_unknown<'a>(
    what: &str,
    wanted: &[String],
    known: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    let known: Vec<&str> = known.into_iter().collect();
    match wanted.iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => refuse!("{}", names::unknown(what, name, &known)),
        None => Ok(()),
    }
}

/// Refuses to compare figures of different machines.
///
/// # Errors
/// [`Usage`] with the differences, unless the user allowed them.
pub(super) fn refuse_machines(differences: &[MachineDifference], allowed: bool) -> Result<()> {
    if differences.is_empty() || allowed {
        return Ok(());
    }
    let told: Vec<String> = differences
        .iter()
        .map(|d| format!("{} ({} and {})", d.member, d.base, d.new))
        .collect();
    refuse!(
        "the runs come from different machines, so a ratio would also compare the machines: they differ in {}; \
         use --across-machines to compare them anyway",
        told.join(", ")
    )
}

fn root() -> Result<PathBuf> {
    let root = Catalog::load(&[]).map(|catalog| catalog.root);
    Ok(root.or_else(|_| std::env::current_dir())?)
}

fn not_found(name: &str) -> Usage {
    Usage(format!(
        "no run at {name}: give a run's folder, its {DATABASE} or {EXPORT}, or a folder under \
         {RESULTS}/ such as latest, optionally followed by :SERVER. `harness compare` also takes two \
         files of `harness drive --json`"
    ))
}

/// Finds the file of a run, by path or by its name under `bench-results/`.
fn find(root: &Path, name: &str) -> Option<PathBuf> {
    let stored = root.join(RESULTS).join(name);
    let bare = !name.is_empty() && !name.contains('/');
    let places = [Some(PathBuf::from(name)), bare.then_some(stored)];
    places.into_iter().flatten().find_map(|place| {
        let files = [place.clone(), place.join(DATABASE), place.join(EXPORT)];
        files.into_iter().find(|file| file.is_file())
    })
}

fn read(path: &Path) -> Result<Record> {
    if path
        .extension()
        .is_some_and(|extension| extension == "json")
    {
        return Ok(read_json(path)?.0);
    }
    Ok(Store::read(path)?)
}

/// A run's folder, whichever of its files was named; any other file stands for itself.
fn identity(path: &Path) -> PathBuf {
    let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let usual = whole
        .file_name()
        .is_some_and(|name| name == DATABASE || name == EXPORT);
    match whole.parent() {
        Some(folder) if usual => folder.to_owned(),
        _ => whole,
    }
}
