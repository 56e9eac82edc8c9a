-- People who sign in.
CREATE TABLE users (
    name TEXT NOT NULL PRIMARY KEY,
    display_name TEXT NOT NULL,
    -- admin, operator, publisher, viewer.
    role TEXT NOT NULL,
    -- Argon2id, in the PHC string format; NULL: they cannot sign in.
    password TEXT,
    enabled BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- What they see: things one by one, and the things of groups and of those below.
CREATE TABLE user_things (
    user_name TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    thing TEXT NOT NULL REFERENCES things (name) ON DELETE CASCADE,
    PRIMARY KEY (user_name, thing)
);

CREATE INDEX user_things_by_thing ON user_things (thing);

CREATE TABLE user_groups (
    user_name TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    group_name TEXT NOT NULL REFERENCES thing_groups (name) ON DELETE CASCADE,
    PRIMARY KEY (user_name, group_name)
);

CREATE INDEX user_groups_by_group ON user_groups (group_name);

-- What proves that somebody signed in. What was ended is gone.
CREATE TABLE user_secrets (
    id TEXT NOT NULL PRIMARY KEY,
    secret_sha256 TEXT NOT NULL UNIQUE,
    -- session, mqtt.
    kind TEXT NOT NULL,
    user_name TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    -- Of a token for MQTT: the session that it was made in, and ends with.
    session TEXT REFERENCES user_secrets (id) ON DELETE CASCADE,
    -- In milliseconds since 1970.
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX user_secrets_by_user ON user_secrets (user_name, kind, created_at);

CREATE INDEX user_secrets_by_session ON user_secrets (session);

CREATE INDEX user_secrets_by_end ON user_secrets (expires_at);

-- One row. It is touched first in every change of people, so that changes wait for one another; and raised when somebody may
-- see or do something else than before or a secret was ended, so that every server process learns of it.
CREATE TABLE people_generation (value BIGINT NOT NULL);

INSERT INTO people_generation (value) VALUES (0);
