-- Nodes that share the ledger ([cluster]), and which of them holds which shard. Without a cluster `node` is empty.

-- `incarnation`: the process that has the name; '' when others took its shards. `until`: when its lease ends, by this server's clock.
-- `backend`: the server's process for the session that commits. `committed`: its last transaction. `first_id`: it gives no smaller
-- id to a message any more.
CREATE TABLE node (
    name TEXT COLLATE "C" PRIMARY KEY,
    incarnation TEXT NOT NULL,
    release TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    until TIMESTAMPTZ NOT NULL,
    backend INTEGER NOT NULL,
    committed BIGINT NOT NULL,
    first_id BIGINT,
    draining SMALLINT NOT NULL
) WITH (fillfactor = 50);

-- `holder`: the name of a node, '' for none. `epoch` rises whenever a node takes the shard.
CREATE TABLE shard (
    id SMALLINT PRIMARY KEY CHECK (id BETWEEN 0 AND 255),
    holder TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    since TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 50);
INSERT INTO shard SELECT number, '', 0, clock_timestamp() FROM generate_series(0, 255) AS number;
