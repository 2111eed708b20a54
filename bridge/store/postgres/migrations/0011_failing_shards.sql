-- How many of the shards that a node tried lately it could not serve, and why the latest of them failed; '' if none.
ALTER TABLE node ADD COLUMN failing INTEGER NOT NULL DEFAULT 0;
ALTER TABLE node ADD COLUMN failing_why TEXT NOT NULL DEFAULT '';
