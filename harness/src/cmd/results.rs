//! The folder of a run, and the files made from its record.

use std::fs;
use std::io::{ErrorKind, IsTerminal as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::statvfs;

use super::git::revision;
use super::machine::CpuPlace;
use super::write_file;
use crate::flags::{Printed, TableFormat, Usage};
use record::{
    Added, CAPACITY_FILE, COST_FILE, Costs, Document, Head, HiddenPaths, MICROBENCH_FILE,
    Microbenches, PROTOCOL_FILE, Protocol, RESTART_FILE, Record, Run, Server, ServerCost, Summary,
    UPSTREAM_FILE,
};
use report::{Colour, Illustrated};
use serde::de::DeserializeOwned;
use store::{DocumentError, Store};

/// Minimum free space to start a run, bytes: a `standard` run takes about a tenth of it.
const LEAST_FREE: u64 = 200 << 20;
/// Folder of all runs, under the workspace.
pub(super) const RESULTS: &str = "bench-results";
const LATEST: &str = "latest";
/// The link to the newest folder of `harness cost`.
pub(super) const LATEST_COST: &str = "latest-cost";
/// The workspace's protocol matrix, relative to its root.
pub(super) const MATRIX: &str = "harness/docs/protocol.json";
/// The workspace's microbenchmarks, relative to its root.
pub(super) const MICROBENCH: &str = "harness/docs/microbench.json";
pub(super) const DATABASE: &str = "run.sqlite";

/// A run's own folder, never overwritten.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    root: PathBuf,
    pub(super) id: String,
    pub(super) revision: Option<String>,
}

impl Folder {
    /// Creates the folder and checks that a run can be stored in it.
    pub(super) fn create(root: &Path, out: Option<&Path>) -> Result<Self> {
        Self::create_as(root, out, "")
    }

