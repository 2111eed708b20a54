-- The tables of the SQLite store as of its migration 0015, in PostgreSQL's types. Times are seconds of the wall clock.

CREATE TABLE downlink (
    id BIGINT PRIMARY KEY,
    endpoint BIGINT NOT NULL,
    shard SMALLINT NOT NULL,
    kind TEXT NOT NULL,
    accepted_at DOUBLE PRECISION NOT NULL,
    operation TEXT NOT NULL,
    repeatable SMALLINT NOT NULL,
    deliver_by DOUBLE PRECISION NOT NULL,
    body BYTEA NOT NULL,
    attempts BYTEA,
    state TEXT NOT NULL,
    over SMALLINT NOT NULL,
    not_before DOUBLE PRECISION,
    no_further_copy SMALLINT NOT NULL,
    cancel_asked SMALLINT NOT NULL,
    reason TEXT NOT NULL,
    finished_at DOUBLE PRECISION,
    keep_until DOUBLE PRECISION NOT NULL,
    due DOUBLE PRECISION,
    coap_type INTEGER,
    code INTEGER,
    south_mid INTEGER,
    south_token BYTEA,
    server TEXT,
    north_mid INTEGER,
    north_token BYTEA,
    observe BIGINT,
    priority INTEGER,
    answer_by DOUBLE PRECISION,
    answered SMALLINT,
    late SMALLINT,
    split_from BYTEA,
    answers BIGINT,
    confirmed SMALLINT
);
CREATE INDEX downlink_live ON downlink (endpoint) WHERE keep_until = 9e+18;
CREATE INDEX downlink_finished ON downlink (endpoint, keep_until) WHERE keep_until < 9e+18;

CREATE TABLE uplink (
    id BIGINT PRIMARY KEY,
    endpoint BIGINT NOT NULL,
    shard SMALLINT NOT NULL,
    kind TEXT NOT NULL,
    received_at DOUBLE PRECISION NOT NULL,
    server TEXT NOT NULL,
    operation TEXT NOT NULL,
    expires_at DOUBLE PRECISION,
    body BYTEA NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    finished_at DOUBLE PRECISION,
    keep_until DOUBLE PRECISION NOT NULL,
    due DOUBLE PRECISION,
    code INTEGER,
    north_token BYTEA,
    coap_type INTEGER,
    north_mid INTEGER,
    acknowledged SMALLINT,
    confirmable SMALLINT,
    south_mid INTEGER,
    south_token BYTEA,
    digest BYTEA,
    duplicate_key TEXT,
    reply_type INTEGER,
    reply_code INTEGER,
    reply_mid INTEGER,
    reply_body BYTEA,
    reply_downlink BIGINT,
    no_response BIGINT,
    server_mid INTEGER,
    reply_delivered SMALLINT,
    downlink BIGINT
);
CREATE INDEX uplink_live ON uplink (endpoint) WHERE keep_until = 9e+18;
CREATE INDEX uplink_finished ON uplink (endpoint, keep_until) WHERE keep_until < 9e+18;

CREATE TABLE report (
    id BIGINT PRIMARY KEY,
    endpoint BIGINT NOT NULL,
    shard SMALLINT NOT NULL,
    handle TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    retry_at DOUBLE PRECISION,
    nack SMALLINT NOT NULL,
    received_at DOUBLE PRECISION NOT NULL
);
CREATE INDEX report_endpoint ON report (endpoint);

CREATE TABLE observation (
    endpoint BIGINT NOT NULL,
    south_token BYTEA NOT NULL,
    shard SMALLINT NOT NULL,
    server TEXT NOT NULL,
    north_token BYTEA NOT NULL,
    since DOUBLE PRECISION NOT NULL,
    state TEXT NOT NULL,
    path TEXT NOT NULL,
    asks BYTEA NOT NULL,
    heard_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (endpoint, south_token)
);

CREATE TABLE relay (
    endpoint BIGINT PRIMARY KEY,
    shard SMALLINT NOT NULL,
    refuse_update SMALLINT NOT NULL,
    north_mid INTEGER,
    joined_at DOUBLE PRECISION NOT NULL,
    registrations BYTEA,
    server_instance BIGINT,
    woken_at DOUBLE PRECISION NOT NULL DEFAULT 0,
    secured SMALLINT NOT NULL DEFAULT 0,
    registered_until DOUBLE PRECISION
);

-- `registered_until`: when the last of the registrations lapses (bridge/store/fleet.py, lapses_at). It is worked out here, from
-- the MessagePack of bridge/relay/registrations.py, whenever that changes, so that questions about all endpoints are quick.

-- Where the value that begins at a byte ends.
CREATE FUNCTION msgpack_end(packed BYTEA, at INTEGER) RETURNS INTEGER LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    head INTEGER := get_byte(packed, at);
    length INTEGER;
    following INTEGER;
