-- A node that takes a shard reads the endpoints of that shard, and no others.
CREATE INDEX endpoint_by_shard ON endpoint (shard, id);
