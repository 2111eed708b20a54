-- Nodes of a cluster receive posts for each other: each takes those of the shards that it holds. -1: of no shard.
ALTER TABLE inbox ADD COLUMN shard INTEGER NOT NULL DEFAULT -1;
CREATE INDEX inbox_by_shard ON inbox (shard, id);
