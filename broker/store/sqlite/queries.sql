-- name: add_job
-- Keeps a new job.
INSERT INTO jobs VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
                         ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: add_payload
-- What the worker will need.
INSERT INTO payloads VALUES (?, ?, ?, ?, ?);

-- name: known_request
-- The job that a request of this name has made, if it is still there.
SELECT request_keys.digest, request_keys.created_at AS known_at, jobs.*
FROM request_keys JOIN jobs ON jobs.n = request_keys.job_n
WHERE request_keys.name = ? AND request_keys.owner = ?;

-- name: job_of_request
SELECT jobs.id FROM request_keys JOIN jobs ON jobs.n = request_keys.job_n
WHERE request_keys.name = ? AND request_keys.owner = ?;

-- name: know_request
INSERT OR REPLACE INTO request_keys VALUES (NULL, ?, ?, ?, ?, ?);

-- name: prune_request_keys
DELETE FROM request_keys
WHERE n IN (SELECT n FROM request_keys ORDER BY n LIMIT :limit) AND created_at < :before;

-- name: usage
SELECT jobs FROM usage WHERE owner = ? AND day = ?;

-- name: forget_usage
DELETE FROM usage WHERE owner = ? AND day < ?;

-- name: use
INSERT INTO usage VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET jobs = jobs + 1;

-- name: add_webhook
INSERT INTO webhooks VALUES (?, ?, ?, 'waiting', 0, 0, NULL, NULL);

-- name: claim
-- Hands out the first ready job of one kind. A job kept for another worker is passed over.
UPDATE jobs
SET state = 'processing', attempt = attempt + 1, ready_at = NULL, waiting_reason = NULL,
    reserved_for = NULL, reserved_until = NULL, next_seq = 0,
    started_at = coalesce(started_at, :claimed_at),
    token_hash = :token_hash, worker_id = :worker_id, claimed_at = :claimed_at,
    confirmed_at = :confirmed_at, lease_expires_at = :expires_at, advanced_at = :advanced_at,
    phase = :phase, progress = :progress, is_legacy = :is_legacy, deadline_at = :deadline_at
WHERE n = (
    SELECT n FROM jobs INDEXED BY jobs_ready
    WHERE state = 'pending' AND ready_at IS NULL AND kind = :kind
      AND (reserved_for IS NULL OR reserved_for = :worker_id OR reserved_until <= :claimed_at)
    ORDER BY turn LIMIT 1
)
RETURNING *;

-- name: payload
SELECT prompt, request, options, inputs FROM payloads WHERE job_n = ?;

-- name: payload_of
SELECT prompt, request, options, inputs FROM payloads
WHERE job_n = (SELECT n FROM jobs WHERE id = ?);

-- name: job
SELECT * FROM jobs WHERE id = ?;

-- name: save_job
-- Writes a changed job back, if it still is the one that was read: same state, attempt and lease.
UPDATE jobs
SET state = ?, turn = ?, ready_at = ?, queue_deadline_at = ?, deadline_at = ?, losses = ?,
    on_lost = ?, submitted_at = ?, evidence = ?, reserved_for = ?, reserved_until = ?, next_seq = ?,
    waiting_reason = ?, error_code = ?, error_message = ?, finished_at = ?,
    token_hash = ?, worker_id = ?, claimed_at = ?, confirmed_at = ?, lease_expires_at = ?,
    advanced_at = ?, phase = ?, progress = ?, is_legacy = ?
WHERE n = ? AND state = ? AND attempt = ? AND token_hash IS ?;

-- name: add_attempt
INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: attempt_with
SELECT * FROM attempts WHERE job_n = ? AND token_hash = ?;

-- name: last_attempt
SELECT * FROM attempts WHERE job_n = ? ORDER BY number DESC LIMIT 1;

-- name: failed_with
SELECT 1 FROM attempts WHERE job_n = ? AND failure = ? LIMIT 1;