    /// The same, with a suffix that tells it from a run's folder.
    pub(super) fn create_as(root: &Path, out: Option<&Path>, kind: &str) -> Result<Self> {
        let revision = revision(root);
        let utc = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        let short = revision.as_deref().unwrap_or("unversioned");
        let id = format!("{utc}-{short}{kind}");
        let path = match out {
            Some(out) => std::path::absolute(out)?,
            None => root.join(RESULTS).join(&id),
        };
        if fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some()) {
            refuse!(
                "{} is not empty: a run is never overwritten; choose another folder",
                path.display()
            );
        }
        let folder = Self {
            path,
            root: root.to_owned(),
            id,
            revision,
        };
        folder.prove_writable()?;
        Ok(folder)
    }

    /// The folder of an earlier run.
    pub(super) fn open(root: &Path, path: &Path, run: &Run) -> Result<Self> {
        Self::reopen(root, path, (&run.id, run.revision.as_ref()))
    }

    /// The folder of an earlier document.
    pub(super) fn of_document(root: &Path, path: &Path, head: &Head) -> Result<Self> {
        Self::reopen(root, path, (&head.id, head.revision.as_ref()))
    }

    fn reopen(root: &Path, path: &Path, (id, revision): (&str, Option<&String>)) -> Result<Self> {
        let folder = Self {
            path: fs::canonicalize(path)
                .with_context(|| format!("cannot find {}", path.display()))?,
            root: root.to_owned(),
            id: id.to_owned(),
            revision: revision.cloned(),
        };
        folder.prove_writable()?;
        Ok(folder)
    }

    fn prove_writable(&self) -> Result<()> {
        fs::create_dir_all(self.logs())
            .and_then(|()| fs::write(self.path.join(".try"), "x"))
            .and_then(|()| fs::remove_file(self.path.join(".try")))
            .with_context(|| {
                format!(
                    "cannot write to {}: choose another folder with --out",
                    self.path.display()
                )
            })?;
        let disk = statvfs(&self.path)?;
        let free = disk.f_bavail * disk.f_frsize;
        if free < LEAST_FREE {
            anyhow::bail!(
                "only {} MiB are free for {}: free up {} MiB, or choose another folder with --out",
                free >> 20,
                self.path.display(),
                LEAST_FREE >> 20
            );
        }
        Ok(())
    }

    /// Writes a document under its name, and its page as Markdown with the charts that belong to it.
    pub(super) fn write_document(
        &self,
        document: &impl Document,
        name: &str,
        page: Illustrated,
    ) -> Result<()> {
        let path = self.path.join(name);
        store::write_document(document, &path)
            .and_then(|()| store::write_whole(&path.with_extension("md"), &page.text))
            .and_then(|()| {
                let mut files = page.files.iter();
                files.try_for_each(|(name, text)| store::write_whole(&self.path.join(name), text))
            })
            .with_context(|| format!("cannot write to {}", self.shown()))
    }

    /// What a document of this folder begins with.
    pub(super) fn head<D: Document>(&self) -> Head {
        Head {
            id: self.id.clone(),
            started_at: jiff::Timestamp::now().to_string(),
            harness_version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: self.revision.clone(),
            command: self.command(),
            ..Head::of::<D>()
        }
    }

    /// The same with the machine, for what was measured on it.
    pub(super) fn head_on<D: Document>(&self, place: &CpuPlace) -> Head {
        Head {
            cpu: place.cpu_model(),
            rustc: runner::rustc_version().unwrap_or_default(),
            ..self.head::<D>()
        }
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// What replaces this machine's folders in the record.
    pub(super) fn hidden(&self) -> HiddenPaths {
        let home = std::env::home_dir().unwrap_or_default();
        let temporary = std::env::temp_dir();
        HiddenPaths::new([
            (self.root.as_path(), "."),
            (self.path.as_path(), "<run>"),
            (home.as_path(), "~"),
            (temporary.as_path(), "<tmp>"),
        ])
    }

    /// Takes this machine's folders out of a failure.
    pub(super) fn clean(&self, failure: &mut record::Failure) {
        let hidden = self.hidden();
        for text in [&mut failure.reason, &mut failure.log_tail] {
            *text = hidden.clean(text).into_owned();
        }
    }

    /// The command line, without the program and without this machine's folders.
    pub(super) fn command(&self) -> Vec<String> {
        let hidden = self.hidden();
        let words = std::env::args().skip(1);
        words.map(|word| hidden.clean(&word).into_owned()).collect()
    }

    /// The path as a user would type it.
    pub(super) fn shown(&self) -> String {
        self.path
            .strip_prefix(&self.root)
            .unwrap_or(&self.path)
            .display()
            .to_string()
    }

    /// Copies the workspace's protocol matrix and microbenchmarks next to the run, so that its report is
    /// self-contained.
    pub(super) fn keep_matrix(&self) {
        if let Some(micro) = beside::<Microbenches>(&self.root.join(MICROBENCH))
            && let Err(error) = store::write_document(&micro, &self.path.join(MICROBENCH_FILE))
        {
            eprintln!("the report will have no microbenchmarks: {error}");
        }
        if let Some(matrix) = beside::<Protocol>(&self.root.join(MATRIX))
            && let Err(error) = store::write_document(&matrix, &self.path.join(PROTOCOL_FILE))
        {
            eprintln!("the report will have no protocol matrix: {error}");
        }
    }

    /// Copies what the last `harness cost` counted for the same binaries next to the run, so that its report shows
    /// it.
    pub(super) fn keep_costs(&self, servers: &[Server]) -> Option<Costs> {
        let counted = self.root.join(RESULTS).join(LATEST_COST).join(COST_FILE);
        let mut costs: Costs = beside(&counted)?;
        let measured = |cost: &ServerCost| {
            let builds = servers.iter().filter_map(|server| server.build.as_ref());
            cost.sha256.is_some() && builds.into_iter().any(|build| build.sha256 == cost.sha256)
        };
        costs.servers.retain(measured);
        if costs.servers.is_empty() {
            return None;
        }
        if let Err(error) = store::write_document(&costs, &self.path.join(COST_FILE)) {
            eprintln!("the report will have no costs: {error}");
            return None;
        }
        Some(costs)
    }

    /// Makes `bench-results/latest` a link to this run, if the run is in that folder.
    pub(super) fn point_latest_here(&self) {
        self.point_here(LATEST);
    }

    /// Makes that name in `bench-results` a link to this folder, if it is in there.
    pub(super) fn point_here(&self, link: &str) {
        let results = self.root.join(RESULTS);
        let Some(name) = self
            .path
            .strip_prefix(&results)
            .ok()
            .filter(|p| p.components().count() == 1)
        else {
            return;
        };
        let unfinished = results.join(format!(".{link}.{}", std::process::id()));
        let link = results.join(link);
        // A missing link is only an inconvenience; the run itself is stored.
        let _ = std::os::unix::fs::symlink(name, &unfinished)
            .and_then(|()| fs::rename(&unfinished, &link));
    }
}

