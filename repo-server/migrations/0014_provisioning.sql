-- What a person called it; of claims.
ALTER TABLE certificates ADD COLUMN name TEXT NOT NULL DEFAULT '';
-- The SHA-256 of its public key (SubjectPublicKeyInfo), in hex: whoever asks again for the same key gets the same certificate.
ALTER TABLE certificates ADD COLUMN public_key TEXT NOT NULL DEFAULT '';
-- The template that a claim counts for, and with it the certificates that are asked for with that claim.
ALTER TABLE certificates ADD COLUMN template TEXT;
-- The certificate with which it was asked for. Of a renewal: the one that it takes the place of.
ALTER TABLE certificates ADD COLUMN asked_with TEXT;
-- When its status changed last, as a number of certificate_generation: so other processes learn of it.
ALTER TABLE certificates ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;

CREATE INDEX certificates_by_public_key ON certificates (public_key);
CREATE INDEX certificates_by_generation ON certificates (generation);

-- One row. It is locked from the change of a status to the end of the transaction, so numbers are seen in their order.
CREATE TABLE certificate_generation (value BIGINT NOT NULL);
INSERT INTO certificate_generation (value) VALUES (0);

-- The certificate of the connection that a token was given to, and the only one that it counts for.
ALTER TABLE ownership_tokens ADD COLUMN claim TEXT NOT NULL DEFAULT '';
CREATE INDEX ownership_tokens_by_certificate ON ownership_tokens (certificate);

-- The thing that a serial number was registered as: nobody else is registered with it.
ALTER TABLE provisioning_serials ADD COLUMN thing TEXT;
