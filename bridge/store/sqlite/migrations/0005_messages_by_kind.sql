-- Each kind of message has its own fields; columns of the others are NULL in it (bridge/delivery/downlinks.py and
-- uplinks.py). Of a CoAP message is stored: type, code, message ID, token and body (options, marker and payload), instead
-- of a datagram. In a datagram (RFC 7252 §3) the first byte holds version, type and token length, the second the code;
-- two bytes of message ID, the token and the body follow. `hex` gives two digits for each byte, `instr` the value of one.

CREATE TABLE downlink_by_kind (
    id INTEGER PRIMARY KEY,
    endpoint INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    kind TEXT NOT NULL,
    accepted_at REAL NOT NULL,
    operation TEXT NOT NULL,
    repeatable INTEGER NOT NULL,
    deliver_by REAL,
    body BLOB NOT NULL,
    state TEXT NOT NULL,
    over INTEGER NOT NULL,
    not_before REAL,
    attempt INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    sent_at REAL,
    failures INTEGER NOT NULL,
    repeated INTEGER NOT NULL,
    handle TEXT,
    setback TEXT,
    reason TEXT NOT NULL,
    finished_at REAL,
    keep_until REAL NOT NULL,
    due REAL,
    cancel_asked INTEGER NOT NULL,
    coap_type INTEGER,
    code INTEGER,
    south_mid INTEGER,
    south_token BLOB,
    server TEXT,
    north_mid INTEGER,
    north_token BLOB,
    observe INTEGER,
    priority INTEGER,
    answer_by REAL,
    answered INTEGER,
    late INTEGER,
    split_from BLOB,
    answers INTEGER
) STRICT;

INSERT INTO downlink_by_kind
SELECT
    id, endpoint, shard, kind, accepted_at, operation, repeatable, deliver_by,
    CASE kind WHEN 'opaque' THEN payload ELSE substr(payload, 5 + tkl) END,
    state, over, not_before, attempt, sent, sent_at, failures, repeated, handle, setback, reason, finished_at, keep_until,
    due, cancel_asked,
    CASE kind WHEN 'opaque' THEN NULL ELSE coap_type END,
    CASE kind WHEN 'opaque' THEN NULL ELSE code END,
    CASE kind WHEN 'opaque' THEN NULL ELSE mid END,
    CASE kind WHEN 'opaque' THEN NULL ELSE substr(payload, 5, tkl) END,
    CASE kind WHEN 'answer' THEN NULL ELSE server END,
    CASE kind WHEN 'request' THEN north_mid END,
    CASE kind WHEN 'request' THEN north_token END,
    CASE kind WHEN 'request' THEN observe END,
    CASE kind WHEN 'request' THEN priority END,
    CASE kind WHEN 'request' THEN coalesce(answer_by, accepted_at) END,
    CASE kind WHEN 'request' THEN answered END,
    CASE kind WHEN 'request' THEN late END,
    CASE kind WHEN 'request' THEN substr(split_from, 5 + split_tkl) END,
    CASE kind WHEN 'answer' THEN answers END
FROM (
    SELECT
        *,
        instr('0123456789ABCDEF', substr(hex(payload), 1, 1)) - 1 & 3 AS coap_type,
        instr('0123456789ABCDEF', substr(hex(payload), 2, 1)) - 1 AS tkl,
        (instr('0123456789ABCDEF', substr(hex(payload), 3, 1)) - 1) * 16
            + instr('0123456789ABCDEF', substr(hex(payload), 4, 1)) - 1 AS code,
        (instr('0123456789ABCDEF', substr(hex(payload), 5, 1)) - 1) * 4096
            + (instr('0123456789ABCDEF', substr(hex(payload), 6, 1)) - 1) * 256
            + (instr('0123456789ABCDEF', substr(hex(payload), 7, 1)) - 1) * 16
            + instr('0123456789ABCDEF', substr(hex(payload), 8, 1)) - 1 AS mid,
        instr('0123456789ABCDEF', substr(hex(split_from), 2, 1)) - 1 AS split_tkl
    FROM downlink
);

DROP TABLE downlink;
ALTER TABLE downlink_by_kind RENAME TO downlink;
CREATE INDEX downlink_live ON downlink (endpoint) WHERE keep_until = 9e+18;
CREATE INDEX downlink_finished ON downlink (endpoint, keep_until) WHERE keep_until < 9e+18;

