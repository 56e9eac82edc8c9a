-- Index files are kept in blocks. TEXT and BIGINT only; times are seconds since 1970.

ALTER TABLE suite_packages ADD COLUMN component TEXT NOT NULL DEFAULT 'main';
-- Phased-Update-Percentage; 100: for everybody.
ALTER TABLE suite_packages ADD COLUMN phased BIGINT NOT NULL DEFAULT 100;

-- The paths of the files that a package installs, one on each line.
CREATE TABLE package_contents (
    sha256 TEXT NOT NULL PRIMARY KEY REFERENCES packages (sha256),
    paths TEXT NOT NULL
);

-- The blocks that each part of a generation's indexes is made of, in their order.
CREATE TABLE generation_blocks (
    suite TEXT NOT NULL,
    number BIGINT NOT NULL,
    kind TEXT NOT NULL,
    component TEXT NOT NULL,
    architecture TEXT NOT NULL,
    position BIGINT NOT NULL,
    block TEXT NOT NULL,
    PRIMARY KEY (suite, number, kind, component, architecture, position),
    FOREIGN KEY (suite, number) REFERENCES generations (suite, number)
);
