-- Requests that came with an Idempotency-Key, and their answers. TEXT and BIGINT only; times are seconds since 1970.
CREATE TABLE kept_answers (
    token TEXT NOT NULL REFERENCES tokens (id),
    idempotency_key TEXT NOT NULL,
    -- The server process that carries it out.
    owner TEXT NOT NULL,
    begun_at BIGINT NOT NULL,
    -- SHA-256 of its method, path and query.
    request TEXT NOT NULL,
    -- What is known at its end.
    body_sha256 TEXT NOT NULL DEFAULT '',
    body_length BIGINT NOT NULL DEFAULT 0,
    -- 0: it is being carried out.
    status BIGINT NOT NULL DEFAULT 0,
    answer TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (token, idempotency_key)
);

CREATE INDEX kept_answers_begun_at ON kept_answers (begun_at);
