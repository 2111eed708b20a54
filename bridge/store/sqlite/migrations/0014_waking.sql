-- How sleeping devices are woken up (bridge/relay/waking.py).

ALTER TABLE relay ADD COLUMN server_instance INTEGER;
ALTER TABLE relay ADD COLUMN woken_at REAL NOT NULL DEFAULT 0;
