-- Events for others, and the webhooks that are told of them (bridge/store/outbox.py).

CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint INTEGER NOT NULL,
    at REAL NOT NULL,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    data TEXT NOT NULL
) STRICT;

CREATE TABLE webhook (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    url TEXT NOT NULL,
    secret BLOB NOT NULL,
    types TEXT NOT NULL,
    prefix TEXT NOT NULL,
    created_at REAL NOT NULL,
    told INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    retry_at REAL,
    trouble TEXT NOT NULL,
    disabled INTEGER NOT NULL
) STRICT;

CREATE TABLE dead_letter (
    webhook INTEGER NOT NULL,
    event INTEGER NOT NULL,
    at REAL NOT NULL,
    trouble TEXT NOT NULL,
    PRIMARY KEY (webhook, event)
) STRICT, WITHOUT ROWID;
