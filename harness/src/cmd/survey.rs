//! What commands have in common that measure rounds of fresh processes: `capacity`, `ladder`, `patterns`, `restart` and
//! `upstream`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, Command};
use serde::de::DeserializeOwned;

use super::machine::{CpuPlace, descriptor_limit};
use super::progress::Progress;
use super::results::{self, Folder};
use crate::flags::{Status, Usage};
use catalog::{Catalog, Server, Workload};
use machine::probe::limits;
use record::{Document, Failure};
use runner::{BootOptions, Built, Interrupt};
use traffic::{Contender, ServedOptions};

/// Descriptors that the harness and a server need besides one for each connection.
const OTHER_DESCRIPTORS: u64 = 100;

/// A server and its build.
pub(super) type Build<'a> = (&'a Server, Result<Built, Failure>);

/// What an interrupted survey stored, and where; `None` for a new one.
pub(super) type Earlier<'a, S> = Option<(&'a PathBuf, S)>;

/// See [`record::Head::requests_sha256`].
type Requests = BTreeMap<String, String>;

/// The document of a survey that can be continued: it is written after every round.
pub(super) trait Survey: Document + DeserializeOwned {
    /// The file's name.
    const FILE: &'static str;

    /// The worker threads of each server.
    fn workers(&self) -> usize;

    /// The name of each server that was measured, and the SHA-256 of its binary.
    fn programs(&self) -> Vec<(&str, Option<&str>)>;
}

/// The flags of such a command.
pub(super) trait SurveyFlags: Args {
    /// What to show, and start nothing.
    fn from(&self) -> Option<&PathBuf>;

    /// What to continue.
    fn resume(&self) -> Option<&PathBuf>;

    /// Takes over what may be given again with --resume.
    fn given_again(&mut self, now: &Self);
}

/// Shows a stored survey, continues an interrupted one, or begins one, as the flags say.
pub(super) fn run<S: Survey, A: SurveyFlags>(
    arguments: &A,
    measure: fn(&A, Earlier<'_, S>) -> Result<Status>,
    finish: fn(&A, &S) -> Result<Status>,
) -> Result<Status> {
    if let Some(path) = arguments.from() {
        return finish(arguments, &results::read_stored(path, S::FILE)?);
    }
    let Some(path) = arguments.resume() else {
        return measure(arguments, None);
    };
    let (earlier, mut flags): (S, A) = interrupted(path)?;
    flags.given_again(arguments);
    measure(&flags, Some((path, earlier)))
}

/// Implements [`Survey`] for a document with the usual members, and [`SurveyFlags`] for the module's `Arguments`; `$of` has
/// the servers' `$name` and `sha256`.
macro_rules! survey {
    ($document:ty, $file:expr, $of:ident, $name:ident) => {
        impl super::survey::Survey for $document {
            const FILE: &'static str = $file;

            fn workers(&self) -> usize {
                self.workers
            }

            fn programs(&self) -> Vec<(&str, Option<&str>)> {
                let all = self.$of.iter();
                all.map(|one| (one.$name.as_str(), one.sha256.as_deref()))
                    .collect()
            }
        }

        impl super::survey::SurveyFlags for Arguments {
            fn from(&self) -> Option<&PathBuf> {
                self.from.as_ref()
            }

            fn resume(&self) -> Option<&PathBuf> {
                self.resume.as_ref()
            }

            fn given_again(&mut self, now: &Self) {
                self.list = now.list;
                self.printed = now.printed.clone();
                self.servers.replace_manifests(&now.servers);
            }
        }
    };
}
pub(super) use survey;

/// An interrupted survey, and the flags it began with.
///
/// # Errors
/// [`Usage`] if there is none, or this harness can't read its flags.
fn interrupted<S: Survey, A: Args>(path: &Path) -> Result<(S, A)> {
    let stored: S = results::read_stored(path, S::FILE)?;
    let folder = std::path::absolute(folder_of(path))?;
    let words = stored.head().command.iter().skip(1);
    let words = words.map(|word| revealed(word, &folder));
    // Its subcommand's flags alone.
    let flags = A::augment_args(Command::new("harness").no_binary_name(true));
    let flags = flags
        .try_get_matches_from(words)
        .and_then(|matches| A::from_arg_matches(&matches));
    let flags = flags.map_err(|error| {
        Usage(format!(
            "{} was begun with flags that this harness can't read: {error}",
            path.display()
        ))
    })?;
    Ok((stored, flags))
}

/// A word of a stored command line with this machine's folders again, which [`Folder::command`] took out.
fn revealed(word: &str, folder: &Path) -> String {
    let temporary = std::env::temp_dir();
    let home = std::env::home_dir().unwrap_or_default();
    let word = word
        .replace("<run>", &folder.to_string_lossy())
        .replace("<tmp>", &temporary.to_string_lossy());
    let home = format!("{}/", home.display());
    match word.strip_prefix("~/") {
        Some(rest) => home + rest,
        None => word.replace("=~/", &format!("={home}")),
    }
}

/// The folder of a document that is named by either.
fn folder_of(path: &Path) -> &Path {
    match path.is_dir() {
        true => path,
        false => path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new(".")),
    }
}

