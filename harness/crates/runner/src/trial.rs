//! One stage of one workload on one freshly started server, or on a target: checked, driven, sampled.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use super::accept::{Referee, wire};
use super::boot::BootOptions;
use super::entry::Entry;
use super::live::Live;
use super::sampler::{self, Samples};
use super::target::Peer;
use super::{Interrupt, figures};
use catalog::plan;
use catalog::{Call, Stage};
use loadgen::{Client, Config, Control, EngineKind, Measurement, Pace, Script};
use machine::probe::Processes;
use machine::{OthersMeter, Root, StealMeter, ThrottleMeter};
use record::{Failure, Figures, Step, Trial};

/// The length of one element of the time series.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long the server may keep a connection that the client has closed.
const LEAK_WAIT: Duration = Duration::from_secs(2);
/// Sockets a server may hold beyond those it held before the load.
const LEAK_SLACK: u32 = 2;

/// What all trials of a run share.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) server_cpus: Vec<u32>,
    pub(super) driver_cpus: Vec<u32>,
    pub(super) workers: usize,
    pub(super) port: Option<u16>,
    pub(super) connections: usize,
    pub(super) engine: EngineKind,
    pub(super) timeout: Duration,
    pub(super) ready_timeout: Duration,
    pub(super) logs: PathBuf,
    pub(super) referee: Referee,
    pub(super) interrupt: Interrupt,
    /// Publishes the load's counters.
    pub(super) live: Live,
}

impl Settings {
    /// How to start a server; `log` is the name of its log.
    pub(super) fn boot(&self, log: &str) -> BootOptions {
        BootOptions {
            cpus: self.server_cpus.clone(),
            workers: self.workers,
            port: self.port,
            socket: None,
            log: self.logs.join(format!("{log}.log")),
            ready_timeout: self.ready_timeout,
        }
    }
}

/// An entry's part in a round: a step of the plan, and its position there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'e> {
    pub(super) entry: &'e Entry<'e>,
    pub(super) step: &'e plan::Step,
    pub(super) position: u32,
}

/// What one trial adds to the settings.
#[derive(Debug)]
pub(super) struct Task<'a> {
    pub(super) part: Part<'a>,
    /// Tells its log apart from others of the same server.
    pub(super) log: String,
    pub(super) calls: &'a [Call],
    pub(super) pace: Pace,
    pub(super) warmup: Duration,
    pub(super) duration: Duration,
    pub(super) seed: u64,
}

/// A planned trial that was skipped.
pub(super) fn not_run(part: &Part<'_>, failure: Failure) -> Trial {
    Trial {
        failure: Some(failure),
        ..blank(part)
    }
}

/// Whether a stored trial ran, unlike one from [`not_run`]. A trial that failed while it was driven has at
/// least the figures of its start.
pub(super) fn was_run(trial: &Trial) -> bool {
    let at_drive = |failure: &Failure| failure.step == Step::Drive;
    !(trial.figures.is_empty() && trial.failure.as_ref().is_some_and(at_drive))
}

pub(super) fn blank(part: &Part<'_>) -> Trial {
    let step = part.step;
    Trial {
        round: step.round,
        position: part.position,
        server: step.server.clone(),
        workload: step.workload.clone(),
        stage: step.stage,
        started_unix_ns: jiff::Timestamp::now().as_nanosecond() as i64,
        failure: None,
        figures: Figures::new(),
        errors: Default::default(),
        first_error: None,
        histograms: Default::default(),
        intervals: Vec::new(),
    }
}

/// Runs one trial. A failure is part of the result, so the run continues.
pub(super) fn measure(task: &Task<'_>, settings: &Settings) -> Trial {
    let mut trial = blank(&task.part);
    trial.failure = run(task, settings, &mut trial).err();
    trial
}

