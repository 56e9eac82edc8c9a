-- What the embedded broker must not lose. A session's `owner` is the thing, or else the certificate, that it belongs to;
-- `disconnected_at` is NULL while its client is connected.
CREATE TABLE mqtt_sessions (
    client_id TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    expiry BIGINT NOT NULL,
    disconnected_at BIGINT
);

-- `options` is JSON.
CREATE TABLE mqtt_subscriptions (
    client_id TEXT NOT NULL,
    filter TEXT NOT NULL,
    options TEXT NOT NULL,
    PRIMARY KEY (client_id, filter)
);

-- Messages that some session has not acknowledged. The id is the time in milliseconds, made unique; `payload` is Base64,
-- `properties` JSON.
CREATE TABLE mqtt_messages (
    id BIGINT NOT NULL PRIMARY KEY,
    topic TEXT NOT NULL,
    payload TEXT NOT NULL,
    properties TEXT NOT NULL,
    expires_at BIGINT
);

-- Which sessions those are.
CREATE TABLE mqtt_pending (
    client_id TEXT NOT NULL,
    message BIGINT NOT NULL,
    retain BIGINT NOT NULL,
    -- JSON, an array of subscription identifiers.
    identifiers TEXT NOT NULL,
    PRIMARY KEY (client_id, message)
);

CREATE INDEX mqtt_pending_by_message ON mqtt_pending (message);

CREATE TABLE mqtt_retained (
    topic TEXT NOT NULL PRIMARY KEY,
    id BIGINT NOT NULL,
    qos BIGINT NOT NULL,
    payload TEXT NOT NULL,
    properties TEXT NOT NULL,
    expires_at BIGINT
);
