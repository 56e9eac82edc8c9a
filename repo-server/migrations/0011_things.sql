-- What the things of a shadow's versions were known to the index: the sum of its shadows' versions.
ALTER TABLE things ADD COLUMN indexed_shadows BIGINT NOT NULL DEFAULT 0;

-- Search looks for names without case.
CREATE INDEX things_by_lower_name ON things (lower(name));

CREATE INDEX thing_groups_by_parent ON thing_groups (parent);

-- One row. `writes` is raised first in every change of the registry, so that changes wait for one another; `generation`
-- is raised when a thing, a group or an attachment changed that what a certificate may do rests on.
CREATE TABLE registry (
    id BIGINT NOT NULL PRIMARY KEY,
    writes BIGINT NOT NULL,
    generation BIGINT NOT NULL
);

INSERT INTO registry (id, writes, generation) VALUES (1, 0, 0);

-- What things are found by: attributes and shadows, as fleet_query::Facts tells them.
CREATE TABLE thing_terms (
    thing TEXT NOT NULL REFERENCES things (name),
    field TEXT NOT NULL,
    term TEXT NOT NULL,
    -- Of a term that is a number: ordered as the numbers are.
    number BIGINT,
    PRIMARY KEY (thing, field, term)
);

CREATE INDEX thing_terms_by_term ON thing_terms (field, term, number, thing);

-- Things that have ever been connected.
CREATE TABLE thing_connectivity (
    thing TEXT NOT NULL PRIMARY KEY REFERENCES things (name),
    connected BIGINT NOT NULL,
    -- Milliseconds since 1970.
    at BIGINT NOT NULL,
    disconnect_reason TEXT
);
