-- run.sqlite, version 2: data to resume a run, and its planned length. Lists (entries, stages,
-- resumed_at) are JSON arrays. A run stored by version 1 has empty ones.

ALTER TABLE run ADD COLUMN entries TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(entries));
ALTER TABLE run ADD COLUMN stages TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(stages));
ALTER TABLE run ADD COLUMN harness_sha256 TEXT;
ALTER TABLE run ADD COLUMN ready_timeout_ms INTEGER;
-- NULL where the number of rounds was fixed.
ALTER TABLE run ADD COLUMN precision_ratio REAL;
ALTER TABLE run ADD COLUMN budget_ms INTEGER;
-- NULL while rounds go on, and after an interruption.
ALTER TABLE run ADD COLUMN stopped_by TEXT CHECK (stopped_by IN ('rounds', 'precision', 'budget'));
ALTER TABLE run ADD COLUMN resumed_at TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(resumed_at));

-- Over the requests of the first round, so that a resumed run sends the same ones.
ALTER TABLE workload ADD COLUMN requests_sha256 TEXT;
