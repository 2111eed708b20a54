-- What people want to know of each endpoint (bridge/store/fleet.py).

CREATE TABLE provisioning (
    endpoint INTEGER PRIMARY KEY,
    shard INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    since REAL,
    retry_at REAL
) STRICT;

-- The latest messages of each endpoint, among those whose ids are not above the mark: younger ones are looked for in the
-- ledger. Keeping this as messages come would cost every one of them something; so it is brought up from time to time.
CREATE TABLE activity (
    endpoint INTEGER PRIMARY KEY,
    shard INTEGER NOT NULL,
    uplink INTEGER,
    uplink_at REAL,
    downlink INTEGER,
    downlink_at REAL
) STRICT;

CREATE TABLE activity_mark (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    uplink INTEGER NOT NULL,
    downlink INTEGER NOT NULL
) STRICT;

INSERT INTO activity_mark (only, uplink, downlink) VALUES (1, 0, 0);
