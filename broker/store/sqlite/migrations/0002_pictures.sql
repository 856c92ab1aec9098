-- The pictures of an image job's result, in order: the result's own row is of all of them together.

CREATE TABLE pictures (
    job_n      INTEGER NOT NULL REFERENCES jobs (n) ON DELETE CASCADE,
    is_late    INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    sha256     TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    mime       TEXT NOT NULL,
    width      INTEGER NOT NULL,
    height     INTEGER NOT NULL,
    PRIMARY KEY (job_n, is_late, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX pictures_by_digest ON pictures (sha256);
