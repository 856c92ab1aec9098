-- Jobs, what they need, what they left, and the attempts in between. Moments are Unix seconds.

CREATE TABLE jobs (
    -- The order of arrival. What belongs to a job carries this number, so that it is appended, not sown.
    n                 INTEGER PRIMARY KEY,
    id                TEXT NOT NULL UNIQUE,
    owner             TEXT NOT NULL,
    kind              TEXT NOT NULL,
    model             TEXT NOT NULL,
    state             TEXT NOT NULL,
    priority          INTEGER NOT NULL,
    on_lost           TEXT NOT NULL,
    is_streaming      INTEGER NOT NULL,
    retry_of          TEXT,
    created_at        REAL NOT NULL,
    turn              REAL NOT NULL,
    ready_at          REAL,
    queue_deadline_at REAL NOT NULL,
    deadline_at       REAL NOT NULL,
    attempt           INTEGER NOT NULL,
    losses            INTEGER NOT NULL,
    submitted_at      REAL,
    evidence          TEXT,
    reserved_for      TEXT,
    reserved_until    REAL,
    next_seq          INTEGER NOT NULL,
    waiting_reason    TEXT,
    error_code        TEXT,
    error_message     TEXT,
    started_at        REAL,
    finished_at       REAL,
    -- The lease: all of these or none.
    token_hash        TEXT,
    worker_id         TEXT,
    claimed_at        REAL,
    confirmed_at      REAL,
    lease_expires_at  REAL,
    advanced_at       REAL,
    phase             TEXT,
    progress          INTEGER,
    is_legacy         INTEGER
) STRICT;

-- The claim reads the first entry of this index, however long the table is.
CREATE INDEX jobs_ready ON jobs (kind, turn) WHERE state = 'pending' AND ready_at IS NULL;
CREATE INDEX jobs_delayed ON jobs (ready_at) WHERE state = 'pending' AND ready_at IS NOT NULL;
CREATE INDEX jobs_due ON jobs (deadline_at) WHERE state IN ('pending', 'processing');
-- Each entry ends in the job's number, so this is also their order of arrival.
CREATE INDEX jobs_ended ON jobs (state) WHERE state IN ('completed', 'failed', 'cancelled');

CREATE TABLE payloads (
    job_n   INTEGER PRIMARY KEY REFERENCES jobs (n) ON DELETE CASCADE,
    prompt  TEXT NOT NULL,
    request TEXT,
    options TEXT,
    inputs  TEXT NOT NULL
) STRICT;

CREATE TABLE attempts (
    job_n      INTEGER NOT NULL REFERENCES jobs (n) ON DELETE CASCADE,
    number     INTEGER NOT NULL,
    worker_id  TEXT NOT NULL,
    token_hash TEXT NOT NULL,
    claimed_at REAL NOT NULL,
    ended_at   REAL NOT NULL,
    phase      TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    failure    TEXT,
    detail     TEXT,
    PRIMARY KEY (job_n, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE chunks (
    job_n   INTEGER NOT NULL REFERENCES jobs (n) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    delta   TEXT NOT NULL,
    PRIMARY KEY (job_n, attempt, seq)
) STRICT, WITHOUT ROWID;

-- What completed jobs left, and (is_late = 1) what came after a job had ended.
CREATE TABLE results (
    job_n            INTEGER NOT NULL REFERENCES jobs (n) ON DELETE CASCADE,
    is_late          INTEGER NOT NULL,
    sha256           TEXT NOT NULL,
    size_bytes       INTEGER NOT NULL,
    attempt          INTEGER NOT NULL,
    finished_at      REAL NOT NULL,
    duration_seconds REAL,
    width            INTEGER,
    height           INTEGER,
    text             TEXT,
    reasoning        TEXT,
    finish_reason    TEXT,
    removed_at       REAL,
    PRIMARY KEY (job_n, is_late)
) STRICT, WITHOUT ROWID;

CREATE INDEX results_films ON results (finished_at) WHERE text IS NULL AND removed_at IS NULL;
CREATE INDEX results_by_digest ON results (sha256) WHERE text IS NULL;

-- Kept by the writer, once a transaction, because counting a million rows takes a fifth of a second.
CREATE TABLE counts (
    owner TEXT NOT NULL,
    kind  TEXT NOT NULL,
    state TEXT NOT NULL,
    n     INTEGER NOT NULL,
    PRIMARY KEY (owner, kind, state)
) STRICT, WITHOUT ROWID;
