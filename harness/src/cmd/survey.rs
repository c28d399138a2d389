//! What commands have in common that measure rounds of fresh processes: `capacity`, `ladder`, `patterns`, `restart` and
//! `upstream`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::parser::ValueSource;
use clap::{Args, Command};
use serde::de::DeserializeOwned;

use super::machine::{CpuPlace, Cpus, descriptor_limit};
use super::progress::{Progress, show_time};
use super::results::{self, Folder};
use crate::flags::{Printed, Servers, Status, Usage};
use catalog::{Catalog, Server, Workload};
use machine::probe::limits;
use record::{Document, Failure, Step};
use report::{Colour, Illustrated};
use runner::{BootOptions, Built, Interrupt, Launch};
use traffic::{Contender, ServedOptions};

/// Descriptors that the harness and a server need besides one for each connection.
const OTHER_DESCRIPTORS: u64 = 100;

/// A server and its build.
pub(super) type Build<'a> = (&'a Server, Result<Built, Failure>);

/// What an interrupted survey stored, and where; `None` for a new one.
pub(super) type Earlier<'a, S> = Option<(&'a PathBuf, S)>;

/// See [`record::Head::requests_sha256`].
pub(super) type Requests = BTreeMap<String, String>;

/// The flags of every survey, besides those that say what it measures.
#[derive(Debug, Args)]
pub(super) struct SurveyFlags {
    /// Seed of the drawn requests, of random times and of the order
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Continue an interrupted measurement with its flags; takes no others but --manifest and how to print
    #[arg(long, value_name = "FOLDER|FILE")]
    resume: Option<PathBuf>,
    /// Show what was stored; starts nothing
    #[arg(long, value_name = "FOLDER|FILE", conflicts_with_all = ["list", "out", "resume"])]
    from: Option<PathBuf>,
    /// Show what would be measured and how long it takes, and do nothing else
    #[arg(long)]
    pub(super) list: bool,
    #[command(flatten)]
    printed: Printed,
    /// Folder to store it in [default: bench-results/UTC-REVISION-COMMAND]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) servers: Servers,
    #[command(flatten)]
    pub(super) cpus: Cpus,
}

/// The flags that may be given again with --resume.
const GIVEN_AGAIN: [&str; 5] = ["resume", "list", "json", "format", "manifest"];

/// The document of a survey that can be continued: it is written after every round.
pub(super) trait Survey: Document + DeserializeOwned {
    /// The file's name: that of the command, with `.json`.
    const FILE: &'static str;

    /// The worker threads of each server.
    fn workers(&self) -> usize;

    /// The name of each server that was measured, and the SHA-256 of its binary.
    fn programs(&self) -> Vec<(&str, Option<&str>)>;

    /// Its page in Markdown, with charts.
    fn page(&self) -> Illustrated;

    /// Its tables for a terminal.
    fn lines(&self, colour: Colour) -> String;

    /// Whether a server failed or has no result.
    fn failed(&self) -> bool;

    /// The command's name.
    fn command() -> &'static str {
        Self::FILE.trim_end_matches(".json")
    }
}

/// The command line of a survey.
pub(super) trait SurveyArguments: Args {
    /// The flags that every survey has.
    fn flags(&self) -> &SurveyFlags;

    /// The same, to change them.
    fn flags_mut(&mut self) -> &mut SurveyFlags;
}

