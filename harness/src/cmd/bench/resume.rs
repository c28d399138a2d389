//! `--resume`: finishes an interrupted run with the same plan and seed, or refuses to.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

use super::against::{Base, is_revision};
use super::begin::{own_sha256, requests_sha256, with_other_builds};
use super::{Arguments, Job};
use crate::cmd::machine::{CpuPlace, descriptor_limit};
use crate::cmd::results::Folder;
use crate::flags::{self, Usage, refuse_engine};
use catalog::{Catalog, Profile, Server, Workload, names};
use machine::Needs;
use record::{
    BUILD_MARK, Ended, Environment, Finding, Level, Record, Run, TWIN_SUFFIX, base_name, is_control,
};
use runner::{Earlier, Length, Options};
use store::{Store, StoreError};

/// The first version of the record that stores everything needed to resume a run.
const PLAN_STORED_SINCE: u32 = 2;

/// Opens the run and checks that it can continue unchanged. The record is modified only after servers and
/// control are known to be the same too.
///
/// # Errors
/// [`Usage`] if the run is complete, is still running, or something has changed.
pub(super) fn resume(arguments: &Arguments, path: &Path) -> Result<(Job, Option<Base>)> {
    let catalog = Catalog::load(&arguments.filters.servers.manifest)
        .map_err(|error| Usage(format!("{error:#}")))?;
    let database = crate::cmd::results::database(&catalog.root, Some(path))?;
    // Before the record is read: a run that ends in between would otherwise be resumed from an old view of it.
    let lock = lock(path)?;
    refuse_older(path, &database)?;
    let mut store = Store::open(&database).map_err(refusal)?;
    let record = store.load().map_err(refusal)?;
    refuse_complete(path, &record.run)?;
    if record.environment.targets().next().is_some() {
        refuse!(
            "{} measured a target, which may have changed since: start a new run",
            path.display()
        );
    }
    let folder = Folder::open(&catalog.root, path, &record.run)?;
    let store = store.hiding(folder.hidden());
    let place = CpuPlace::of_earlier(&record.environment)?;
    let (mut options, base) = options(arguments, &catalog, &record, &place)?;
    options.logs = folder.logs();
    let mut now = refuse_changed(&record, &options, &place)?;
    now.findings.extend(super::begin::checks_left_out(&options));
    // Rounds before and after an interruption must use the same I/O backend.
    refuse_engine(options.engine)?;
    if !arguments.filters.list {
        remove_answers(&options.logs)?;
    }
    let mut run = record.run.clone();
    run.ended = Ended::Open;
    run.ended_at = None;
    run.resumed_at.push(jiff::Timestamp::now().to_string());
    let job = Job {
        lock,
        catalog,
        options,
        place,
        folder,
        store,
        run,
        environment: with_findings(record.environment, now),
        earlier: Earlier {
            servers: record.servers,
            trials: record.trials,
        },
    };
    Ok((job, base))
}

/// Removes the responses that the control of a killed harness left behind; they are captured again.
fn remove_answers(logs: &Path) -> Result<()> {
    for entry in fs::read_dir(logs)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "answers")
        {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Keeps other processes from writing the same run. Released when the file is closed, at the latest when
/// the process ends. Servers don't inherit it.
pub(super) fn lock(folder: &Path) -> Result<File> {
    let file = File::open(folder).context("cannot open the run's folder")?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        Usage(format!(
            "{} is being written by another harness: wait for it to end, or stop it",
            folder.display()
        ))
    })?;
    Ok(file)
}

/// Runs before the record is opened, which would upgrade it.
fn refuse_older(path: &Path, database: &Path) -> Result<()> {
    if Store::version(database).map_err(refusal)? >= PLAN_STORED_SINCE {
        return Ok(());
    }
    Err(older(path).into())
}

fn older(path: &Path) -> Usage {
    Usage(format!(
        "{} was stored by an older harness that didn't store the plan: start a new run",
        path.display()
    ))
}

/// Something that isn't a record is a wrong argument; other errors aren't the user's fault.
fn refusal(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::NotARecord { .. } | StoreError::TooNew { .. } => {
            Usage(error.to_string()).into()
        }
        other => other.into(),
    }
}

fn refuse_complete(path: &Path, run: &Run) -> Result<()> {
    if run.stages.is_empty() {
        // Another command has upgraded it since.
        return Err(older(path).into());
    }
    if run.ended == Ended::Complete {
        let shown = path.display();
        refuse!(
            "{shown} is complete: there is nothing to resume; `harness report {shown}` shows it"
        );
    }
    Ok(())
}

