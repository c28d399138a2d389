//! Reads a whole record from one consistent snapshot.

use std::collections::BTreeMap;
use std::mem::take;

use rusqlite::types::FromSql;
use rusqlite::{OptionalExtension as _, Row, Transaction};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Store, StoreError};
use record::{
    Added, Build, Check, Engine, Environment, Failure, Figures, Finding, Histogram, Interval,
    Record, Run, SCHEMA_VERSION, Schedule, Server, Trial,
};

/// Errors that don't know the file.
enum Fault {
    Sqlite(rusqlite::Error),
    /// There is no run in it.
    Empty,
    /// A value that no harness writes, and where.
    Damaged(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

type Read<T> = Result<T, Fault>;

impl Store {
    /// Reads everything stored so far, as one snapshot; another process may be writing.
    ///
    /// # Errors
    /// [`StoreError::NotARecord`] if the run itself was never stored, [`StoreError::Damaged`] if a value is
    /// invalid.
    pub fn load(&mut self) -> Result<Record, StoreError> {
        let read = match self.connection.transaction() {
            Ok(moment) => read_record(&moment),
            Err(error) => Err(error.into()),
        };
        read.map_err(|fault| match fault {
            Fault::Sqlite(source) => self.error("read the record", source),
            Fault::Empty => StoreError::NotARecord {
                path: self.path.clone(),
            },
            Fault::Damaged(what) => StoreError::Damaged {
                path: self.path.clone(),
                what,
            },
        })
    }
}

fn read_record(moment: &Transaction<'_>) -> Read<Record> {
    Ok(Record {
        schema_version: SCHEMA_VERSION,
        run: read_run(moment)?,
        environment: read_environment(moment)?,
        servers: read_all(moment, "SELECT * FROM server ORDER BY position", |row| {
            read_server(moment, row)
        })?,
        trials: read_trials(moment)?,
        protocol: None,
        costs: None,
        micro: None,
        added: Added::default(),
    })
}

fn schedule(row: &Row<'_>) -> Read<Schedule> {
    let name: String = row.get("schedule")?;
    if name == Schedule::Isolated.name() {
        return Ok(Schedule::Isolated);
    }
    Ok(Schedule::Interleaved {
        slice_ms: row.get("slice_ms")?,
        lead_in_ms: row.get("lead_in_ms")?,
    })
}

fn read_run(moment: &Transaction<'_>) -> Read<Run> {
    let (mut rates_per_s, mut workloads) = (BTreeMap::new(), BTreeMap::new());
    let mut requests_sha256 = BTreeMap::new();
    read_all(moment, "SELECT * FROM workload", |row| {
        let name: String = row.get("name")?;
        if let Some(about) = row.get("about")? {
            workloads.insert(name.clone(), about);
        }
        if let Some(sha256) = row.get("requests_sha256")? {
            requests_sha256.insert(name.clone(), sha256);
        }
        if let Some(rate) = row.get("rate_per_s")? {
            rates_per_s.insert(name, rate);
        }
        Ok(())
    })?;
    let run = read_all(moment, "SELECT * FROM run", |row| {
        Ok(Run {
            id: row.get("run_id")?,
            started_at: row.get("started_at")?,
            ended_at: row.get("ended_at")?,
            ended: enumeration(row, "ended")?,
            harness_version: row.get("harness_version")?,
            revision: row.get("revision")?,
            command: list(row, "command")?,
            profile: row.get("profile")?,
            seed: row
                .get::<_, String>("seed")?
                .parse()
                .map_err(|_| damaged("seed"))?,
            rounds: row.get("rounds")?,
            connections: row.get("connections")?,
            engine: Engine(row.get("engine")?),
            schedule: schedule(row)?,
            warmup_ms: row.get("warmup_ms")?,
            peak_ms: row.get("peak_ms")?,
            paced_ms: row.get("paced_ms")?,
            timeout_ms: row.get("timeout_ms")?,
            first_byte_limit_ms: row.get("first_byte_limit_ms")?,
            rates_per_s: take(&mut rates_per_s),
            rate_source: row.get("rate_source")?,
            workloads: take(&mut workloads),
            requests_sha256: take(&mut requests_sha256),
            entries: list(row, "entries")?,
            stages: list(row, "stages")?,
            harness_sha256: row.get("harness_sha256")?,
            ready_timeout_ms: row.get("ready_timeout_ms")?,
            precision_ratio: row.get("precision_ratio")?,
            budget_ms: row.get("budget_ms")?,
            stopped_by: optional(row, "stopped_by")?,
            resumed_at: list(row, "resumed_at")?,
        })
    })?;
    run.into_iter().next().ok_or(Fault::Empty)
}

/// The default if a run was killed before its environment was stored.
fn read_environment(moment: &Transaction<'_>) -> Read<Environment> {
    let found = read_all(moment, "SELECT * FROM environment", |row| {
        Ok(Environment {
            cpu_model: row.get("cpu_model")?,
            logical_cpus: row.get("logical_cpus")?,
            physical_cores: row.get("physical_cores")?,
            numa_nodes: row.get("numa_nodes")?,
            memory_bytes: row.get("memory_bytes")?,
            kernel: row.get("kernel")?,
            rustc: row.get("rustc")?,
            governor: row.get("governor")?,
            virtualisation: row.get("virtualisation")?,
            clock_source: row.get("clock_source")?,
            server_cpus: list(row, "server_cpus")?,
            driver_cpus: list(row, "driver_cpus")?,
            pinned: row.get("pinned")?,
            findings: Vec::new(),
            fingerprint: row.get("fingerprint")?,
        })
    })?;
    let findings = read_all(moment, "SELECT * FROM finding ORDER BY position", |row| {
        Ok(Finding {
            id: row.get("id")?,
            level: enumeration(row, "level")?,
            found: row.get("found")?,
            why: row.get("why")?,
            fix: row.get("fix")?,
        })
    })?;
    Ok(Environment {
        findings,
        ..found.into_iter().next().unwrap_or_default()
    })
}

fn read_server(moment: &Transaction<'_>, row: &Row<'_>) -> Read<Server> {
    let name: String = row.get("name")?;
    let flags = read_flags(moment, &name)?;
    Ok(Server {
        display: row.get("display")?,
        class: row.get("class")?,
        upstream: row.get("upstream")?,
        upstream_version: row.get("upstream_version")?,
        build: read_build(row)?.map(|build| Build { flags, ..build }),
        check: read_check(moment, row, &name)?,
        name,
        failure: read_failure(row)?,
    })
}

fn read_build(row: &Row<'_>) -> Read<Option<Build>> {
    let Some(build_ms) = row.get("build_ms")? else {
        return Ok(None);
    };
    Ok(Some(Build {
        binary: row.get("build_binary")?,
        features: list(row, "build_features")?,
        rustc: row.get("build_rustc")?,
        profile: row.get("build_profile")?,
        flags: None,
        size_bytes: row.get("build_size_bytes")?,
        stripped_bytes: row.get("build_stripped_bytes")?,
        sha256: row.get("build_sha256")?,
        build_ms,
    }))
}

/// The table was added after version 4, so older records lack it.
fn read_flags(moment: &Transaction<'_>, server: &str) -> Read<Option<BTreeMap<String, String>>> {
    if !moment.table_exists(None, "build_flags")? {
        return Ok(None);
    }
    let sql = "SELECT flags FROM build_flags WHERE server = ?1";
    let text: Option<String> = moment
        .query_row(sql, [server], |row| row.get(0))
        .optional()?;
    text.map(|text| from_json(&text).ok_or_else(|| damaged("flags")))
        .transpose()
}

fn read_check(moment: &Transaction<'_>, row: &Row<'_>, server: &str) -> Read<Option<Check>> {
    let Some(total) = row.get("check_total")? else {
        return Ok(None);
    };
    let (lost_at_stop, sent_at_stop) = read_at_stop(moment, server)?.unzip();
    Ok(Some(Check {
        passed: row.get("check_passed")?,
        total,
        first_byte_us: row.get("check_first_byte_us")?,
        failures: list(row, "check_failures")?,
        lost_at_stop,
        sent_at_stop,
    }))
}

/// The table is younger than version 4, and absent from records made before it.
fn read_at_stop(moment: &Transaction<'_>, server: &str) -> Read<Option<(u32, u32)>> {
    if !moment.table_exists(None, "at_stop")? {
        return Ok(None);
    }
    let sql = "SELECT lost, sent FROM at_stop WHERE server = ?1";
    let row = moment.query_row(sql, [server], |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(row.optional()?)
}

fn read_failure(row: &Row<'_>) -> Read<Option<Failure>> {
    if row.get::<_, Option<String>>("failure_step")?.is_none() {
        return Ok(None);
    }
    Ok(Some(Failure {
        step: enumeration(row, "failure_step")?,
        reason: row.get("failure_reason")?,
        log_tail: row.get("failure_log_tail")?,
    }))
}

fn read_trials(moment: &Transaction<'_>) -> Read<Vec<Trial>> {
    let sql = "SELECT * FROM trial ORDER BY position";
    let mut trials = read_all(moment, sql, |row| {
        let trial = Trial {
            round: row.get("round")?,
            position: row.get("position")?,
            server: row.get("server")?,
            workload: row.get("workload")?,
            stage: enumeration(row, "stage")?,
            started_unix_ns: row.get("started_unix_ns")?,
            failure: read_failure(row)?,
            figures: Figures::new(),
            errors: BTreeMap::new(),
            first_error: row.get("first_error")?,
            histograms: BTreeMap::new(),
            intervals: Vec::new(),
        };
        Ok((row.get::<_, i64>("trial_id")?, trial))
    })?;
    for (id, trial) in &mut trials {
        let figures = "SELECT name, value FROM figure WHERE trial_id = ?1";
        let errors = "SELECT kind, count FROM error WHERE trial_id = ?1";
        let histograms = "SELECT name, v2 FROM histogram WHERE trial_id = ?1";
        trial.figures = read_map(moment, figures, *id)?;
        trial.errors = read_map(moment, errors, *id)?;
        trial.histograms = read_map(moment, histograms, *id)?
            .into_iter()
            .map(|(name, v2)| (name, Histogram { v2 }))
            .collect();
        trial.intervals = read_intervals(moment, *id)?;
    }
    Ok(trials.into_iter().map(|(_, trial)| trial).collect())
}

fn read_intervals(moment: &Transaction<'_>, trial: i64) -> Read<Vec<Interval>> {
    let sql = "SELECT * FROM interval WHERE trial_id = ?1 ORDER BY position";
    let mut statement = moment.prepare_cached(sql)?;
    let mut rows = statement.query([trial])?;
    let mut intervals = Vec::new();
    while let Some(row) = rows.next()? {
        intervals.push(Interval {
            start_unix_ns: row.get("start_unix_ns")?,
            length_ns: row.get("length_ns")?,
            requests: row.get("requests")?,
            errors: row.get("errors")?,
            p50_ns: row.get("p50_ns")?,
            p99_ns: row.get("p99_ns")?,
            jitter_ns: row.get("jitter_ns")?,
            cpu_ns: row.get("cpu_ns")?,
            rss_bytes: row.get("rss_bytes")?,
            threads: row.get("threads")?,
        });
    }
    Ok(intervals)
}

fn read_all<T>(
    moment: &Transaction<'_>,
    sql: &str,
    mut parse: impl FnMut(&Row<'_>) -> Read<T>,
) -> Read<Vec<T>> {
    let mut statement = moment.prepare(sql)?;
    let mut rows = statement.query(())?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(parse(row)?);
    }
    Ok(all)
}

/// A trial's names and values.
fn read_map<V: FromSql>(
    moment: &Transaction<'_>,
    sql: &str,
    trial: i64,
) -> Read<BTreeMap<String, V>> {
    let mut statement = moment.prepare_cached(sql)?;
    let pairs = statement.query_map([trial], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(pairs.collect::<Result<_, _>>()?)
}

fn enumeration<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> Read<T> {
    from_word(row.get(column)?).ok_or_else(|| damaged(column))
}

fn optional<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> Read<Option<T>> {
    let word: Option<String> = row.get(column)?;
    word.map(|word| from_word(word).ok_or_else(|| damaged(column)))
        .transpose()
}

fn list<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> Read<Vec<T>> {
    from_json(&row.get::<_, String>(column)?).ok_or_else(|| damaged(column))
}

fn damaged(column: &str) -> Fault {
    Fault::Damaged(format!("invalid value in column {column}"))
}

/// The value of an enumeration with this name, if there is one.
fn from_word<T: DeserializeOwned>(word: String) -> Option<T> {
    serde_json::from_value(Value::String(word)).ok()
}

/// A list or map from JSON, or `None` if it is something else.
fn from_json<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}
