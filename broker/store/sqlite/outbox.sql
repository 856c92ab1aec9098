-- name: due
-- From the longest due on, past those whose job has not ended and those for an origin that has its share.
SELECT webhooks.id, jobs.id, url, webhooks.state, tries, next_try_at, last_error, delivered_at
FROM webhooks INDEXED BY webhooks_waiting CROSS JOIN jobs ON jobs.n = job_n
WHERE webhooks.state = 'waiting' AND next_try_at <= :now AND finished_at IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM json_each(:but) WHERE substr(url, 1, length(value)) = value)
ORDER BY next_try_at, job_n LIMIT :limit;

-- name: note
-- Writes a delivery back, if it still is the one that was read.
UPDATE webhooks SET state = ?, tries = ?, next_try_at = ?, last_error = ?, delivered_at = ?
WHERE id = ? AND state = ? AND tries = ? AND next_try_at = ?;

-- name: find
SELECT webhooks.id, jobs.id, url, webhooks.state, tries, next_try_at, last_error, delivered_at
FROM webhooks JOIN jobs ON jobs.n = job_n WHERE webhooks.id = ?;

-- name: of_job
SELECT webhooks.id, jobs.id, url, webhooks.state, tries, next_try_at, last_error, delivered_at
FROM jobs JOIN webhooks ON job_n = jobs.n WHERE jobs.id = ?;

-- name: place
SELECT job_n FROM webhooks WHERE id = ?;