fn options(
    arguments: &Arguments,
    catalog: &Catalog,
    record: &Record,
    place: &CpuPlace,
) -> Result<(Options, Option<Base>)> {
    let run = &record.run;
    let millis = Duration::from_millis;
    let mut profile = Profile::find(&run.profile).map_err(Usage)?.clone();
    profile.rounds = run.rounds;
    profile.warmup = millis(run.warmup_ms);
    profile.peak = millis(run.peak_ms);
    profile.paced = millis(run.paced_ms);
    let second = |name: &&String| name.ends_with(TWIN_SUFFIX) && !is_control(name);
    let (servers, base) = servers(arguments, catalog, record)?;
    let options = Options {
        servers,
        targets: Vec::new(),
        twins: run
            .entries
            .iter()
            .filter(second)
            .map(|name| base_name(name).to_owned())
            .collect(),
        control: run.entries.iter().any(|name| is_control(name)),
        workloads: workloads(catalog, run, &arguments.filters.loads.workload)?,
        stages: run.stages.clone(),
        profile,
        length: Length {
            precision: run.precision_ratio,
            budget: run.budget_ms.map(millis),
        },
        seed: run.seed,
        connections: run.connections as usize,
        schedule: run.schedule,
        engine: run.engine.0.parse().map_err(Usage)?,
        rates_per_s: run.rates_per_s.clone(),
        first_byte_limit: Duration::from_secs_f64(run.first_byte_limit_ms / 1e3),
        timeout: millis(run.timeout_ms),
        ready_timeout: millis(run.ready_timeout_ms.unwrap_or(10_000)),
        only_checks: arguments.only_check.clone(),
        port: arguments.port,
        layout: place.layout.clone(),
        pinned: place.unpinned.is_none(),
        logs: PathBuf::new(),
    };
    Ok((options, base))
}

/// The servers of the plan. A server that failed stays failed: it has no trials and is not built again.
/// Binaries given by hand come from the copy in the run's folder, unless `--binary` names them again; those
/// of another revision are built again.
fn servers(
    arguments: &Arguments,
    catalog: &Catalog,
    record: &Record,
) -> Result<(Vec<Server>, Option<Base>)> {
    let mut binaries = arguments.binary.clone();
    for server in &record.servers {
        let build = server.build.as_ref();
        let copy = build.and_then(|build| build.binary.as_ref());
        let sha256 = build.and_then(|build| build.sha256.as_ref());
        if let (Some((base, mark)), Some(copy)) = (server.name.split_once(BUILD_MARK), copy) {
            let copy = catalog.root.join(copy);
            let by_hand = sha256.is_some_and(|sha256| sha256.starts_with(mark));
            if by_hand && copy.is_file() && arguments.binary.is_empty() {
                binaries.push(format!("{base}={}", copy.display()));
            }
        }
    }
    let mut all = with_other_builds(&binaries, catalog, catalog.servers.clone())?;
    let stored = |name: &str| record.servers.iter().find(|server| server.name == name);
    let of_run = |name: &String| record.run.entries.contains(name) || stored(name).is_some();
    let mut others = all.iter().skip(catalog.servers.len());
    if let Some(other) = others.find(|server| !of_run(&server.name)) {
        refuse!(
            "{} is not a build of this run: it differs from the binary that was measured; pass \
             the original with --binary NAME=PATH",
            other.name
        );
    }
    // A variant is named after its setting, and built again.
    let builds = record
        .run
        .entries
        .iter()
        .filter_map(|name| name.split_once(BUILD_MARK));
    for (base, setting) in builds {
        let server = catalog.servers.iter().find(|server| server.name == base);
        all.extend(server.and_then(|server| server.variant(setting).ok()));
    }
    let failed = |name: &str| stored(name).is_some_and(|server| server.failure.is_some());
    let entries = record.run.entries.iter().map(String::as_str);
    let wanted: Vec<&str> = entries
        .filter(|name| base_name(name) == *name && !is_control(name) && !failed(name))
        .collect();
    let base = base_of(catalog, &wanted, &all)?;
    all.extend(base.iter().flat_map(Base::servers));
    let find = |name: &&str| {
        let found = all.iter().find(|server| server.name == *name);
        found
            .cloned()
            .map(Server::versioned)
            .ok_or_else(|| missing(name, &all).into())
    };
    let servers: Result<_> = wanted.iter().map(find).collect();
    Ok((servers?, base))
}

/// The revision that the run compares with, if its entries are named after one.
fn base_of(catalog: &Catalog, wanted: &[&str], all: &[Server]) -> Result<Option<Base>> {
    let lacking = wanted
        .iter()
        .filter(|name| !all.iter().any(|server| server.name == **name));
    let builds: Vec<_> = lacking.filter_map(|n| n.split_once(BUILD_MARK)).collect();
    let Some(&(_, mark)) = builds.iter().find(|(_, mark)| is_revision(catalog, mark)) else {
        return Ok(None);
    };
    let current: Vec<Server> = catalog
        .servers
        .iter()
        .filter(|server| builds.contains(&(server.name.as_str(), mark)))
        .cloned()
        .collect();
    Base::find(catalog, mark, &current).map(Some)
}

