-- name: jobs
-- How many there are; the creation of the newest; how many the kept counts tell of.
SELECT (SELECT count(*) FROM jobs),
       (SELECT created_at FROM jobs ORDER BY n DESC LIMIT 1),
       (SELECT coalesce(sum(n), 0) FROM counts);

-- name: open_jobs
-- Those that have not ended, and the names of the images they were given.
SELECT id, state, inputs FROM jobs JOIN payloads ON job_n = n
WHERE state IN ('pending', 'processing') ORDER BY n;

-- name: media
-- Films and sets of pictures that have not been pruned.
SELECT id, is_late FROM results JOIN jobs ON job_n = n WHERE text IS NULL AND removed_at IS NULL;
