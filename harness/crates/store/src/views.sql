-- The views of run.sqlite, for a person at the sqlite3 prompt. Described in harness/docs/RECORD.md, used in
-- harness/docs/QUERIES.md. They hold no data and aren't part of the version: opening a record updates them
-- (schema.rs). Each ends in a semicolon at the end of a line.

-- One row per figure, with its trial.
CREATE VIEW trial_figure AS
SELECT t.trial_id, t.round, t.position, t.server, t.workload, t.stage,
       t.failure_step IS NOT NULL AS failed, f.name, f.value
FROM trial AS t JOIN figure AS f USING (trial_id);

-- One row per trial, with the most used figures as columns (those with `view` in harness/crates/record/src/figure.rs).
CREATE VIEW trial_wide AS
SELECT t.trial_id, t.round, t.position, t.server, t.workload, t.stage, t.started_unix_ns,
       t.failure_step IS NOT NULL AS failed,
       {figures},
       (SELECT sum(e.count) FROM error AS e WHERE e.trial_id = t.trial_id) AS errors
FROM trial AS t LEFT JOIN figure AS f USING (trial_id)
GROUP BY t.trial_id;

-- The time series in the units of the tables; server_cpus is CPU time per wall time.
CREATE VIEW interval_series AS
SELECT t.trial_id, t.round, t.server, t.workload, t.stage,
       i.position, i.start_unix_ns, i.length_ns,
       (i.start_unix_ns - t.started_unix_ns) / 1e9 AS at_s,
       i.requests,
       i.requests * 1e9 / nullif(i.length_ns, 0)   AS requests_per_s,
       i.errors,
       i.p50_ns / 1e3    AS latency_p50_us,
       i.p99_ns / 1e3    AS latency_p99_us,
       i.jitter_ns / 1e3 AS jitter_us,
       i.cpu_ns * 1.0 / nullif(i.length_ns, 0)     AS server_cpus,
       i.cpu_ns / 1e3 / nullif(i.requests, 0)      AS cpu_us_per_request,
       i.rss_bytes, i.threads
FROM interval AS i JOIN trial AS t USING (trial_id);

-- One row per trial: changes from its first interval to its last. rate_trend_per_s is the least-squares slope:
-- the change of the rate per second.
CREATE VIEW trial_trend AS
SELECT trial_id, round, server, workload, stage,
       count(*)            AS intervals,
       min(requests_per_s) AS requests_per_s_least,
       max(requests_per_s) AS requests_per_s_most,
       max(latency_p99_us) AS latency_p99_us_worst,
       (count(*) * sum(at_s * requests_per_s) - sum(at_s) * sum(requests_per_s))
           / nullif(count(*) * sum(at_s * at_s) - sum(at_s) * sum(at_s), 0) AS rate_trend_per_s,
       max(rss_bytes) FILTER (WHERE position = last) - max(rss_bytes) FILTER (WHERE position = first)
           AS rss_growth_bytes,
       min(threads) AS threads_least,
       max(threads) AS threads_most
FROM (SELECT *, min(position) OVER own AS first, max(position) OVER own AS last
      FROM interval_series WINDOW own AS (PARTITION BY trial_id))
GROUP BY trial_id;

-- Each figure's median over the rounds of an entry, without failed trials.
CREATE VIEW figure_median AS
SELECT server, workload, stage, name, n, avg(value) AS median
FROM (SELECT server, workload, stage, name, value,
             row_number() OVER (PARTITION BY server, workload, stage, name ORDER BY value) AS place,
             count(*) OVER (PARTITION BY server, workload, stage, name) AS n
      FROM trial_figure WHERE NOT failed)
WHERE place IN ((n + 1) / 2, (n + 2) / 2)
GROUP BY server, workload, stage, name;

-- Each figure of each trial relative to that median.
CREATE VIEW figure_ratio AS
SELECT f.trial_id, f.round, f.position, f.server, f.workload, f.stage, f.name, f.value, m.n,
       m.median, f.value / nullif(m.median, 0) AS ratio
FROM trial_figure AS f JOIN figure_median AS m USING (server, workload, stage, name)
WHERE NOT f.failed;

-- Failures of servers and trials.
CREATE VIEW failure AS
SELECT name AS server, NULL AS workload, NULL AS stage, NULL AS round,
       failure_step AS step, failure_reason AS reason
FROM server WHERE failure_step IS NOT NULL
UNION ALL
SELECT server, workload, stage, round, failure_step, failure_reason
FROM trial WHERE failure_step IS NOT NULL;
