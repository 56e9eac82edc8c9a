-- Things, their types and groups.
CREATE TABLE thing_types (
    name TEXT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    description TEXT NOT NULL,
    -- JSON, an array of attribute names.
    searchable_attributes TEXT NOT NULL,
    deprecated_at BIGINT,
    created_at BIGINT NOT NULL
);

CREATE TABLE things (
    name TEXT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    type TEXT REFERENCES thing_types (name),
    -- JSON, an object of texts.
    attributes TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE INDEX things_by_type ON things (type);

CREATE TABLE thing_groups (
    name TEXT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    parent TEXT REFERENCES thing_groups (name),
    description TEXT NOT NULL,
    attributes TEXT NOT NULL,
    -- Of a dynamic group; NULL for a static one.
    query TEXT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- Of dynamic groups too: kept up to date as things change.
CREATE TABLE thing_group_members (
    group_name TEXT NOT NULL REFERENCES thing_groups (name),
    thing TEXT NOT NULL REFERENCES things (name),
    PRIMARY KEY (group_name, thing)
);

CREATE INDEX thing_group_members_by_thing ON thing_group_members (thing);

-- Client certificates of devices. `id` is the SHA-256 of the DER form, in hex.
CREATE TABLE certificates (
    id TEXT NOT NULL PRIMARY KEY,
    pem TEXT NOT NULL,
    serial TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- claim, device.
    kind TEXT NOT NULL,
    -- PENDING_ACTIVATION, ACTIVE, INACTIVE, REVOKED.
    status TEXT NOT NULL,
    not_before BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    first_used_at BIGINT
);

CREATE INDEX certificates_by_serial ON certificates (serial);

-- Which certificates speak for which things.
CREATE TABLE thing_principals (
    thing TEXT NOT NULL REFERENCES things (name),
    certificate TEXT NOT NULL REFERENCES certificates (id),
    PRIMARY KEY (thing, certificate)
);

CREATE INDEX thing_principals_by_certificate ON thing_principals (certificate);

CREATE TABLE policies (
    name TEXT NOT NULL PRIMARY KEY,
    default_version BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE policy_versions (
    policy TEXT NOT NULL REFERENCES policies (name),
    version BIGINT NOT NULL,
    document TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (policy, version)
);

-- To a certificate's id or a group's name.
CREATE TABLE policy_attachments (
    policy TEXT NOT NULL REFERENCES policies (name),
    -- certificate, group.
    target_kind TEXT NOT NULL,
    target TEXT NOT NULL,
    PRIMARY KEY (policy, target_kind, target)
);

CREATE INDEX policy_attachments_by_target ON policy_attachments (target_kind, target);

-- `name` is empty for the classic shadow. A deleted shadow keeps its version and has no document.
CREATE TABLE shadows (
    thing TEXT NOT NULL,
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    document TEXT,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (thing, name)
);

CREATE TABLE provisioning_templates (
    name TEXT NOT NULL PRIMARY KEY,
    description TEXT NOT NULL,
    body TEXT NOT NULL,
    enabled BIGINT NOT NULL,
    hook_url TEXT,
    -- Whether only serial numbers of its list are provisioned.
    listed_only BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- `used_at` is when the serial number was provisioned.
CREATE TABLE provisioning_serials (
    template TEXT NOT NULL REFERENCES provisioning_templates (name),
    serial TEXT NOT NULL,
    used_at BIGINT,
    PRIMARY KEY (template, serial)
);

-- Proofs that a client asked for a certificate, by their SHA-256.
CREATE TABLE ownership_tokens (
    hash TEXT NOT NULL PRIMARY KEY,
    certificate TEXT NOT NULL REFERENCES certificates (id),
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);
