-- Requests that come by the API instead of from a server (bridge/delivery/direct.py).

CREATE TABLE direct (
    id INTEGER PRIMARY KEY,
    endpoint INTEGER NOT NULL,
    at REAL NOT NULL,
    who TEXT NOT NULL,
    idempotency_key TEXT,
    digest BLOB NOT NULL,
    supersede_key TEXT
) STRICT;

CREATE UNIQUE INDEX direct_idempotency ON direct (endpoint, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX direct_supersede ON direct (endpoint, supersede_key) WHERE supersede_key IS NOT NULL;

-- Whether the network is asked to confirm the delivery of this message.
ALTER TABLE downlink ADD COLUMN confirmed INTEGER;

-- Whether the device speaks DTLS or OSCORE with its servers.
ALTER TABLE relay ADD COLUMN secured INTEGER NOT NULL DEFAULT 0;

UPDATE relay SET secured = 1 WHERE endpoint IN (
    SELECT endpoint FROM uplink WHERE kind = 'opaque' OR operation = 'OSCORE'
);
