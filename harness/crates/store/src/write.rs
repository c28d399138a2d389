//! Writes the record: one transaction per call.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::{ErrorCode, Transaction, named_params, params};
use serde::Serialize;
use serde_json::Value;

use super::{Locked, Store, StoreError};
use record::{Ended, Environment, Failure, HiddenPaths, Interval, Run, Server, Trial};

/// Not part of the version: an older reader ignores it and misreads nothing.
const BUILD_FLAGS: &str = "CREATE TABLE IF NOT EXISTS build_flags (
    server TEXT PRIMARY KEY,
    flags  TEXT NOT NULL CHECK (json_valid(flags))
) STRICT";

/// The same.
const AT_STOP: &str = "CREATE TABLE IF NOT EXISTS at_stop (
    server TEXT PRIMARY KEY,
    lost   INTEGER NOT NULL,
    sent   INTEGER NOT NULL
) STRICT";

impl Store {
    /// Stores the run; a second call replaces the first.
    ///
    /// # Errors
    /// [`StoreError::Full`] or another SQLite error; nothing is stored then.
    pub fn put_run(&mut self, run: &Run) -> Result<(), StoreError> {
        self.within("store the run", |step, hidden| put_run(step, run, hidden))
    }

    /// Stores the machine and its findings, replacing earlier ones.
    ///
    /// # Errors
    /// As for [`Store::put_run`].
    pub fn put_environment(&mut self, environment: &Environment) -> Result<(), StoreError> {
        self.within("store the environment", |step, hidden| {
            put_environment(step, environment, hidden)
        })
    }

    /// Stores a server, replacing the one of that name at the same position.
    ///
    /// # Errors
    /// As for [`Store::put_run`].
    pub fn put_server(&mut self, server: &Server) -> Result<(), StoreError> {
        self.within("store a server", |step, hidden| {
            put_server(step, server, hidden)
        })
    }

    /// Stores several trials in one transaction; see [`Store::put_trial`].
    ///
    /// # Errors
    /// As for [`Store::put_trial`].
    pub fn put_trials(&mut self, trials: &[Trial]) -> Result<(), StoreError> {
        self.within("store trials", |step, hidden| {
            trials
                .iter()
                .try_for_each(|trial| put_trial(step, trial, hidden))
        })
    }

    /// Stores a trial. Leaves out figures that are not finite, like those that could not be read.
    ///
    /// # Errors
    /// As for [`Store::put_run`]; also if the record already has a trial at that position, or of that server,
    /// workload, stage and round.
    pub fn put_trial(&mut self, trial: &Trial) -> Result<(), StoreError> {
        self.within("store a trial", |step, hidden| {
            put_trial(step, trial, hidden)
        })
    }

    /// Stores how the run ended, with the current time. The record stays open.
    ///
    /// # Errors
    /// As for [`Store::put_run`].
    pub fn finish(&mut self, ended: Ended) -> Result<(), StoreError> {
        let now = Timestamp::from_second(Timestamp::now().as_second())
            .expect("a whole second of now is a time")
            .to_string();
        self.within("store the end of the run", |step, _| {
            step.execute(
                "UPDATE run SET ended = ?1, ended_at = ?2",
                params![word(&ended), now],
            )
            .map(drop)
        })
    }

    fn within(
        &mut self,
        doing: &'static str,
        work: impl Fn(&Transaction<'_>, &HiddenPaths) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        loop {
            let Self {
                connection, hidden, ..
            } = self;
            let done = connection.transaction().and_then(|step| {
                work(&step, hidden)?;
                step.commit()
            });
            let Err(source) = done else { return Ok(()) };
            let locked = source.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
            let again = match &mut self.locked {
                Some(Locked(again)) if locked => again(),
                _ => false,
            };
            if !again {
                return Err(self.error(doing, source));
            }
        }
    }
}

