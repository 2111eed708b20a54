-- From here on the shard of an endpoint is the part of the prefix that its address lies in (bridge/directory/allocation.py).
-- Which part that is depends on the configured prefix: the next start looks at every endpoint, and moves its rows where
-- needed. Addresses stay as they are.

ALTER TABLE north_source ADD COLUMN shard INTEGER NOT NULL DEFAULT 0;
