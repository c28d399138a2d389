-- run.sqlite, version 1. Described for readers in harness/docs/RECORD.md.
-- Lists (command, features, cpus, failures) are JSON arrays: read them with json_each().
-- NULL means: not known. It never stands for 0.

CREATE TABLE run (
    only_row            INTEGER PRIMARY KEY CHECK (only_row = 1),
    run_id              TEXT NOT NULL,
    started_at          TEXT NOT NULL,
    ended_at            TEXT,
    ended               TEXT NOT NULL CHECK (ended IN ('open', 'complete', 'interrupted')),
    harness_version     TEXT NOT NULL,
    revision            TEXT,
    command             TEXT NOT NULL CHECK (json_valid(command)),
    profile             TEXT NOT NULL,
    -- Decimal digits: it uses all 64 bits, of which INTEGER keeps one for the sign.
    seed                TEXT NOT NULL,
    rounds              INTEGER NOT NULL,
    connections         INTEGER NOT NULL,
    warmup_ms           INTEGER NOT NULL,
    peak_ms             INTEGER NOT NULL,
    paced_ms            INTEGER NOT NULL,
    timeout_ms          INTEGER NOT NULL,
    first_byte_limit_ms REAL NOT NULL,
    rate_source         TEXT NOT NULL
) STRICT;

CREATE TABLE workload (
    name       TEXT PRIMARY KEY,
    about      TEXT,
    rate_per_s REAL
) STRICT;

CREATE TABLE environment (
    only_row       INTEGER PRIMARY KEY CHECK (only_row = 1),
    cpu_model      TEXT NOT NULL,
    logical_cpus   INTEGER NOT NULL,
    physical_cores INTEGER NOT NULL,
    numa_nodes     INTEGER NOT NULL,
    memory_bytes   INTEGER NOT NULL,
    kernel         TEXT NOT NULL,
    rustc          TEXT NOT NULL,
    governor       TEXT,
    virtualisation TEXT,
    clock_source   TEXT,
    server_cpus    TEXT NOT NULL CHECK (json_valid(server_cpus)),
    driver_cpus    TEXT NOT NULL CHECK (json_valid(driver_cpus)),
    pinned         INTEGER NOT NULL CHECK (pinned IN (0, 1)),
    fingerprint    TEXT NOT NULL
) STRICT;

CREATE TABLE finding (
    position INTEGER PRIMARY KEY,
    id       TEXT NOT NULL,
    level    TEXT NOT NULL CHECK (level IN ('ok', 'warn', 'fail')),
    found    TEXT NOT NULL,
    why      TEXT NOT NULL,
    fix      TEXT
) STRICT;

CREATE TABLE server (
    position             INTEGER PRIMARY KEY,
    name                 TEXT NOT NULL UNIQUE,
    display              TEXT NOT NULL,
    class                TEXT NOT NULL,
    upstream             TEXT,
    upstream_version     TEXT,
    -- All build_ columns are NULL where it was not built.
    build_binary         TEXT,
    build_features       TEXT CHECK (build_features IS NULL OR json_valid(build_features)),
    build_rustc          TEXT,
    build_profile        TEXT,
    build_size_bytes     INTEGER,
    build_stripped_bytes INTEGER,
    build_sha256         TEXT,
    build_ms             INTEGER,
    -- All check_ columns are NULL where the referee could not ask it.
    check_passed         INTEGER,
    check_total          INTEGER,
    check_first_byte_us  REAL,
    check_failures       TEXT CHECK (check_failures IS NULL OR json_valid(check_failures)),
    -- All failure_ columns are NULL where it could be measured.
    failure_step         TEXT CHECK (failure_step IN ('build', 'boot', 'check', 'accept', 'drive', 'stop')),
    failure_reason       TEXT,
    failure_log_tail     TEXT
) STRICT;

CREATE TABLE trial (
    trial_id         INTEGER PRIMARY KEY,
    round            INTEGER NOT NULL,
    position         INTEGER NOT NULL UNIQUE,
    server           TEXT NOT NULL,
    workload         TEXT NOT NULL,
    stage            TEXT NOT NULL CHECK (stage IN ('peak', 'paced')),
    started_unix_ns  INTEGER NOT NULL,
    -- All failure_ columns are NULL where it was measured.
    failure_step     TEXT CHECK (failure_step IN ('build', 'boot', 'check', 'accept', 'drive', 'stop')),
    failure_reason   TEXT,
    failure_log_tail TEXT,
    first_error      TEXT,
    UNIQUE (server, workload, stage, round)
) STRICT;