/// Refuses to continue what is complete, or what was measured on another machine. `due`: the parts that are missing.
pub(super) fn refuse_to_resume(
    path: &Path,
    stored: &impl Survey,
    due: usize,
    place: &CpuPlace,
    workers: usize,
) -> Result<()> {
    let shown = path.display();
    if due == 0 {
        refuse!("{shown} is complete: there is nothing to resume; --from {shown} shows it");
    }
    let (now, before) = (place.cpu_model(), &stored.head().cpu);
    if (&now, workers) != (before, stored.workers()) {
        refuse!(
            "{shown} was measured on {before} with {} worker threads, and here it would be {now} with {workers}: start a new one",
            stored.workers()
        );
    }
    Ok(())
}

/// Refuses to continue if a workload was edited.
pub(super) fn refuse_other_requests(
    path: &Path,
    stored: &impl Survey,
    requests: &Requests,
) -> Result<()> {
    let before = &stored.head().requests_sha256;
    let mut edited =
        (requests.iter()).filter(|(name, now)| before.get(*name).is_some_and(|then| then != *now));
    if let Some((workload, _)) = edited.next() {
        refuse!(
            "the requests of the workload {workload} are no longer those of {}: start a new measurement, or undo what you \
             changed",
            path.display()
        );
    }
    Ok(())
}

/// Hashes the requests of workloads.
pub(super) fn requests_sha256<'w>(
    workloads: impl IntoIterator<Item = &'w Workload>,
    seed: u64,
) -> Requests {
    let all = workloads.into_iter();
    all.map(|workload| (workload.name.clone(), workload.requests_sha256(seed)))
        .collect()
}

/// The folder of a survey that is continued.
pub(super) fn reopen(root: &Path, path: &Path, stored: &impl Survey) -> Result<Folder> {
    Folder::of_document(root, folder_of(path), stored.head())
}

