-- Who may call, and how many jobs each owner has made on a day.

CREATE TABLE keys (
    -- The order in which they were made.
    n            INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    scope        TEXT NOT NULL,
    owner        TEXT NOT NULL,
    label        TEXT NOT NULL,
    hash         TEXT NOT NULL,
    created_at   REAL NOT NULL,
    expires_at   REAL,
    revoked_at   REAL,
    last_used_at REAL,
    -- How long each use makes it last again.
    idle_seconds REAL,
    -- Per minute, open jobs, jobs a day, models: as JSON text.
    limits       TEXT NOT NULL
) STRICT;

CREATE TABLE usage (
    owner TEXT NOT NULL,
    -- Days since the beginning of 1970.
    day   INTEGER NOT NULL,
    jobs  INTEGER NOT NULL,
    PRIMARY KEY (owner, day)
) STRICT, WITHOUT ROWID;
