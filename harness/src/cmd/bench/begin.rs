//! A new run: turns flags into options of the session.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::against::Base;
use super::rates::parse_rates;
use super::targets::{self, refuse_calibration};
use super::{Arguments, Job};
use crate::cmd::check::refuse_unknown_checks;
use crate::cmd::machine::{CpuPlace, descriptor_limit};
use crate::cmd::operand::refuse_unknown;
use crate::cmd::results::Folder;
use crate::flags::{Usage, refuse_engine};
use catalog::plan::round_seed;
use catalog::{Catalog, Profile, Server, Stage, Workload, names, sha256};
use machine::Needs;
use record::{Ended, Environment, Finding, Level};
use runner::{Earlier, Length, Options};

/// Number of connections if neither the user nor the workload says.
const CONNECTIONS: u32 = 64;
/// Maximum number of rounds if only a precision or a budget ends the run.
const MOST_ROUNDS: u32 = 10_000;

/// The result of reading the flags; the finding is about the machine's limits, and the base is the revision
/// to compare with.
pub(super) type Prepared = (Catalog, Options, CpuPlace, Option<Finding>, Option<Base>);

/// Reads the flags. Creates and starts nothing yet.
pub(super) fn prepare(arguments: &Arguments) -> Result<Prepared> {
    let mut place = CpuPlace::find(&arguments.cpus)?;
    refuse_lead_in(arguments)?;
    if arguments.targets.are_given() {
        let (catalog, options, note) = of_targets(arguments, &mut place)?;
        return Ok((catalog, options, place, note, None));
    }
    let (catalog, servers) = arguments.filters.servers.catalog()?;
    let find = |revision: &String| Base::find(&catalog, revision, &servers);
    let base = arguments.against.as_ref().map(find).transpose()?;
    let mut servers = with_other_builds(&arguments.binary, &catalog, servers)?;
    servers.extend(variants(&arguments.variant, &catalog)?);
    servers.extend(base.iter().flat_map(Base::servers));
    let mut options = options(arguments, &catalog, servers, &place)?;
    refuse_precision_of_nothing(&options)?;
    refuse_engine(options.engine)?;
    refuse_unknown_checks(&options.only_checks)?;
    let note = fit_to_limits(&mut options)?;
    Ok((catalog, options, place, note, base))
}

/// The options of a run of targets. The harness doesn't choose their CPUs.
fn of_targets(
    arguments: &Arguments,
    place: &mut CpuPlace,
) -> Result<(Catalog, Options, Option<Finding>)> {
    let stages = arguments.targets.stages(arguments)?;
    let catalog = Catalog::load(&[]).map_err(|error| Usage(format!("{error:#}")))?;
    place.layout.server.clear();
    let mut options = Options {
        stages,
        control: false,
        ..options(arguments, &catalog, Vec::new(), place)?
    };
    refuse_calibration(&options)?;
    refuse_engine(options.engine)?;
    options.targets = arguments.targets.read(arguments.timeout)?;
    let note = fit_to_limits(&mut options)?;
    Ok((catalog, options, note))
}

/// Creates the run's folder.
pub(super) fn begin(
    arguments: &Arguments,
    catalog: Catalog,
    mut options: Options,
    place: CpuPlace,
    note: Option<Finding>,
) -> Result<Job> {
    let folder = Folder::create(&catalog.root, arguments.out.as_deref())?;
    let lock = super::resume::lock(&folder.path)?;
    options.logs = folder.logs();
    let run = describe(&options, &folder)?;
    let environment = environment_of(&place, &options, note);
    let mut store = store::Store::create(&folder.database())?.hiding(folder.hidden());
    // The run last: a record that has a run also has everything needed to resume it.
    store.put_environment(&environment)?;
    store.put_run(&run)?;
    Ok(Job {
        lock,
        catalog,
        options,
        place,
        folder,
        store,
        run,
        environment,
        earlier: Earlier::default(),
    })
}

/// The selected servers, followed by the builds given with `--binary`.
pub(super) fn with_other_builds(
    flags: &[String],
    catalog: &Catalog,
    mut servers: Vec<Server>,
) -> Result<Vec<Server>> {
    let known: Vec<&str> = catalog.servers.iter().map(|s| s.name.as_str()).collect();
    for flag in flags {
        let (name, path) = flag.split_once('=').ok_or_else(|| {
            Usage(format!(
                "--binary {flag}: expected NAME=PATH, a server and another build of it"
            ))
        })?;
        let server = catalog.servers.iter().find(|server| server.name == name);
        let server = server.ok_or_else(|| Usage(names::unknown("server", name, &known)))?;
        let other = server
            .other_build(Path::new(path))
            .map_err(|error| Usage(format!("--binary {flag}: {error:#}")))?;
        if servers.iter().any(|server| server.name == other.name) {
            refuse!(
                "--binary {flag}: this exact binary is already an entry; use --twin {name} to enter a server twice"
            );
        }
        servers.push(other);
    }
    Ok(servers)
}

