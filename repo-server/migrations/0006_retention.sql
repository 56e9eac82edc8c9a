-- Versions of a package that a suite keeps, and for how many days it keeps older ones; 0: all, for ever.
ALTER TABLE suites ADD COLUMN keep_versions BIGINT NOT NULL DEFAULT 0;
ALTER TABLE suites ADD COLUMN keep_days BIGINT NOT NULL DEFAULT 0;

-- Since when no suite is known to hold it; 0: one does, or nobody has looked yet.
ALTER TABLE packages ADD COLUMN unlisted_at BIGINT NOT NULL DEFAULT 0;