-- name: attempts
SELECT * FROM attempts WHERE job_n = (SELECT n FROM jobs WHERE id = ?) ORDER BY number;

-- name: add_chunk
INSERT INTO chunks VALUES (?, ?, ?, ?, ?);

-- name: chunks_after
SELECT seq, kind, delta FROM chunks WHERE job_n = ? AND attempt = ? AND seq > ? ORDER BY seq;

-- name: chunks_of
SELECT seq, kind, delta FROM chunks
WHERE job_n = (SELECT n FROM jobs WHERE id = ?) AND attempt = ? AND seq > ? ORDER BY seq;

-- name: add_result
INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (job_n, is_late) DO NOTHING;

-- name: keep_late
-- What came last takes the place of a part of an answer that had been kept.
INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: add_picture
INSERT INTO pictures VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: pictures
SELECT is_late, sha256, size_bytes, mime, width, height FROM pictures
WHERE job_n = ? ORDER BY is_late, number;

-- name: results
SELECT is_late, sha256, size_bytes, attempt, finished_at, duration_seconds, width, height, text,
       reasoning, finish_reason, removed_at
FROM results WHERE job_n = ?;

-- name: counts
SELECT kind, state, sum(n) FROM counts WHERE :owner IS NULL OR owner = :owner GROUP BY kind, state;

-- name: due
SELECT id FROM jobs INDEXED BY jobs_due
WHERE state IN ('pending', 'processing') AND deadline_at <= ? ORDER BY deadline_at LIMIT ?;

-- name: ripen
-- Delayed jobs whose moment has come are ready in their old place.
UPDATE jobs SET ready_at = NULL
WHERE state = 'pending' AND ready_at IS NOT NULL AND ready_at <= ?;

-- name: is_ready
SELECT 1 FROM jobs INDEXED BY jobs_ready
WHERE state = 'pending' AND ready_at IS NULL AND kind = ? LIMIT 1;

-- name: under_way
SELECT * FROM jobs INDEXED BY jobs_due
WHERE state IN ('pending', 'processing') AND deadline_at <= 9e999
  AND (state = 'processing' OR submitted_at IS NOT NULL);

-- name: same_file
SELECT 1 FROM results
WHERE text IS NULL AND sha256 = :sha256 AND finished_at >= :since
  AND job_n IS NOT (SELECT n FROM jobs WHERE id = :but)
UNION ALL
SELECT 1 FROM pictures JOIN results USING (job_n, is_late)
WHERE pictures.sha256 = :sha256 AND finished_at >= :since
  AND job_n IS NOT (SELECT n FROM jobs WHERE id = :but)
LIMIT 1;

-- name: films
SELECT jobs.* FROM results INDEXED BY results_films JOIN jobs ON jobs.n = results.job_n
WHERE text IS NULL AND removed_at IS NULL
  AND results.finished_at < coalesce(:before, 9e999)
ORDER BY results.finished_at LIMIT :limit;

-- name: forget_film
UPDATE results SET removed_at = ?
WHERE job_n = (SELECT n FROM jobs WHERE id = ?) AND text IS NULL AND removed_at IS NULL;

-- name: delete_job
DELETE FROM jobs WHERE id = ? AND state <> 'processing' RETURNING *;

-- name: streamed_and_ended
-- Reads the chunks, which are few, and not the jobs, which are many.
SELECT DISTINCT chunks.job_n FROM chunks JOIN jobs ON jobs.n = chunks.job_n
WHERE jobs.finished_at < ? LIMIT ?;

-- name: drop_chunks
DELETE FROM chunks WHERE job_n = ?;

-- name: old_jobs
-- The first to have arrived among those that ended; whether they are old enough, the caller looks.
SELECT id, finished_at FROM jobs INDEXED BY jobs_ended
WHERE state = ? AND state IN ('completed', 'failed', 'cancelled') ORDER BY n LIMIT ?;

-- name: tally
INSERT INTO counts VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n;