/// The builds given with `--variant`, in the given order.
fn variants(flags: &[String], catalog: &Catalog) -> Result<Vec<Server>> {
    let known: Vec<&str> = catalog.servers.iter().map(|s| s.name.as_str()).collect();
    let mut variants: Vec<Server> = Vec::new();
    for flag in flags {
        let usage = |why: String| Usage(format!("--variant {flag}: {why}"));
        let (name, setting) = flag
            .split_once(':')
            .ok_or_else(|| usage("expected NAME:SETTING=VALUE, as in NAME:lto=fat".to_owned()))?;
        let server = catalog.servers.iter().find(|server| server.name == name);
        let server = server.ok_or_else(|| usage(names::unknown("server", name, &known)))?;
        let variant = server.variant(setting).map_err(usage)?;
        if variants.iter().any(|other| other.name == variant.name) {
            return Err(usage("it was given before".to_owned()).into());
        }
        variants.push(variant);
    }
    Ok(variants)
}

fn options(
    arguments: &Arguments,
    catalog: &Catalog,
    servers: Vec<Server>,
    place: &CpuPlace,
) -> Result<Options> {
    let mut profile = Profile::find(&arguments.profile).map_err(Usage)?.clone();
    let length = length(arguments);
    profile.rounds = match (arguments.rounds, length.is_adaptive()) {
        (Some(rounds), _) => rounds,
        (None, true) => MOST_ROUNDS,
        (None, false) => profile.rounds,
    };
    profile.warmup = arguments.warmup.unwrap_or(profile.warmup);
    profile.peak = arguments.duration.unwrap_or(profile.peak);
    profile.paced = arguments.duration.unwrap_or(profile.paced);
    let loads = &arguments.filters.loads;
    let workloads = match arguments.targets.are_given() {
        true => arguments.targets.workloads(arguments, catalog, &profile)?,
        false => loads.workloads(catalog, profile.workloads)?,
    };
    let names: Vec<&str> = workloads.iter().map(|w| w.name.as_str()).collect();
    Ok(Options {
        rates_per_s: parse_rates(&arguments.rate, &names)?,
        twins: twins(&arguments.twin, &servers)?,
        control: !arguments.no_control,
        servers,
        targets: Vec::new(),
        stages: loads.stages()?,
        profile,
        length,
        seed: arguments.seed.unwrap_or_else(crate::cmd::random_seed),
        connections: match arguments.connections {
            Some(connections) => connections,
            None => connections_for(&workloads)?,
        } as usize,
        schedule: arguments.schedule(),
        engine: arguments.engine,
        first_byte_limit: arguments.first_byte_limit,
        timeout: arguments.timeout,
        ready_timeout: arguments.ready_timeout,
        only_checks: arguments.only_check.clone(),
        port: arguments.port,
        layout: place.layout.clone(),
        pinned: place.unpinned.is_none(),
        logs: PathBuf::new(),
        workloads,
    })
}

/// The number of connections that the workloads are made for.
fn connections_for(workloads: &[Workload]) -> Result<u32> {
    let of = |workload: &Workload| workload.connections.unwrap_or(CONNECTIONS);
    let Some(first) = workloads.first() else {
        return Ok(CONNECTIONS);
    };
    if let Some(other) = workloads.iter().find(|other| of(other) != of(first)) {
        refuse!(
            "{} is for {} connections and {} for {}: measure them one by one, or give both --connections",
            first.name,
            of(first),
            other.name,
            of(other)
        );
    }
    Ok(of(first))
}

fn length(arguments: &Arguments) -> Length {
    let default = arguments.precision.map(|_| super::DEFAULT_BUDGET);
    Length {
        precision: arguments.precision,
        budget: arguments.budget.or(default),
    }
}

fn refuse_lead_in(arguments: &Arguments) -> Result<()> {
    if arguments.lead_in < arguments.slice {
        return Ok(());
    }
    refuse!(
        "--lead-in {:?}: it must be shorter than --slice {:?}, or nothing would count",
        arguments.lead_in,
        arguments.slice
    )
}

/// Refuses a precision if there is only one entry, which has no ratio to another.
fn refuse_precision_of_nothing(options: &Options) -> Result<()> {
    if options.length.precision.is_none() || options.plan().entries.len() > 1 {
        return Ok(());
    }
    refuse!(
        "--precision: a single server without the control has no ratio to measure: leave out \
         --no-control, or add another server"
    )
}