BEGIN
    IF head < 128 OR head >= 224 OR head IN (192, 194, 195) THEN RETURN at + 1; END IF;  -- small numbers, nil, flags
    IF head BETWEEN 160 AND 191 THEN RETURN at + 1 + head - 160; END IF;  -- short text
    IF head BETWEEN 202 AND 211 THEN  -- numbers
        RETURN at + 1 + (ARRAY[4, 8, 1, 2, 4, 8, 1, 2, 4, 8])[head - 201];
    END IF;
    IF head BETWEEN 144 AND 159 THEN
        length := head - 144;
        following := at + 1;
    ELSIF head IN (220, 221) THEN
        length := msgpack_natural(packed, at + 1, CASE head WHEN 220 THEN 2 ELSE 4 END);
        following := at + CASE head WHEN 220 THEN 3 ELSE 5 END;
    ELSIF head IN (196, 217) THEN RETURN at + 2 + msgpack_natural(packed, at + 1, 1);  -- bytes and text
    ELSIF head IN (197, 218) THEN RETURN at + 3 + msgpack_natural(packed, at + 1, 2);
    ELSIF head IN (198, 219) THEN RETURN at + 5 + msgpack_natural(packed, at + 1, 4);
    ELSE RAISE EXCEPTION 'unknown MessagePack type %', head;
    END IF;
    FOR _ IN 1 .. length LOOP  -- of a list
        following := msgpack_end(packed, following);
    END LOOP;
    RETURN following;
END $$;

CREATE FUNCTION msgpack_natural(packed BYTEA, at INTEGER, length INTEGER) RETURNS BIGINT LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    number BIGINT := 0;
BEGIN
    FOR byte IN at .. at + length - 1 LOOP
        number := (number << 8) | get_byte(packed, byte);
    END LOOP;
    RETURN number;
END $$;

-- The number that begins at a byte; NULL for nil.
CREATE FUNCTION msgpack_number(packed BYTEA, at INTEGER) RETURNS DOUBLE PRECISION LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    head INTEGER := get_byte(packed, at);
    bits BIGINT;
    exponent INTEGER;
BEGIN
    IF head < 128 THEN RETURN head; END IF;
    IF head BETWEEN 204 AND 207 THEN RETURN msgpack_natural(packed, at + 1, 1 << (head - 204)); END IF;
    IF head = 203 THEN  -- IEEE 754 binary64
        bits := msgpack_natural(packed, at + 1, 8);
        exponent := (bits >> 52) & 2047;
        IF exponent = 0 THEN RETURN 0; END IF;
        RETURN CASE WHEN bits < 0 THEN -1 ELSE 1 END * power(2::DOUBLE PRECISION, exponent - 1023)
            * (1 + (bits & 4503599627370495)::DOUBLE PRECISION / 4503599627370496);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION registered_until() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    packed BYTEA := NEW.registrations;
    head INTEGER;
    number INTEGER;
    fields INTEGER;
    at INTEGER := 1;
    start INTEGER;
    lapses DOUBLE PRECISION;
BEGIN
    NEW.registered_until := NULL;
    IF packed IS NULL THEN RETURN NEW; END IF;
    head := get_byte(packed, 0);
    number := CASE WHEN head BETWEEN 144 AND 159 THEN head - 144 ELSE msgpack_natural(packed, 1, 2) END;
    IF head = 220 THEN at := 3; END IF;
    FOR _ IN 1 .. number LOOP
        fields := get_byte(packed, at) - 144;
        start := at + 1;
        FOR _ IN 1 .. 4 LOOP  -- server, location, told, since
            start := msgpack_end(packed, start);
        END LOOP;
        lapses := msgpack_number(packed, start);  -- refreshed_at
        start := msgpack_end(packed, start);
        lapses := lapses + coalesce(CASE WHEN fields > 5 THEN nullif(msgpack_number(packed, start), 0) END, 86400);
        NEW.registered_until := greatest(NEW.registered_until, lapses);
        at := msgpack_end(packed, at);
    END LOOP;
    RETURN NEW;
END $$;

CREATE TRIGGER registered_first BEFORE INSERT ON relay
    FOR EACH ROW WHEN (NEW.registrations IS NOT NULL) EXECUTE FUNCTION registered_until();
CREATE TRIGGER registered_since BEFORE UPDATE ON relay
    FOR EACH ROW WHEN (OLD.registrations IS DISTINCT FROM NEW.registrations) EXECUTE FUNCTION registered_until();

CREATE TABLE endpoint (
    id BIGINT PRIMARY KEY,
    shard SMALLINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    network TEXT NOT NULL,
    device TEXT COLLATE "C" NOT NULL,
    servers TEXT NOT NULL,
    profile TEXT NOT NULL,
    default_ttl DOUBLE PRECISION,
    object_list TEXT,
    confirmed SMALLINT NOT NULL,
    options TEXT NOT NULL,
    enabled SMALLINT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    changed_at DOUBLE PRECISION NOT NULL,
    UNIQUE (network, device)
);

