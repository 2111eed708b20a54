-- The server's block that a downlink is a part of (R25); NULL for all but the few that were split.
ALTER TABLE downlink ADD COLUMN split_from BLOB;