/// The database of the run in a folder, or of the newest run.
pub(super) fn database(root: &Path, folder: Option<&Path>) -> Result<PathBuf> {
    let folder = folder.map_or_else(|| root.join(RESULTS).join(LATEST), ToOwned::to_owned);
    let database = folder.join(DATABASE);
    if database.is_file() {
        return Ok(database);
    }
    refuse!(
        "no {DATABASE} in {}: give a run's folder, or create one with `harness bench`",
        folder.display()
    )
}

/// Shows what another command stored in `folder` with a run; with `keep`, also in later reports of that run's folder.
///
/// # Errors
/// [`Usage`] if the folder has none of them.
pub(super) fn add(record: &mut Record, folder: &Path, keep: Option<&Path>) -> Result<()> {
    let added = &mut record.added;
    let some = add_one(&mut added.capacities, CAPACITY_FILE, folder, keep)?
        | add_one(&mut added.restarts, RESTART_FILE, folder, keep)?
        | add_one(&mut added.upstreams, UPSTREAM_FILE, folder, keep)?;
    if !some {
        refuse!(
            "--with {}: it has no {CAPACITY_FILE}, {RESTART_FILE} or {UPSTREAM_FILE}",
            folder.display()
        );
    }
    Ok(())
}

fn add_one<D: Document + DeserializeOwned>(
    added: &mut Option<D>,
    name: &str,
    folder: &Path,
    keep: Option<&Path>,
) -> Result<bool> {
    if !folder.join(name).is_file() {
        return Ok(false);
    }
    let document = read_stored(folder, name)?;
    if let Some(keep) = keep {
        let kept = store::write_document(&document, &keep.join(name));
        kept.with_context(|| format!("cannot write to {}", keep.display()))?;
    }
    *added = Some(document);
    Ok(true)
}

/// A run, with the protocol matrix next to it.
pub(super) fn load(database: &Path) -> Result<Record> {
    let mut record = Store::read(database)?;
    record.protocol = beside(&database.with_file_name(PROTOCOL_FILE));
    record.costs = beside(&database.with_file_name(COST_FILE));
    record.micro = beside(&database.with_file_name(MICROBENCH_FILE));
    record.added = Added {
        capacities: beside(&database.with_file_name(CAPACITY_FILE)),
        restarts: beside(&database.with_file_name(RESTART_FILE)),
        upstreams: beside(&database.with_file_name(UPSTREAM_FILE)),
    };
    Ok(record)
}

/// Reads a document that the user named: its file, or the folder that has it under its usual name.
///
/// # Errors
/// [`Usage`] if there is none, or this harness can't read it.
pub(super) fn read_stored<D: Document + DeserializeOwned>(path: &Path, name: &str) -> Result<D> {
    let file = match path.is_dir() {
        true => path.join(name),
        false => path.to_owned(),
    };
    store::read_document(&file).map_err(|error| Usage(error.to_string()).into())
}

/// A document beside a run; `None` if there is none. If it can't be read, that is printed: a report is complete
/// without it.
fn beside<D: Document + DeserializeOwned>(path: &Path) -> Option<D> {
    match store::read_document(path) {
        Ok(document) => Some(document),
        Err(DocumentError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            eprintln!("the report will have no {}: {error}", D::WHAT);
            None
        }
    }
}

/// Computes the summary and writes every file made from the record.
pub(super) fn write(record: &Record, folder: &Path) -> Result<Summary> {
    let summary = report::summarise(record);
    for format in report::FORMATS {
        write_file(
            &folder.join(format.file),
            &(format.render)(record, &summary),
        )?;
    }
    Ok(summary)
}

/// The tables for a terminal.
pub(super) fn terminal(record: &Record, summary: &Summary) -> String {
    report::terminal(record, summary, colour())
}

/// Prints a document as the flags say: JSON, its page in Markdown, or lines for a terminal.
pub(super) fn print(
    printed: &Printed,
    document: &impl Document,
    page: impl FnOnce() -> String,
    lines: impl FnOnce(Colour) -> String,
) -> Result<()> {
    let text = match (printed.json, printed.format) {
        (true, _) => document.to_json(),
        (false, TableFormat::Markdown) => page(),
        (false, TableFormat::Text) => lines(colour()),
    };
    say!("{}", text.trim_end());
    Ok(())
}

/// Whether stdout can show colours.
pub(super) fn colour() -> Colour {
    Colour::choose(
        std::io::stdout().is_terminal(),
        std::env::var_os("NO_COLOR").as_deref(),
    )
}
