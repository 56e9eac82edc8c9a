-- Client certificates of the fleet CA that no longer count, by their serial number in lower-case hex.
CREATE TABLE revoked_certificates (
    serial TEXT NOT NULL PRIMARY KEY,
    -- Whose it was, if that was known.
    subject TEXT NOT NULL,
    revoked_at BIGINT NOT NULL
);
