-- name: all
SELECT id, scope, owner, label, hash, created_at, expires_at, revoked_at, last_used_at, limits
FROM keys ORDER BY n;

-- name: put
INSERT INTO keys VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    label = excluded.label, expires_at = excluded.expires_at, revoked_at = excluded.revoked_at,
    last_used_at = excluded.last_used_at, limits = excluded.limits;