/// Refuses to continue with other programs than before.
pub(super) fn refuse_other_programs(stored: &impl Survey, built: &[Build<'_>]) -> Result<()> {
    for (name, sha256) in stored.programs() {
        let Some(sha256) = sha256 else { continue };
        let now = built.iter().find(|(server, _)| server.name == name);
        let (_, now) = now.with_context(|| format!("{name} is no longer there"))?;
        match now {
            Ok(now) if now.record.sha256.as_deref() == Some(sha256) => {}
            Ok(_) => refuse!(
                "{name} is another program than before, so its rounds can't be continued: start a new measurement, \
                 or go back to revision {}",
                stored.head().revision.as_deref().unwrap_or("unknown")
            ),
            Err(failure) => refuse!("{name} can't be built any more: {}", failure.reason),
        }
    }
    Ok(())
}

/// Says where it is stored, if a round was, and how to continue it if it was interrupted.
pub(super) fn tell_stored<S: Survey>(_: &S, folder: &Folder, command: &str, interrupt: &Interrupt) {
    if !folder.path.join(S::FILE).exists() {
        return;
    }
    let shown = folder.shown();
    eprintln!("stored in {shown}");
    if interrupt.is_set() {
        eprintln!("continue it with: cargo harness {command} --resume {shown}");
    }
}

/// Refuses more connections than there may be descriptors, of which one process needs `each` for a connection; `fewer`
/// says how to use fewer.
pub(super) fn refuse_too_many(connections: usize, each: usize, fewer: &str) -> Result<()> {
    let limit = descriptor_limit();
    let needed = connections * each;
    if needed as u64 + OTHER_DESCRIPTORS > limit {
        let (_, hard) = limits::descriptor_limit();
        refuse!(
            "{connections} connections need {needed} file descriptors, and the limit is {limit} (hard limit {hard}): \
             raise it with `ulimit -Hn`, or use {fewer}"
        );
    }
    Ok(())
}

/// How servers are started on their CPUs and loaded; the log is set for each. `timeout` is for a start and for a
/// response. `workers`: if not one for each CPU.
pub(super) fn served_options(
    place: &CpuPlace,
    workers: Option<u32>,
    connections: u32,
    seed: u64,
    timeout: Duration,
) -> ServedOptions {
    let boot = place.boot(PathBuf::new(), None, timeout);
    ServedOptions {
        boot: BootOptions {
            workers: workers.map_or(boot.workers, |workers| workers as usize),
            ..boot
        },
        driver_cpus: place.driver_cpus(),
        connections: connections as usize,
        filled: false,
        seed,
        timeout,
    }
}

/// Builds every server; `None` if interrupted.
pub(super) fn build_all<'a>(
    catalog: &Catalog,
    servers: &'a [Server],
    interrupt: &Interrupt,
    progress: &mut Progress,
) -> Option<Vec<Build<'a>>> {
    let mut all = Vec::new();
    for server in servers {
        progress.note(&format!("building {}", server.name));
        let built = runner::build(catalog, server, interrupt);
        if interrupt.is_set() {
            progress.finish();
            return None;
        }
        if let Err(failure) = &built {
            progress.fail(&server.name, failure);
        }
        all.push((server, built));
    }
    Some(all)
}

/// The SHA-256 of a build, or its failure without this machine's folders.
pub(super) fn stored(
    built: &Result<Built, Failure>,
    folder: &Folder,
) -> (Option<String>, Option<Failure>) {
    match built {
        Ok(built) => (built.record.sha256.clone(), None),
        Err(failure) => {
            let mut failure = failure.clone();
            folder.clean(&mut failure);
            (None, Some(failure))
        }
    }
}

/// The servers that were built and that `takes_part` selects.
pub(super) fn contenders<'a>(
    built: &'a [Build<'a>],
    takes_part: impl Fn(&Server) -> bool,
) -> Vec<Contender<'a>> {
    let serving = built.iter().filter(|(server, _)| takes_part(server));
    let contender = |(server, built): &'a Build<'a>| {
        let launch = &built.as_ref().ok()?.launch;
        let name = &server.name;
        Some(Contender { name, launch })
    };
    serving.filter_map(contender).collect()
}

/// The time left, from an estimate that is scaled by how long the parts so far took in truth.
#[derive(Debug)]
pub(super) struct TimeLeft {
    begin: Instant,
    whole: Duration,
    done: Duration,
}

impl TimeLeft {
    /// Begins now; `whole` is the estimate.
    pub(super) fn new(whole: Duration) -> Self {
        Self {
            begin: Instant::now(),
            whole,
            done: Duration::ZERO,
        }
    }

    /// A part is done, for which this was the estimate.
    pub(super) fn done(&mut self, estimate: Duration) {
        self.done += estimate;
    }

    /// The time left as a function of now, until the next part is done.
    pub(super) fn counter(&self) -> impl Fn() -> Duration + use<> {
        let begin = self.begin;
        let scale = match self.done {
            Duration::ZERO => 1.0,
            done => begin.elapsed().as_secs_f64() / done.as_secs_f64(),
        };
        let whole = self.whole.mul_f64(scale);
        move || whole.saturating_sub(begin.elapsed())
    }
}