fn run(task: &Task<'_>, settings: &Settings, trial: &mut Trial) -> Result<(), Failure> {
    let entry = task.part.entry;
    let boot_options = settings.boot(&format!("{}-{}", trial.server, task.log));
    let mut running = entry.boot(&boot_options, settings)?;
    let mut processes = running.processes();
    trial.figures = start_figures(&running, &mut processes);
    trial.figures.extend(figures::of_counting(&processes));

    let script = entry
        .script(&trial.workload, running.addr(), task.calls, settings)
        .map_err(|error| running.failure(Step::Accept, error))?;
    let posts = entry.keeps_orders() && task.calls.iter().any(|call| call.method == "POST");
    let before = Before::read(posts, &running, &mut processes, settings.timeout)
        .map_err(|error| running.failure(Step::Accept, error))?;

    let meters = Meters::start(settings);
    let unloaded_ns = processes.sample_light().cpu_ns;
    let driven = drive(&running, &script, task, settings, &mut processes);
    let loaded_ns = processes.sample_light().cpu_ns;
    let served = unloaded_ns
        .zip(loaded_ns)
        .map(|(before, after)| after.saturating_sub(before));
    trial
        .figures
        .extend(meters.stop(served.filter(|_| running.started().is_some())));
    let (measured, samples) = driven.map_err(|error| running.failure(Step::Drive, error))?;
    note_measured(
        trial,
        &measured,
        &samples,
        &task.pace,
        settings.server_cpus.len(),
    );
    if let Some(how) = running.ended() {
        let reason = format!("it ended {how} under load");
        return Err(running.failure(Step::Drive, reason));
    }
    let kept = before
        .compare(&measured, &running, &mut processes, settings.timeout)
        .map_err(|error| running.failure(Step::Drive, error))?;
    trial.figures.extend(kept);
    let log = boot_options.log;
    running.kill()?;
    remove_empty(&log);
    Ok(())
}

/// None of a target: it started at another time, and may have served others since.
pub(super) fn start_figures(running: &Peer, processes: &mut Processes) -> Figures {
    let mut figures = Figures::new();
    let Some(running) = running.started() else {
        return figures;
    };
    let mut put = |id, value: Option<f64>| figures::note(&mut figures, id, value);
    put("start_ms", Some(running.start.as_secs_f64() * 1e3));
    let first_request_us = running.first_request.as_secs_f64() * 1e6;
    put("first_request_us", Some(first_request_us));
    let rss = processes.sample_light().rss_bytes;
    put("rss_idle_bytes", rss.map(|bytes| bytes as f64));
    figures
}

/// Removes an empty log: files for each of hundreds of processes would hide the useful ones.
pub(super) fn remove_empty(log: &Path) {
    if std::fs::metadata(log).is_ok_and(|metadata| metadata.len() == 0) {
        let _ = std::fs::remove_file(log);
    }
}

/// How to drive a server, except for how long.
pub(super) fn config(running: &Peer, pace: Pace, settings: &Settings, seed: u64) -> Config {
    Config {
        connections: settings.connections,
        engine: settings.engine,
        cpus: settings.driver_cpus.clone(),
        pace,
        timeout: settings.timeout,
        interval: INTERVAL,
        seed,
        ..Config::new(running.addr())
    }
}

/// Rejects a drive that was cut short, which says nothing about the server, or that ran on the wrong CPUs.
pub(super) fn refuse_disturbed(measured: &Measurement, settings: &Settings) -> Result<()> {
    if measured.stopped {
        return Err(anyhow!("interrupted"));
    }
    if !measured.pinned {
        return Err(anyhow!(
            "the load generator could not be pinned to CPUs {:?}; see --no-pin",
            settings.driver_cpus
        ));
    }
    Ok(())
}

/// Runs the load generator, and the sampler in parallel.
fn drive(
    running: &Peer,
    script: &Script,
    task: &Task<'_>,
    settings: &Settings,
    processes: &mut Processes,
) -> Result<(Measurement, Samples)> {
    let config = Config {
        warmup: task.warmup,
        duration: task.duration,
        ..config(running, task.pace.clone(), settings, task.seed)
    };
    let control = Arc::new(Control::new(settings.interrupt.flag()));
    let load = (task.part.step.server.clone(), Arc::clone(&control));
    settings.live.begin(vec![load]);
    thread::scope(|scope| {
        let sampler = scope.spawn(|| sampler::sample(processes, &control, INTERVAL));
        let measured = loadgen::drive(&config, script, &control)?;
        let samples = sampler
            .join()
            .map_err(|_| anyhow!("the sampler panicked"))?;
        refuse_disturbed(&measured, settings)?;
        Ok((measured, samples))
    })
}

fn note_measured(
    trial: &mut Trial,
    measured: &Measurement,
    samples: &Samples,
    pace: &Pace,
    cpus: usize,
) {
    let rss_before = trial.figures.get("rss_idle_bytes").map(|&n| n as u64);
    note_load(trial, measured, pace);
    trial
        .figures
        .extend(figures::of_server(measured, samples, rss_before, cpus));
    trial.intervals = figures::intervals(measured, &samples.edges);
}

