-- What each endpoint used of each network and day (bridge/quota/usage.py): counted from now on.

CREATE TABLE usage (
    endpoint INTEGER NOT NULL,
    day INTEGER NOT NULL,
    network TEXT NOT NULL,
    "group" TEXT NOT NULL,
    shard INTEGER NOT NULL,
    down_messages INTEGER NOT NULL,
    down_bytes INTEGER NOT NULL,
    up_messages INTEGER NOT NULL,
    up_bytes INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    hour_down_messages INTEGER NOT NULL,
    hour_down_bytes INTEGER NOT NULL,
    hour_up_messages INTEGER NOT NULL,
    hour_up_bytes INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    minute_down_messages INTEGER NOT NULL,
    minute_down_bytes INTEGER NOT NULL,
    minute_up_messages INTEGER NOT NULL,
    minute_up_bytes INTEGER NOT NULL,
    PRIMARY KEY (endpoint, day, network, "group")
) STRICT, WITHOUT ROWID;

CREATE INDEX usage_day ON usage (day);
