-- Wills of clients that have gone, whose delay is not over; `due` is in milliseconds since 1970, `payload` is Base64,
-- `properties` JSON.
CREATE TABLE mqtt_wills (
    client_id TEXT NOT NULL PRIMARY KEY,
    due BIGINT NOT NULL,
    topic TEXT NOT NULL,
    qos BIGINT NOT NULL,
    retain BIGINT NOT NULL,
    payload TEXT NOT NULL,
    properties TEXT NOT NULL
);