CREATE TABLE figure (
    trial_id INTEGER NOT NULL REFERENCES trial (trial_id) ON DELETE CASCADE,
    name     TEXT NOT NULL,
    value    REAL NOT NULL,
    PRIMARY KEY (trial_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE error (
    trial_id INTEGER NOT NULL REFERENCES trial (trial_id) ON DELETE CASCADE,
    kind     TEXT NOT NULL,
    count    INTEGER NOT NULL,
    PRIMARY KEY (trial_id, kind)
) STRICT, WITHOUT ROWID;

-- v2: HdrHistogram's V2 format, not compressed; values are nanoseconds.
CREATE TABLE histogram (
    trial_id INTEGER NOT NULL REFERENCES trial (trial_id) ON DELETE CASCADE,
    name     TEXT NOT NULL,
    v2       BLOB NOT NULL,
    PRIMARY KEY (trial_id, name)
) STRICT;

CREATE TABLE interval (
    trial_id      INTEGER NOT NULL REFERENCES trial (trial_id) ON DELETE CASCADE,
    position      INTEGER NOT NULL,
    start_unix_ns INTEGER NOT NULL,
    length_ns     INTEGER NOT NULL,
    requests      INTEGER NOT NULL,
    errors        INTEGER NOT NULL,
    p50_ns        INTEGER,
    p99_ns        INTEGER,
    jitter_ns     REAL,
    cpu_ns        INTEGER,
    rss_bytes     INTEGER,
    threads       INTEGER,
    PRIMARY KEY (trial_id, position)
) STRICT, WITHOUT ROWID;

-- One line a figure, with what it belongs to.
CREATE VIEW trial_figure AS
SELECT t.trial_id, t.round, t.position, t.server, t.workload, t.stage,
       t.failure_step IS NOT NULL AS failed, f.name, f.value
FROM trial AS t JOIN figure AS f USING (trial_id);

-- One line a trial, with the figures most asked for beside each other.
CREATE VIEW trial_wide AS
SELECT t.trial_id, t.round, t.position, t.server, t.workload, t.stage,
       t.failure_step IS NOT NULL AS failed,
       max(f.value) FILTER (WHERE f.name = 'requests_per_s')     AS requests_per_s,
       max(f.value) FILTER (WHERE f.name = 'cpu_us_per_request') AS cpu_us_per_request,
       max(f.value) FILTER (WHERE f.name = 'latency_p50_us')     AS latency_p50_us,
       max(f.value) FILTER (WHERE f.name = 'latency_p99_us')     AS latency_p99_us,
       max(f.value) FILTER (WHERE f.name = 'latency_p999_us')    AS latency_p999_us,
       max(f.value) FILTER (WHERE f.name = 'first_byte_p99_us')  AS first_byte_p99_us,
       max(f.value) FILTER (WHERE f.name = 'jitter_us')          AS jitter_us,
       max(f.value) FILTER (WHERE f.name = 'rss_peak_bytes')     AS rss_peak_bytes,
       (SELECT sum(e.count) FROM error AS e WHERE e.trial_id = t.trial_id) AS errors
FROM trial AS t LEFT JOIN figure AS f USING (trial_id)
GROUP BY t.trial_id;

-- The time series in the units of the tables; server_cpus is CPU time per wall time.
CREATE VIEW interval_series AS
SELECT t.trial_id, t.round, t.server, t.workload, t.stage,
       (i.start_unix_ns - t.started_unix_ns) / 1e9 AS at_s,
       i.requests * 1e9 / nullif(i.length_ns, 0)   AS requests_per_s,
       i.errors,
       i.p50_ns / 1e3    AS latency_p50_us,
       i.p99_ns / 1e3    AS latency_p99_us,
       i.jitter_ns / 1e3 AS jitter_us,
       i.cpu_ns * 1.0 / nullif(i.length_ns, 0) AS server_cpus,
       i.rss_bytes, i.threads
FROM interval AS i JOIN trial AS t USING (trial_id);

-- What went wrong, servers and trials alike.
CREATE VIEW failure AS
SELECT name AS server, NULL AS workload, NULL AS stage, NULL AS round,
       failure_step AS step, failure_reason AS reason
FROM server WHERE failure_step IS NOT NULL
UNION ALL
SELECT server, workload, stage, round, failure_step, failure_reason
FROM trial WHERE failure_step IS NOT NULL;