/// Shows a stored survey, continues an interrupted one, or begins one, as the flags say.
pub(super) fn run<S: Survey, A: SurveyArguments>(
    arguments: &A,
    measure: fn(&A, Earlier<'_, S>) -> Result<Status>,
) -> Result<Status> {
    let given = arguments.flags();
    if let Some(path) = &given.from {
        return show::<S>(given, &results::read_stored(path, S::FILE)?);
    }
    let Some(path) = &given.resume else {
        return measure(arguments, None);
    };
    refuse_other_flags::<A>()?;
    let (earlier, mut resumed): (S, A) = interrupted(path)?;
    let flags = resumed.flags_mut();
    flags.list = given.list;
    flags.printed = given.printed.clone();
    flags.servers.replace_manifests(&given.servers);
    measure(&resumed, Some((path, earlier)))
}

/// Implements [`Survey`] for a document with the usual members, and [`SurveyArguments`] for the module's `Arguments`;
/// `$of` has the servers' `$name` and `sha256`.
macro_rules! survey {
    ($document:ty, $file:expr, $of:ident.$name:ident, $page:path, $lines:path, $failed:expr) => {
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

            fn page(&self) -> ::report::Illustrated {
                $page(self)
            }

            fn lines(&self, colour: ::report::Colour) -> String {
                $lines(self, colour)
            }

            fn failed(&self) -> bool {
                self.$of.iter().any($failed)
            }
        }

        impl super::survey::SurveyArguments for Arguments {
            fn flags(&self) -> &super::survey::SurveyFlags {
                &self.flags
            }

            fn flags_mut(&mut self) -> &mut super::survey::SurveyFlags {
                &mut self.flags
            }
        }
    };
}
pub(super) use survey;

/// Refuses flags beside --resume that say what to measure.
fn refuse_other_flags<A: Args>() -> Result<()> {
    let command = A::augment_args(Command::new("harness").no_binary_name(true));
    // The program's and the subcommand's name come first.
    let given = command
        .clone()
        .get_matches_from(std::env::args_os().skip(2));
    let other = |flag: &&clap::Arg| {
        given.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine)
            && !GIVEN_AGAIN.contains(&flag.get_id().as_str())
    };
    let mut others = command.get_arguments().filter(other);
    if let Some(flag) = others.find_map(clap::Arg::get_long) {
        refuse!(
            "--resume continues with the flags that the measurement began with: leave out --{flag}"
        );
    }
    Ok(())
}

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

