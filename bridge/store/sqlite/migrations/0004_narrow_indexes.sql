-- Two small indexes for each table of messages. A row that the core needs without an end has `keep_until` 9e+18 (FOREVER
-- in bridge/delivery/rows.py): it is live. The pages of an index over the live rows are few, and the same for all
-- messages of a moment. In an index over the whole ledger each endpoint has pages of its own, so that each entry written
-- is a page of the log; a row comes there once, when it is finished.
--
-- SQLite uses such an index for queries that have its condition word by word (bridge/store/statements.py).

DROP INDEX downlink_kept;
DROP INDEX downlink_due;
DROP INDEX downlink_live;
CREATE INDEX downlink_live ON downlink (endpoint) WHERE keep_until = 9e+18;
CREATE INDEX downlink_finished ON downlink (endpoint, keep_until) WHERE keep_until < 9e+18;

DROP INDEX uplink_kept;
DROP INDEX uplink_due;
DROP INDEX uplink_live;
CREATE INDEX uplink_live ON uplink (endpoint) WHERE keep_until = 9e+18;
CREATE INDEX uplink_finished ON uplink (endpoint, keep_until) WHERE keep_until < 9e+18;