fn missing(name: &str, all: &[Server]) -> Usage {
    let known: Vec<&str> = all.iter().map(|server| server.name.as_str()).collect();
    Usage(match name.split_once('@') {
        Some((base, _)) => format!(
            "the run's copy of the binary of {name} is gone: pass it again with \
             --binary {base}=PATH"
        ),
        None => format!(
            "{}; if it came from --manifest, pass that again",
            names::unknown("server", name, &known)
        ),
    })
}

/// The run's workloads. `files` are those of them that don't come with the harness.
fn workloads(catalog: &Catalog, run: &Run, files: &[String]) -> Result<Vec<Workload>> {
    let mut own = Vec::new();
    for file in files {
        if !file.ends_with(".toml") {
            refuse!("--resume runs the workloads of that run: leave out --workload {file}");
        }
        let workload = Workload::load(Path::new(file)).map_err(|error| Usage(error.to_string()))?;
        if !run.workloads.contains_key(&workload.name) {
            refuse!(
                "--workload {file}: the run has no workload {}",
                workload.name
            );
        }
        own.push(workload);
    }
    let mut all = Vec::new();
    for name in run.workloads.keys() {
        all.push(match own.iter().position(|own| own.name == *name) {
            Some(at) => own.swap_remove(at),
            None => flags::workloads(catalog, std::slice::from_ref(name))
                .map_err(|error| {
                    let hint = "if it came from a file, pass that again with --workload FILE";
                    Usage(format!("{error:#}; {hint}"))
                })?
                .remove(0),
        });
    }
    Ok(all)
}

/// Refuses to resume if the machine, the harness or the requests have changed; binaries are compared after
/// they are built. Returns the machine as it is now.
fn refuse_changed(record: &Record, options: &Options, place: &CpuPlace) -> Result<Environment> {
    let needs = Needs {
        connections: options.connections as u32,
    };
    let limit = descriptor_limit();
    if needs.descriptors() > limit {
        refuse!(
            "the run needs {} connections, but only {limit} files may be open: run `ulimit -n {}` first",
            options.connections,
            needs.descriptors()
        );
    }
    let now = place.environment(needs.connections);
    let mut changed = changes(&record.environment, &now);
    if record.run.harness_sha256 != own_sha256()? {
        changed.push("the harness was rebuilt from different source".to_owned());
    }
    let requests = requests_sha256(options);
    changed.extend(
        differing(&record.run.requests_sha256, &requests)
            .map(|workload| format!("the requests of the workload {workload}")),
    );
    if changed.is_empty() {
        return Ok(now);
    }
    refuse!(
        "this run can't be resumed because something changed: {}. Its trials so far are kept: see \
         `harness report`; start a new run",
        changed.join("; ")
    )
}

/// Adds findings that distort a measurement now but did not when the run began.
fn with_findings(then: Environment, now: Environment) -> Environment {
    let mut findings = then.findings;
    for finding in now.findings {
        let same = |known: &Finding| (&known.id, &known.found) == (&finding.id, &finding.found);
        if finding.level > Level::Ok && !findings.iter().any(same) {
            findings.push(finding);
        }
    }
    Environment { findings, ..then }
}

fn differing<'a>(
    then: &'a BTreeMap<String, String>,
    now: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = &'a String> {
    let same = |workload: &&String| then.get(*workload) != now.get(*workload);
    then.keys().filter(same)
}

/// Which properties of the machine have changed, in words.
fn changes(then: &Environment, now: &Environment) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, then: String, now: String| {
        if then != now {
            found.push(format!("{what} was {then} and is {now}"));
        }
    };
    compare("the CPU", then.cpu_model.clone(), now.cpu_model.clone());
    compare(
        "the number of CPUs",
        then.logical_cpus.to_string(),
        now.logical_cpus.to_string(),
    );
    compare("the kernel", then.kernel.clone(), now.kernel.clone());
    compare("the compiler", then.rustc.clone(), now.rustc.clone());
    let cpus = |e: &Environment| format!("{:?} and {:?}", e.server_cpus, e.driver_cpus);
    compare(
        "the CPUs of server and load generator",
        cpus(then),
        cpus(now),
    );
    let pinned = |e: &Environment| if e.pinned { "pinned" } else { "not pinned" }.to_owned();
    compare("what was measured", pinned(then), pinned(now));
    if found.is_empty() && then.fingerprint != now.fingerprint {
        found.push("the machine's fingerprint (see `harness doctor`)".to_owned());
    }
    found
}
