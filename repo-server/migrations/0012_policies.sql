-- The highest number that a version of it ever had: none is given twice.
ALTER TABLE policies ADD COLUMN last_version BIGINT NOT NULL DEFAULT 1;

-- One row. It is raised first in every change of policies and attachments, so that changes wait for one another and
-- every server process learns of them.
CREATE TABLE policy_generation (value BIGINT NOT NULL);

INSERT INTO policy_generation (value) VALUES (0);