/// The load generator's results.
pub(super) fn note_load(trial: &mut Trial, measured: &Measurement, pace: &Pace) {
    trial.started_unix_ns = measured.window_at.start_unix_ns;
    trial.figures.extend(figures::of_load(measured));
    if let Pace::Rate { per_second } = pace {
        trial
            .figures
            .extend(figures::of_pace(measured, *per_second));
    }
    trial.errors = measured
        .errors
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(kind, count)| ((*kind).to_owned(), *count))
        .collect();
    trial.first_error.clone_from(&measured.first_error);
    trial.histograms = figures::histograms(measured).collect();
}

/// What the machine does meanwhile.
pub(super) struct Meters {
    steal: StealMeter,
    others: OthersMeter,
    throttle: ThrottleMeter,
}

impl Meters {
    pub(super) fn start(settings: &Settings) -> Self {
        let cpus = [&settings.server_cpus[..], &settings.driver_cpus].concat();
        Self {
            steal: StealMeter::start(&Root::host(), &cpus, &cpus),
            others: OthersMeter::start(&Root::host(), &cpus),
            throttle: ThrottleMeter::start(&Root::host()),
        }
    }

    /// `served_ns`: the CPU time of the measured servers since the start, if they ran on these CPUs and nowhere else.
    pub(super) fn stop(self, served_ns: Option<u64>) -> Figures {
        let mut figures = Figures::new();
        let mut put = |id, value: Option<f64>| figures::note(&mut figures, id, value);
        put("steal_ratio", self.steal.stop().steal);
        put("throttled_periods", self.throttle.stop().map(|n| n as f64));
        let served = served_ns.map(Duration::from_nanos);
        put("other_cpu_ratio", self.others.stop(served));
        figures
    }
}

/// The state of the server before the load, to compare with afterwards.
pub(super) struct Before {
    orders: Option<u64>,
    sockets: Option<u32>,
}

impl Before {
    pub(super) fn read(
        posts: bool,
        running: &Peer,
        processes: &mut Processes,
        timeout: Duration,
    ) -> Result<Self> {
        // Include workers that were started since.
        processes.refresh();
        // A target may have other clients, which open and close connections meanwhile.
        let started = running.started();
        Ok(Self {
            orders: posts.then(|| orders_total(running, timeout)).transpose()?,
            sockets: started.and_then(|_| processes.sample().sockets),
        })
    }

    /// Conservation: the server's total grew by the orders that the client saw accepted, and no connection
    /// stays open after the client closed it. Returns its figures.
    pub(super) fn compare(
        &self,
        measured: &Measurement,
        running: &Peer,
        processes: &mut Processes,
        timeout: Duration,
    ) -> Result<Figures> {
        let mut figures = Figures::new();
        if let Some(before) = self.orders {
            let after = orders_total(running, timeout)?;
            let mut put = |id, value: f64| figures::note(&mut figures, id, value);
            put("orders_growth", after as f64 - before as f64);
            put("orders_accepted", measured.accepted_orders_total as f64);
            put("orders_unanswered", measured.unanswered_total as f64);
        }
        if let Some(before) = self.sockets {
            sockets_closed(before, processes)?;
        }
        Ok(figures)
    }
}

fn sockets_closed(before: u32, processes: &mut Processes) -> Result<()> {
    let deadline = Instant::now() + LEAK_WAIT;
    loop {
        let now = processes.sample().sockets;
        let left = now.unwrap_or(before).saturating_sub(before);
        if left <= LEAK_SLACK {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(anyhow!(
                "it leaks connections: {left} sockets still open {} s after the client closed them",
                LEAK_WAIT.as_secs()
            ));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// `total` of the newest page of orders.
fn orders_total(running: &Peer, timeout: Duration) -> Result<u64> {
    let call = Call {
        method: "GET".to_owned(),
        target: "/api/v1/orders?limit=1".to_owned(),
        headers: Vec::new(),
        body: None,
    };
    let response = Client::new(running.addr(), timeout)
        .exchange(&wire(&call, running.addr()))
        .context("no response to GET /api/v1/orders?limit=1")?;
    let json: serde_json::Value = serde_json::from_slice(&response.body)?;
    json.get("total")
        .and_then(serde_json::Value::as_u64)
        .with_context(|| format!("GET /api/v1/orders?limit=1: no `total` in {json}"))
}

/// The pace of a stage; `None` if a paced stage has no rate.
pub(super) fn pace(stage: Stage, rate_per_s: Option<f64>) -> Option<Pace> {
    match stage {
        Stage::Peak => Some(Pace::Closed),
        Stage::Paced => rate_per_s.map(|per_second| Pace::Rate { per_second }),
    }
}
