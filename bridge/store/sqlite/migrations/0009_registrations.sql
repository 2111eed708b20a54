-- An endpoint has a registration for each of its servers, all in one column (bridge/relay/registrations.py). A registration
-- of before was that of the server which got the endpoint's last Register; where no such message is kept, the device is made
-- to register anew. An observation says what is observed, so that a newer one takes its place, and when it was last heard.

ALTER TABLE relay ADD COLUMN registrations BLOB;

UPDATE relay SET registrations = registrations_of(location, latest.server, latest.received_at)
FROM (SELECT endpoint, server, received_at, max(id) FROM uplink WHERE operation = 'Register' GROUP BY endpoint) AS latest
WHERE relay.endpoint = latest.endpoint AND location <> '';

ALTER TABLE relay DROP COLUMN location;

ALTER TABLE observation ADD COLUMN path TEXT NOT NULL DEFAULT '';
ALTER TABLE observation ADD COLUMN asks BLOB NOT NULL DEFAULT x'';
ALTER TABLE observation ADD COLUMN heard_at REAL NOT NULL DEFAULT 0;

UPDATE observation SET heard_at = since;