CREATE TABLE north_source (
    scheme TEXT NOT NULL,
    source BIGINT NOT NULL,
    endpoint BIGINT NOT NULL,
    locals TEXT NOT NULL,
    given_at DOUBLE PRECISION NOT NULL,
    released_at DOUBLE PRECISION,
    shard SMALLINT NOT NULL,
    PRIMARY KEY (scheme, source)
);
CREATE UNIQUE INDEX north_source_endpoint ON north_source (endpoint) WHERE released_at IS NULL;
CREATE INDEX north_source_released ON north_source (scheme, released_at) WHERE released_at IS NOT NULL;

CREATE TABLE note (
    network TEXT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    device TEXT NOT NULL,
    shard SMALLINT NOT NULL,
    value BYTEA NOT NULL,
    PRIMARY KEY (network, key)
);
CREATE INDEX note_device ON note (network, device) WHERE device <> '';

-- One row. `next`: the first id that is not reserved. `owner`: which process may commit. `committed`: its last transaction.
CREATE TABLE id_mark (
    one SMALLINT PRIMARY KEY CHECK (one = 1),
    next BIGINT NOT NULL,
    owner TEXT NOT NULL,
    committed BIGINT NOT NULL
) WITH (fillfactor = 50);
INSERT INTO id_mark VALUES (1, 1, '', 0);

-- The largest id that a row of each of these tables ever had.
CREATE TABLE id_sequence (
    name TEXT PRIMARY KEY,
    seq BIGINT NOT NULL
) WITH (fillfactor = 50);
INSERT INTO id_sequence VALUES ('endpoint', 0), ('event', 0), ('webhook', 0), ('api_key', 0), ('audit', 0);

CREATE TABLE provisioning (
    endpoint BIGINT PRIMARY KEY,
    shard SMALLINT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    since DOUBLE PRECISION,
    retry_at DOUBLE PRECISION
);

CREATE TABLE activity (
    endpoint BIGINT PRIMARY KEY,
    shard SMALLINT NOT NULL,
    uplink BIGINT,
    uplink_at DOUBLE PRECISION,
    downlink BIGINT,
    downlink_at DOUBLE PRECISION
);

CREATE TABLE activity_mark (
    "only" SMALLINT PRIMARY KEY CHECK ("only" = 1),
    uplink BIGINT NOT NULL,
    downlink BIGINT NOT NULL
);
INSERT INTO activity_mark VALUES (1, 0, 0);

CREATE TABLE api_key (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    digest BYTEA NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION,
    revoked_at DOUBLE PRECISION
);

CREATE TABLE audit (
    id BIGINT PRIMARY KEY,
    at DOUBLE PRECISION NOT NULL,
    who TEXT NOT NULL,
    operation TEXT NOT NULL,
    subject TEXT NOT NULL,
    outcome TEXT NOT NULL
);
CREATE INDEX audit_at ON audit (at);

CREATE TABLE event (
    id BIGINT PRIMARY KEY,
    endpoint BIGINT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    data TEXT NOT NULL
);

CREATE TABLE webhook (
    id BIGINT PRIMARY KEY,
    url TEXT NOT NULL,
    secret BYTEA NOT NULL,
    types TEXT NOT NULL,
    prefix TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    told BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    retry_at DOUBLE PRECISION,
    trouble TEXT NOT NULL,
    disabled SMALLINT NOT NULL
);

CREATE TABLE dead_letter (
    webhook BIGINT NOT NULL,
    event BIGINT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    trouble TEXT NOT NULL,
    PRIMARY KEY (webhook, event)
);

CREATE TABLE direct (
    id BIGINT PRIMARY KEY,
    endpoint BIGINT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    who TEXT NOT NULL,
    idempotency_key TEXT,
    digest BYTEA NOT NULL,
    supersede_key TEXT
);
CREATE UNIQUE INDEX direct_idempotency ON direct (endpoint, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX direct_supersede ON direct (endpoint, supersede_key) WHERE supersede_key IS NOT NULL;

CREATE TABLE usage (
    endpoint BIGINT NOT NULL,
    day INTEGER NOT NULL,
    network TEXT COLLATE "C" NOT NULL,
    "group" TEXT COLLATE "C" NOT NULL,
    shard SMALLINT NOT NULL,
    down_messages BIGINT NOT NULL,
    down_bytes BIGINT NOT NULL,
    up_messages BIGINT NOT NULL,
    up_bytes BIGINT NOT NULL,
    hour BIGINT NOT NULL,
    hour_down_messages BIGINT NOT NULL,
    hour_down_bytes BIGINT NOT NULL,
    hour_up_messages BIGINT NOT NULL,
    hour_up_bytes BIGINT NOT NULL,
    minute BIGINT NOT NULL,
    minute_down_messages BIGINT NOT NULL,
    minute_down_bytes BIGINT NOT NULL,
    minute_up_messages BIGINT NOT NULL,
    minute_up_bytes BIGINT NOT NULL,
    PRIMARY KEY (endpoint, day, network, "group")
);
CREATE INDEX usage_day ON usage (day);

-- One row while a ledger of another kind is being moved in here. Until it is done, the bridge does not use the database.
CREATE TABLE moving (
    one SMALLINT PRIMARY KEY CHECK (one = 1),
    source TEXT NOT NULL,
    done SMALLINT NOT NULL
);
