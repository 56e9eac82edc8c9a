-- When the suite was frozen as a snapshot of another; 0: it changes as any other.
ALTER TABLE suites ADD COLUMN frozen_at BIGINT NOT NULL DEFAULT 0;
