-- TEXT and BIGINT only, so that SQLite and PostgreSQL run the same statements. Times are seconds since 1970.

CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    secret_sha256 TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- `generation` is the number of the published state; whoever raises it by one has published.
CREATE TABLE suites (
    name TEXT NOT NULL PRIMARY KEY,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE packages (
    sha256 TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    architecture TEXT NOT NULL,
    filename TEXT NOT NULL UNIQUE,
    size BIGINT NOT NULL,
    stanza TEXT NOT NULL,
    signed_by TEXT NOT NULL,
    uploaded_at BIGINT NOT NULL,
    UNIQUE (name, version, architecture)
);

CREATE TABLE suite_packages (
    suite TEXT NOT NULL REFERENCES suites (name),
    sha256 TEXT NOT NULL REFERENCES packages (sha256),
    added_at BIGINT NOT NULL,
    PRIMARY KEY (suite, sha256)
);

CREATE TABLE generations (
    suite TEXT NOT NULL REFERENCES suites (name),
    number BIGINT NOT NULL,
    date BIGINT NOT NULL,
    valid_until BIGINT NOT NULL,
    release TEXT NOT NULL,
    inrelease TEXT NOT NULL,
    release_gpg TEXT NOT NULL,
    PRIMARY KEY (suite, number)
);

CREATE TABLE generation_files (
    suite TEXT NOT NULL,
    number BIGINT NOT NULL,
    path TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size BIGINT NOT NULL,
    PRIMARY KEY (suite, number, path),
    FOREIGN KEY (suite, number) REFERENCES generations (suite, number)
);

-- Files that were about to be put into the pool. One that is still here at start, and that no package names,
-- was left by a crash.
CREATE TABLE pool_writes (
    filename TEXT NOT NULL PRIMARY KEY,
    begun_at BIGINT NOT NULL
);