/// Refuses to continue what is complete, what was measured on another machine, or other requests. `due`: how many parts
/// are missing.
pub(super) fn refuse_to_resume(
    earlier: &Earlier<'_, impl Survey>,
    due: usize,
    place: &CpuPlace,
    workers: usize,
    requests: &Requests,
) -> Result<()> {
    let Some((path, stored)) = earlier else {
        return Ok(());
    };
    let shown = path.display();
    if due == 0 {
        refuse!("{shown} is complete: there is nothing to resume; --from {shown} shows it");
    }
    let (now, head) = (place.cpu_model(), stored.head());
    if (&now, workers) != (&head.cpu, stored.workers()) {
        refuse!(
            "{shown} was measured on {} with {} worker threads, and here it would be {now} with {workers}: start a new one",
            head.cpu,
            stored.workers()
        );
    }
    let before = &head.requests_sha256;
    let mut edited =
        (requests.iter()).filter(|(name, now)| before.get(*name).is_some_and(|then| then != *now));
    if let Some((workload, _)) = edited.next() {
        refuse!(
            "the requests of workload {workload} are not those measured in {shown}: start a new measurement, or undo what \
             you changed"
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

/// Refuses to continue with other programs than before.
fn refuse_other_programs(stored: &impl Survey, built: &[Build<'_>]) -> Result<()> {
    for (name, sha256) in stored.programs() {
        let Some(sha256) = sha256 else { continue };
        let now = built.iter().find(|(server, _)| server.name == name);
        let (_, now) = now.with_context(|| format!("{name} was measured before but is not among the servers now: restore it, or pass its --manifest again"))?;
        match now {
            Ok(now) if now.record.sha256.as_deref() == Some(sha256) => {}
            Ok(_) => refuse!(
                "the binary of {name} is not the one measured before, so its rounds can't be continued: start a new measurement, \
                 or go back to revision {}",
                stored.head().revision.as_deref().unwrap_or("unknown")
            ),
            Err(failure) => refuse!("{name} can't be built any more: {}", failure.reason),
        }
    }
    Ok(())
}

/// A survey under way: what was built, where it is stored, and how long it takes.
#[derive(Debug)]
pub(super) struct Underway<'a> {
    pub(super) folder: Folder,
    pub(super) built: Vec<Build<'a>>,
    pub(super) interrupt: Interrupt,
    pub(super) progress: Progress,
    pub(super) left: TimeLeft,
}

/// Builds the servers, and reads or makes the document; `None` if interrupted. `whole`: an estimate of the time it takes.
pub(super) fn begin<'a, S: Survey>(
    flags: &SurveyFlags,
    catalog: &Catalog,
    servers: &'a [Server],
    earlier: Earlier<'_, S>,
    whole: Duration,
    blank: impl FnOnce(&Folder, &[Build<'a>]) -> S,
) -> Result<Option<(Underway<'a>, S)>> {
    let interrupt = super::interrupt()?;
    let folder = match &earlier {
        Some((path, earlier)) => {
            Folder::of_document(&catalog.root, folder_of(path), earlier.head())?
        }
        None => {
            let kind = format!("-{}", S::command());
            Folder::create_as(&catalog.root, flags.out.as_deref(), &kind)?
        }
    };
    // Without it, the load generator names the limit that it needs.
    let _ = limits::raise_descriptor_limit();
    let mut progress = Progress::new();
    let Some(built) = build_all(catalog, servers, &interrupt, &mut progress) else {
        return Ok(None);
    };
    let document = match earlier {
        Some((_, earlier)) => {
            refuse_other_programs(&earlier, &built)?;
            earlier
        }
        None => blank(&folder, &built),
    };
    progress.tell(&format!("measuring for about {}", show_time(whole)));
    let underway = Underway {
        folder,
        built,
        interrupt,
        progress,
        left: TimeLeft::new(whole),
    };
    Ok(Some((underway, document)))
}

impl Underway<'_> {
    /// Tells of a failure, unless the user caused it, and takes this machine's folders out of it.
    pub(super) fn failed(&mut self, whose: &str, mut failure: Failure) -> Failure {
        if !self.interrupt.is_set() {
            self.progress.fail(whose, &failure);
        }
        self.folder.clean(&mut failure);
        failure
    }

    /// The SHA-256 of a server's build and how to start it, or why it can't be started.
    pub(super) fn launch(&self, server: &Server) -> (Option<String>, Result<Launch, Failure>) {
        let mut built = self.built.iter();
        let mut failure = match built.find(|(one, _)| one.name == server.name) {
            Some((_, Ok(built))) => {
                return (built.record.sha256.clone(), Ok(built.launch.clone()));
            }
            Some((_, Err(failure))) => failure.clone(),
            None => Failure {
                step: Step::Build,
                reason: "it was not built".to_owned(),
                log_tail: String::new(),
            },
        };
        self.folder.clean(&mut failure);
        (None, Err(failure))
    }

    /// Stores what was measured so far.
    pub(super) fn store<S: Survey>(&self, document: &S) -> Result<()> {
        self.folder
            .write_document(document, S::FILE, document.page())
    }

    /// Says where it is stored, if a round was, and how to continue it if it was interrupted; then shows it.
    pub(super) fn end<S: Survey>(mut self, flags: &SurveyFlags, document: &S) -> Result<Status> {
        self.progress.finish();
        let interrupted = self.interrupt.is_set();
        if self.folder.path.join(S::FILE).exists() {
            let shown = self.folder.shown();
            eprintln!("stored in {shown}");
            if interrupted {
                let command = S::command();
                eprintln!("continue it with: cargo harness {command} --resume {shown}");
            }
        }
        let status = show(flags, document)?;
        Ok(match interrupted {
            true => Status::Interrupted,
            false => status,
        })
    }
}

/// Prints a survey, and says how it went.
fn show<S: Survey>(flags: &SurveyFlags, document: &S) -> Result<Status> {
    results::print(
        &flags.printed,
        document,
        || document.page().text,
        |colour| document.lines(colour),
    )?;
    Ok(match document.failed() {
        true => Status::Failed,
        false => Status::Fine,
    })
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
             raise it as root with `ulimit -Hn NUMBER`, or use {fewer}"
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
fn build_all<'a>(
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
