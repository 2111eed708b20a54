-- What is known of each attempt stands in one column (bridge/delivery/attempts.py), and all else follows from that. A column
-- of flags and counters cannot say when each attempt happened; `attempts_of` makes the attempts that such a row allows, never
-- one that claims more. A network that may have a message is asked for it at the next start, as before.

CREATE TABLE downlink_with_attempts (
    id INTEGER PRIMARY KEY,
    endpoint INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    kind TEXT NOT NULL,
    accepted_at REAL NOT NULL,
    operation TEXT NOT NULL,
    repeatable INTEGER NOT NULL,
    deliver_by REAL NOT NULL,
    body BLOB NOT NULL,
    attempts BLOB,
    state TEXT NOT NULL,
    over INTEGER NOT NULL,
    not_before REAL,
    no_further_copy INTEGER NOT NULL,
    cancel_asked INTEGER NOT NULL,
    reason TEXT NOT NULL,
    finished_at REAL,
    keep_until REAL NOT NULL,
    due REAL,
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

INSERT INTO downlink_with_attempts
SELECT
    id, endpoint, shard, kind, accepted_at, operation, repeatable, coalesce(deliver_by, answer_by, accepted_at), body,
    attempts_of(state, over, attempt, sent, sent_at, failures, repeated, handle, setback, accepted_at),
    state, over, not_before, sent > 0 AND failures >= 5, cancel_asked, reason, finished_at, keep_until, due,
    coap_type, code, south_mid, south_token, server, north_mid, north_token, observe, priority, answer_by, answered, late,
    split_from, answers
FROM downlink;

DROP TABLE downlink;
ALTER TABLE downlink_with_attempts RENAME TO downlink;
CREATE INDEX downlink_live ON downlink (endpoint) WHERE keep_until = 9e+18;
CREATE INDEX downlink_finished ON downlink (endpoint, keep_until) WHERE keep_until < 9e+18;