CREATE TABLE uplink_by_kind (
    id INTEGER PRIMARY KEY,
    endpoint INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    kind TEXT NOT NULL,
    received_at REAL NOT NULL,
    server TEXT NOT NULL,
    operation TEXT NOT NULL,
    expires_at REAL,
    body BLOB NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    finished_at REAL,
    keep_until REAL NOT NULL,
    due REAL,
    code INTEGER,
    north_token BLOB,
    coap_type INTEGER,
    north_mid INTEGER,
    acknowledged INTEGER,
    confirmable INTEGER,
    south_mid INTEGER,
    south_token BLOB,
    digest BLOB,
    duplicate_key TEXT,
    reply_type INTEGER,
    reply_code INTEGER,
    reply_mid INTEGER,
    reply_body BLOB,
    reply_downlink INTEGER,
    no_response INTEGER,
    server_mid INTEGER,
    reply_delivered INTEGER,
    downlink INTEGER
) STRICT;

-- A message of the device that never went to a server has no datagram: its code is not known any more, and 0.
INSERT INTO uplink_by_kind
SELECT
    id, endpoint, shard, kind, received_at, server, operation, expires_at,
    CASE WHEN opaque THEN payload WHEN framed THEN substr(payload, 5 + tkl) ELSE x'' END,
    state,
    CASE WHEN reply_delivered THEN '' ELSE reason END,
    finished_at, keep_until, due,
    CASE WHEN opaque THEN NULL WHEN framed THEN code ELSE 0 END,
    CASE WHEN opaque THEN NULL WHEN framed THEN substr(payload, 5, tkl) ELSE north_token END,
    CASE WHEN framed THEN coap_type END,
    CASE WHEN framed THEN mid END,
    CASE WHEN opaque THEN NULL ELSE acknowledged END,
    CASE WHEN from_device THEN confirmable END,
    CASE WHEN from_device THEN coalesce(south_mid, 0) END,
    CASE WHEN from_device THEN south_token END,
    CASE WHEN opaque OR from_device THEN digest END,
    CASE WHEN opaque OR from_device THEN duplicate_key END,
    CASE WHEN from_device THEN reply_type END,
    CASE WHEN from_device THEN coalesce(reply_code, 0) END,
    CASE WHEN from_device THEN coalesce(reply_mid, 0) END,
    CASE WHEN from_device THEN coalesce(substr(answer, 5 + reply_tkl), x'') END,
    CASE WHEN from_device THEN answer_downlink END,
    CASE WHEN framed AND kind = 'request' THEN no_response(substr(payload, 5 + tkl)) END,
    CASE kind WHEN 'request' THEN answer_mid END,
    CASE kind WHEN 'request' THEN reply_delivered END,
    CASE WHEN kind IN ('response', 'verdict') THEN downlink END
FROM (
    SELECT
        *,
        kind = 'opaque' AS opaque,
        kind <> 'opaque' AND length(payload) >= 4 AS framed,
        kind IN ('request', 'notification', 'response') AS from_device,
        kind = 'request' AND reason = 'the device has its reply' AS reply_delivered,
        instr('0123456789ABCDEF', substr(hex(payload), 1, 1)) - 1 & 3 AS coap_type,
        instr('0123456789ABCDEF', substr(hex(payload), 2, 1)) - 1 AS tkl,
        (instr('0123456789ABCDEF', substr(hex(payload), 3, 1)) - 1) * 16
            + instr('0123456789ABCDEF', substr(hex(payload), 4, 1)) - 1 AS code,
        (instr('0123456789ABCDEF', substr(hex(payload), 5, 1)) - 1) * 4096
            + (instr('0123456789ABCDEF', substr(hex(payload), 6, 1)) - 1) * 256
            + (instr('0123456789ABCDEF', substr(hex(payload), 7, 1)) - 1) * 16
            + instr('0123456789ABCDEF', substr(hex(payload), 8, 1)) - 1 AS mid,
        CASE WHEN answer IS NOT NULL
            THEN instr('0123456789ABCDEF', substr(hex(answer), 1, 1)) - 1 & 3 END AS reply_type,
        instr('0123456789ABCDEF', substr(hex(answer), 2, 1)) - 1 AS reply_tkl,
        (instr('0123456789ABCDEF', substr(hex(answer), 3, 1)) - 1) * 16
            + instr('0123456789ABCDEF', substr(hex(answer), 4, 1)) - 1 AS reply_code,
        (instr('0123456789ABCDEF', substr(hex(answer), 5, 1)) - 1) * 4096
            + (instr('0123456789ABCDEF', substr(hex(answer), 6, 1)) - 1) * 256
            + (instr('0123456789ABCDEF', substr(hex(answer), 7, 1)) - 1) * 16
            + instr('0123456789ABCDEF', substr(hex(answer), 8, 1)) - 1 AS reply_mid
    FROM uplink
);

DROP TABLE uplink;
ALTER TABLE uplink_by_kind RENAME TO uplink;
CREATE INDEX uplink_live ON uplink (endpoint) WHERE keep_until = 9e+18;
CREATE INDEX uplink_finished ON uplink (endpoint, keep_until) WHERE keep_until < 9e+18;

-- Nothing ever asked which registration it was.
ALTER TABLE relay DROP COLUMN epoch;