fn put_run(step: &Transaction<'_>, run: &Run, hidden: &HiddenPaths) -> rusqlite::Result<()> {
    let command: Vec<_> = run.command.iter().map(|word| hidden.clean(word)).collect();
    step.execute(
        "INSERT OR REPLACE INTO run VALUES (1, :run_id, :started_at, :ended_at, :ended,
             :harness_version, :revision, :command, :profile, :seed, :rounds, :connections,
             :warmup_ms, :peak_ms, :paced_ms, :timeout_ms, :first_byte_limit_ms, :rate_source,
             :entries, :stages, :harness_sha256, :ready_timeout_ms, :precision_ratio, :budget_ms, :stopped_by,
             :resumed_at, :engine, :schedule, :slice_ms, :lead_in_ms)",
        named_params! {
            ":run_id": run.id,
            ":started_at": run.started_at,
            ":ended_at": run.ended_at,
            ":ended": word(&run.ended),
            ":harness_version": run.harness_version,
            ":revision": run.revision,
            ":command": json(&command),
            ":profile": run.profile,
            ":seed": run.seed.to_string(),
            ":rounds": run.rounds,
            ":connections": run.connections,
            ":warmup_ms": run.warmup_ms,
            ":peak_ms": run.peak_ms,
            ":paced_ms": run.paced_ms,
            ":timeout_ms": run.timeout_ms,
            ":first_byte_limit_ms": run.first_byte_limit_ms,
            ":rate_source": hidden.clean(&run.rate_source),
            ":entries": json(&run.entries),
            ":stages": json(&run.stages),
            ":harness_sha256": run.harness_sha256,
            ":ready_timeout_ms": run.ready_timeout_ms,
            ":precision_ratio": run.precision_ratio,
            ":budget_ms": run.budget_ms,
            ":stopped_by": run.stopped_by.as_ref().map(word),
            ":resumed_at": json(&run.resumed_at),
            ":engine": run.engine.0,
            ":schedule": run.schedule.name(),
            ":slice_ms": run.schedule.slice_ms(),
            ":lead_in_ms": run.schedule.lead_in_ms(),
        },
    )?;
    put_workloads(step, run)
}

fn put_workloads(step: &Transaction<'_>, run: &Run) -> rusqlite::Result<()> {
    step.execute("DELETE FROM workload", ())?;
    let names: BTreeSet<_> = run.workloads.keys().chain(run.rates_per_s.keys()).collect();
    for name in names {
        step.execute(
            "INSERT INTO workload (name, about, rate_per_s, requests_sha256) VALUES (?1, ?2, ?3, ?4)",
            params![
                name,
                run.workloads.get(name),
                run.rates_per_s.get(name),
                run.requests_sha256.get(name)
            ],
        )?;
    }
    Ok(())
}

fn put_environment(
    step: &Transaction<'_>,
    environment: &Environment,
    hidden: &HiddenPaths,
) -> rusqlite::Result<()> {
    step.execute(
        "INSERT OR REPLACE INTO environment VALUES (1, :cpu_model, :logical_cpus, :physical_cores,
             :numa_nodes, :memory_bytes, :kernel, :rustc, :governor, :virtualisation,
             :clock_source, :server_cpus, :driver_cpus, :pinned, :fingerprint)",
        named_params! {
            ":cpu_model": environment.cpu_model,
            ":logical_cpus": environment.logical_cpus,
            ":physical_cores": environment.physical_cores,
            ":numa_nodes": environment.numa_nodes,
            ":memory_bytes": environment.memory_bytes,
            ":kernel": environment.kernel,
            ":rustc": environment.rustc,
            ":governor": environment.governor,
            ":virtualisation": environment.virtualisation,
            ":clock_source": environment.clock_source,
            ":server_cpus": json(&environment.server_cpus),
            ":driver_cpus": json(&environment.driver_cpus),
            ":pinned": environment.pinned,
            ":fingerprint": environment.fingerprint,
        },
    )?;
    step.execute("DELETE FROM finding", ())?;
    for finding in &environment.findings {
        step.execute(
            "INSERT INTO finding (id, level, found, why, fix) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                finding.id,
                word(&finding.level),
                hidden.clean(&finding.found),
                hidden.clean(&finding.why),
                finding.fix.as_deref().map(|fix| hidden.clean(fix)),
            ],
        )?;
    }
    Ok(())
}

fn put_server(
    step: &Transaction<'_>,
    server: &Server,
    hidden: &HiddenPaths,
) -> rusqlite::Result<()> {
    step.execute(
        "INSERT INTO server (name, display, class) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO NOTHING",
        params![server.name, server.display, server.class],
    )?;
    let (build, check) = (server.build.as_ref(), server.check.as_ref());
    let failures =
        check.map(|c| -> Vec<_> { c.failures.iter().map(|f| hidden.clean(f)).collect() });
    let (failed_at, reason, log_tail) = failure_columns(server.failure.as_ref(), hidden);
    step.execute(
        "UPDATE server SET display = :display, class = :class, upstream = :upstream,
             upstream_version = :upstream_version, build_binary = :binary,
             build_features = :features, build_rustc = :rustc, build_profile = :profile,
             build_size_bytes = :size_bytes, build_stripped_bytes = :stripped_bytes,
             build_sha256 = :sha256, build_ms = :build_ms, check_passed = :passed,
             check_total = :total, check_first_byte_us = :first_byte_us,
             check_failures = :failures, failure_step = :failed_at, failure_reason = :reason,
             failure_log_tail = :log_tail
         WHERE name = :name",
        named_params! {
            ":name": server.name,
            ":display": server.display,
            ":class": server.class,
            ":upstream": server.upstream,
            ":upstream_version": server.upstream_version,
            ":binary": build.and_then(|b| b.binary.as_deref()).map(|text| hidden.clean(text)),
            ":features": build.map(|b| json(&b.features)),
            ":rustc": build.and_then(|b| b.rustc.as_deref()),
            ":profile": build.and_then(|b| b.profile.as_deref()),
            ":size_bytes": build.and_then(|b| b.size_bytes),
            ":stripped_bytes": build.and_then(|b| b.stripped_bytes),
            ":sha256": build.and_then(|b| b.sha256.as_deref()),
            ":build_ms": build.map(|b| b.build_ms),
            ":passed": check.map(|c| c.passed),
            ":total": check.map(|c| c.total),
            ":first_byte_us": check.and_then(|c| c.first_byte_us),
            ":failures": failures.map(|f| json(&f)),
            ":failed_at": failed_at,
            ":reason": reason,
            ":log_tail": log_tail,
        },
    )?;
    if let Some(flags) = build.and_then(|build| build.flags.as_ref()) {
        put_flags(step, &server.name, flags, hidden)?;
    }
    if let Some((lost, sent)) = check.and_then(|c| c.lost_at_stop.zip(c.sent_at_stop)) {
        // A record of an older harness has no such table.
        step.execute_batch(AT_STOP)?;
        step.execute(
            "INSERT OR REPLACE INTO at_stop VALUES (?1, ?2, ?3)",
            params![server.name, lost, sent],
        )?;
    }
    Ok(())
}

