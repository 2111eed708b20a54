-- Columns of downlink, uplink, report, observation and relay are the fields of the rows in bridge/delivery/ledger.py and
-- bridge/relay/model.py, in their order. Times are wall-clock seconds. Every table of messages carries its shard.
--
-- No unique key says that a request is a retransmission (R4): a server may use MID and token again after 247 s, so the
-- key would have to hold a time span. The row itself is the memory instead: the core keeps its `keep_until` at least
-- 247 s ahead, `load` brings every row with `keep_until` still to come, and the core compares with those before it
-- accepts anything. The index on (endpoint, keep_until) makes that load quick, whatever history lies beside it.

CREATE TABLE downlink (
    id INTEGER PRIMARY KEY,
    endpoint INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    kind TEXT NOT NULL,
    accepted_at REAL NOT NULL,
    server TEXT NOT NULL,
    north_mid INTEGER,
    north_token BLOB NOT NULL,
    confirmable INTEGER NOT NULL,
    operation TEXT NOT NULL,
    observe INTEGER,
    repeatable INTEGER NOT NULL,
    south_mid INTEGER,
    south_token BLOB,
    answers INTEGER,
    priority INTEGER NOT NULL,
    payload BLOB NOT NULL,
    state TEXT NOT NULL,
    over INTEGER NOT NULL,
    deliver_by REAL,
    answer_by REAL,
    not_before REAL,
    attempt INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    sent_at REAL,
    failures INTEGER NOT NULL,
    repeated INTEGER NOT NULL,
    answered INTEGER NOT NULL,
    handle TEXT,
    setback TEXT,
    reason TEXT NOT NULL,
    late INTEGER NOT NULL,
    finished_at REAL,
    keep_until REAL NOT NULL,
    due REAL
) STRICT;

CREATE INDEX downlink_kept ON downlink (endpoint, keep_until);
CREATE INDEX downlink_due ON downlink (due, endpoint) WHERE due IS NOT NULL;
CREATE INDEX downlink_live ON downlink (endpoint, state) WHERE over = 0;

CREATE TABLE uplink (
    id INTEGER PRIMARY KEY,
    endpoint INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    kind TEXT NOT NULL,
    received_at REAL NOT NULL,
    server TEXT NOT NULL,
    operation TEXT NOT NULL,
    confirmable INTEGER NOT NULL,
    south_mid INTEGER,
    south_token BLOB NOT NULL,
    digest BLOB NOT NULL,
    duplicate_key TEXT,
    downlink INTEGER,
    north_token BLOB NOT NULL,
    north_confirmable INTEGER NOT NULL,
    north_mid INTEGER,
    payload BLOB NOT NULL,
    state TEXT NOT NULL,
    acknowledged INTEGER NOT NULL,
    answer BLOB,
    answer_downlink INTEGER,
    answer_mid INTEGER,
    expires_at REAL,
    reason TEXT NOT NULL,
    finished_at REAL,
    keep_until REAL NOT NULL,
    due REAL
) STRICT;

CREATE INDEX uplink_kept ON uplink (endpoint, keep_until);
CREATE INDEX uplink_due ON uplink (due, endpoint) WHERE due IS NOT NULL;
CREATE INDEX uplink_live ON uplink (endpoint) WHERE state = 'RECEIVED';

CREATE TABLE report (
    id INTEGER PRIMARY KEY,
    endpoint INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    handle TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    retry_at REAL,
    nack INTEGER NOT NULL,
    received_at REAL NOT NULL
) STRICT;

CREATE INDEX report_endpoint ON report (endpoint);

CREATE TABLE observation (
    endpoint INTEGER NOT NULL,
    south_token BLOB NOT NULL,
    shard INTEGER NOT NULL,
    server TEXT NOT NULL,
    north_token BLOB NOT NULL,
    since REAL NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (endpoint, south_token)
) STRICT, WITHOUT ROWID;

CREATE TABLE relay (
    endpoint INTEGER PRIMARY KEY,
    shard INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    location TEXT NOT NULL,
    refuse_update INTEGER NOT NULL,
    north_mid INTEGER,
    joined_at REAL NOT NULL
) STRICT;

-- Ids of messages below `next` were given out, or may have been: they are never given again, even if their rows are gone.
CREATE TABLE id_mark (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    next INTEGER NOT NULL
) STRICT;

INSERT INTO id_mark (only, next) VALUES (1, 1);

-- Durable notes of one network instance (bindings.contract.Memory).
CREATE TABLE binding_memory (
    network TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (network, key)
) STRICT, WITHOUT ROWID;

-- The directory. AUTOINCREMENT: the id of a removed endpoint is never given again, so its history stays its own.
CREATE TABLE endpoint (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    shard INTEGER NOT NULL,
    name TEXT NOT NULL UNIQUE,
    network TEXT NOT NULL,
    device TEXT NOT NULL,
    servers TEXT NOT NULL,
    profile TEXT NOT NULL,
    default_ttl REAL,
    object_list TEXT,
    confirmed INTEGER NOT NULL,
    options TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    created_at REAL NOT NULL,
    changed_at REAL NOT NULL,
    UNIQUE (network, device)
) STRICT;

-- The number of an endpoint's own socket address (bridge.north.contract.NorthTransport.sources), and the addresses that
-- servers saw it at. A released one keeps its row, so that no other endpoint takes over the identity that a server still
-- remembers.
CREATE TABLE north_source (
    scheme TEXT NOT NULL,
    source INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    locals TEXT NOT NULL,
    given_at REAL NOT NULL,
    released_at REAL,
    PRIMARY KEY (scheme, source)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX north_source_endpoint ON north_source (endpoint) WHERE released_at IS NULL;
CREATE INDEX north_source_released ON north_source (scheme, released_at) WHERE released_at IS NOT NULL;
