-- run.sqlite, version 4: how the entries of a round share the time. In earlier runs each ran alone.

ALTER TABLE run ADD COLUMN schedule TEXT NOT NULL DEFAULT 'isolated'
    CHECK (schedule IN ('isolated', 'interleaved'));
-- NULL in an isolated run.
ALTER TABLE run ADD COLUMN slice_ms REAL;
ALTER TABLE run ADD COLUMN lead_in_ms REAL;
