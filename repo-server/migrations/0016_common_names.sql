-- The common name of each certificate: an external broker knows its clients by that. NULL: it was not looked at yet.
ALTER TABLE certificates ADD COLUMN common_name TEXT;

CREATE INDEX certificates_by_common_name ON certificates (common_name);