/// Creates the table first, because an older harness's record lacks it.
fn put_flags(
    step: &Transaction<'_>,
    server: &str,
    flags: &BTreeMap<String, String>,
    hidden: &HiddenPaths,
) -> rusqlite::Result<()> {
    step.execute_batch(BUILD_FLAGS)?;
    let flags: BTreeMap<_, _> = flags
        .iter()
        .map(|(name, value)| (name, hidden.clean(value)))
        .collect();
    step.execute(
        "INSERT OR REPLACE INTO build_flags VALUES (?1, ?2)",
        params![server, json(&flags)],
    )
    .map(drop)
}

fn put_trial(step: &Transaction<'_>, trial: &Trial, hidden: &HiddenPaths) -> rusqlite::Result<()> {
    let (failed_at, reason, log_tail) = failure_columns(trial.failure.as_ref(), hidden);
    step.execute(
        "INSERT INTO trial (round, position, server, workload, stage, started_unix_ns,
             failure_step, failure_reason, failure_log_tail, first_error)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            trial.round,
            trial.position,
            trial.server,
            trial.workload,
            word(&trial.stage),
            trial.started_unix_ns,
            failed_at,
            reason,
            log_tail,
            trial.first_error.as_deref().map(|text| hidden.clean(text)),
        ],
    )?;
    let id = step.last_insert_rowid();
    let mut figure = step.prepare_cached("INSERT INTO figure VALUES (?1, ?2, ?3)")?;
    for (name, value) in trial.figures.iter().filter(|(_, value)| value.is_finite()) {
        figure.execute(params![id, name, value])?;
    }
    let mut error = step.prepare_cached("INSERT INTO error VALUES (?1, ?2, ?3)")?;
    for (kind, count) in &trial.errors {
        error.execute(params![id, kind, count])?;
    }
    let mut histogram = step.prepare_cached("INSERT INTO histogram VALUES (?1, ?2, ?3)")?;
    for (name, encoded) in &trial.histograms {
        histogram.execute(params![id, name, encoded.v2])?;
    }
    put_intervals(step, id, &trial.intervals)
}

fn put_intervals(step: &Transaction<'_>, id: i64, intervals: &[Interval]) -> rusqlite::Result<()> {
    let mut insert = step.prepare_cached(
        "INSERT INTO interval (trial_id, position, start_unix_ns, length_ns, requests, errors,
             p50_ns, p99_ns, jitter_ns, cpu_ns, rss_bytes, threads)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?;
    for (position, interval) in intervals.iter().enumerate() {
        insert.execute(params![
            id,
            position,
            interval.start_unix_ns,
            interval.length_ns,
            interval.requests,
            interval.errors,
            interval.p50_ns,
            interval.p99_ns,
            interval.jitter_ns.filter(|jitter| jitter.is_finite()),
            interval.cpu_ns,
            interval.rss_bytes,
            interval.threads,
        ])?;
    }
    Ok(())
}

type Text<'t> = Option<Cow<'t, str>>;

/// Step, reason and log; all NULL if there was no failure.
fn failure_columns<'f>(
    failure: Option<&'f Failure>,
    hidden: &HiddenPaths,
) -> (Option<String>, Text<'f>, Text<'f>) {
    (
        failure.map(|f| word(&f.step)),
        failure.map(|f| hidden.clean(&f.reason)),
        failure.map(|f| hidden.clean(&f.log_tail)),
    )
}

/// The name of an enumeration's value, as in `complete`.
fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        other => unreachable!("an enumeration without data is a string, not {other:?}"),
    }
}

fn json<T: Serialize + ?Sized>(list: &T) -> String {
    serde_json::to_string(list).expect("strings and numbers are JSON")
}