fn twins(flags: &[String], servers: &[Server]) -> Result<Vec<String>> {
    let known = servers.iter().map(|server| server.name.as_str());
    refuse_unknown("server to enter twice", flags, known)?;
    let entered = servers.iter().map(|server| server.name.clone());
    Ok(entered.filter(|name| flags.contains(name)).collect())
}

/// Uses fewer connections, with a finding, if the limit on open files is low.
fn fit_to_limits(options: &mut Options) -> Result<Option<Finding>> {
    let limit = descriptor_limit();
    // Interleaved entries have all their connections open at the same time.
    let entries = match options.schedule.is_interleaved() {
        true => options.plan().entries.len().max(1),
        false => 1,
    };
    let needed = |connections: usize| {
        let connections = (connections * entries) as u32;
        Needs { connections }.descriptors()
    };
    if needed(options.connections) <= limit {
        return Ok(None);
    }
    let most = (1..options.connections)
        .rev()
        .find(|&fewer| needed(fewer) <= limit);
    let needed = needed(options.connections);
    let Some(most) = most else {
        refuse!("only {limit} files may be open: run `ulimit -n {needed}` first");
    };
    let asked = std::mem::replace(&mut options.connections, most);
    Ok(Some(Finding {
        id: "connections".to_owned(),
        level: Level::Warn,
        found: format!("{most} connections instead of {asked}: only {limit} files may be open"),
        why: "the run is smaller than asked for".to_owned(),
        fix: Some(format!("ulimit -n {needed}")),
    }))
}

fn describe(options: &Options, folder: &Folder) -> Result<record::Run> {
    let millis = |time: std::time::Duration| time.as_millis() as u64;
    Ok(record::Run {
        id: folder.id.clone(),
        started_at: jiff::Timestamp::now().to_string(),
        ended_at: None,
        ended: Ended::Open,
        harness_version: env!("CARGO_PKG_VERSION").to_owned(),
        harness_sha256: own_sha256()?,
        revision: folder.revision.clone(),
        command: std::env::args().skip(1).collect(),
        profile: options.profile.name.to_owned(),
        seed: options.seed,
        rounds: options.profile.rounds,
        connections: options.connections as u32,
        engine: record::Engine(options.engine.name().to_owned()),
        schedule: options.schedule,
        warmup_ms: millis(options.profile.warmup),
        peak_ms: millis(options.profile.peak),
        paced_ms: millis(options.profile.paced),
        timeout_ms: millis(options.timeout),
        first_byte_limit_ms: options.first_byte_limit.as_secs_f64() * 1e3,
        ready_timeout_ms: Some(millis(options.ready_timeout)),
        rates_per_s: options.rates_per_s.clone(),
        rate_source: match (
            options.stages.contains(&Stage::Paced),
            options.rates_per_s.is_empty(),
        ) {
            (false, _) => "none".to_owned(),
            (true, true) => "calibration".to_owned(),
            (true, false) => "--rate".to_owned(),
        },
        workloads: options
            .workloads
            .iter()
            .map(|workload| (workload.name.clone(), workload.about.clone()))
            .collect(),
        requests_sha256: requests_sha256(options),
        entries: options.plan().entries,
        stages: options.stages.clone(),
        precision_ratio: options.length.precision,
        budget_ms: options.length.budget.map(millis),
        stopped_by: None,
        resumed_at: Vec::new(),
    })
}

/// SHA-256 of this program, which does the measuring.
pub(super) fn own_sha256() -> Result<Option<String>> {
    let own = std::env::current_exe().context("cannot find the harness's own executable")?;
    Ok(Some(sha256(&own)?))
}

/// A hash of the requests of each workload; they depend only on its file and the seed.
pub(super) fn requests_sha256(options: &Options) -> BTreeMap<String, String> {
    let workloads = options.workloads.iter();
    let seed = round_seed(options.seed, 1);
    workloads
        .map(|w| (w.name.clone(), w.requests_sha256(seed)))
        .collect()
}

/// The finding of a run whose servers were not checked in full.
pub(super) fn checks_left_out(options: &Options) -> Option<Finding> {
    (!options.only_checks.is_empty()).then(|| Finding {
        id: "checks".to_owned(),
        level: Level::Warn,
        found: format!("--only-check {}", options.only_checks.join(",")),
        why: "a server that breaks the contract may be faster".to_owned(),
        fix: Some("leave out --only-check".to_owned()),
    })
}

fn environment_of(place: &CpuPlace, options: &Options, note: Option<Finding>) -> Environment {
    let mut environment = place.environment(options.connections as u32);
    environment.findings.extend(note);
    environment.findings.extend(checks_left_out(options));
    environment
        .findings
        .extend(targets::findings(&options.targets));
    environment
}
