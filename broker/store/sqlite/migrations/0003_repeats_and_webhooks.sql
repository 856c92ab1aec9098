-- By what a request is known, so that its repeat finds the job that it made; and whom to tell when a job has ended.

CREATE TABLE request_keys (
    -- The order of arrival: the oldest are read off the beginning.
    n          INTEGER PRIMARY KEY,
    owner      TEXT NOT NULL,
    name       TEXT NOT NULL,
    digest     TEXT NOT NULL,
    -- Names a job or one that has been deleted: deleting a job need not look for its keys.
    job_n      INTEGER NOT NULL,
    created_at REAL NOT NULL
) STRICT;

CREATE UNIQUE INDEX request_keys_by_name ON request_keys (name, owner);

CREATE TABLE webhooks (
    job_n        INTEGER PRIMARY KEY REFERENCES jobs (n) ON DELETE CASCADE,
    id           TEXT NOT NULL UNIQUE,
    url          TEXT NOT NULL,
    -- waiting (for its job's end, or for its next try), delivered or dead.
    state        TEXT NOT NULL,
    tries        INTEGER NOT NULL,
    next_try_at  REAL NOT NULL,
    last_error   TEXT,
    delivered_at REAL
) STRICT;

CREATE INDEX webhooks_waiting ON webhooks (next_try_at) WHERE state = 'waiting';
CREATE INDEX webhooks_dead ON webhooks (job_n) WHERE state = 'dead';
