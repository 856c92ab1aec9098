-- name: all
SELECT id, scope, owner, label, hash, created_at, expires_at, revoked_at, last_used_at, idle_seconds, limits
FROM keys ORDER BY n;

-- name: put
INSERT INTO keys VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    expires_at = excluded.expires_at, idle_seconds = excluded.idle_seconds,
    -- What another process has revoked meanwhile stays revoked.
    revoked_at = coalesce(revoked_at, excluded.revoked_at);

-- name: note_use
UPDATE keys SET last_used_at = :at, expires_at = max(expires_at, coalesce(:at + idle_seconds, expires_at))
WHERE id = :id AND revoked_at IS NULL;

-- name: forget
DELETE FROM keys WHERE id = ?;
