-- Tokens get names, limits and ends. Those that are there stay valid: admins, for all suites, without an end.
ALTER TABLE tokens ADD COLUMN name TEXT NOT NULL DEFAULT '';

-- The only suites it counts for, parted by blanks; NULL is all.
ALTER TABLE tokens ADD COLUMN suites TEXT;

ALTER TABLE tokens ADD COLUMN expires_at BIGINT;

ALTER TABLE tokens ADD COLUMN revoked_at BIGINT;

ALTER TABLE tokens ADD COLUMN last_used_at BIGINT;

-- Who may read it: public, devices.
ALTER TABLE suites ADD COLUMN access TEXT NOT NULL DEFAULT 'public';

-- `id` begins with the time in microseconds, in hex of fixed length, so its order is that of the changes.
CREATE TABLE audit_log (
    id TEXT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    token TEXT,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    remote_address TEXT NOT NULL,
    outcome TEXT NOT NULL
);
