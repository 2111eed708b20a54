-- A note of a binding may belong to a device. It is then read together with the device's endpoint, and carries its shard.
-- Both bindings of that time kept a device's note under `d/` and its address. NIDD kept the address under `c/` and the
-- id of a configuration.

CREATE TABLE note (
    network TEXT NOT NULL,
    key TEXT NOT NULL,
    device TEXT NOT NULL,
    shard INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (network, key)
) STRICT, WITHOUT ROWID;

INSERT INTO note
SELECT m.network, m.key,
    CASE
        WHEN m.key GLOB 'd/*' THEN substr(m.key, 3)
        WHEN d.key IS NOT NULL THEN CAST(m.value AS TEXT)
        ELSE ''
    END,
    0, m.value
FROM binding_memory m
LEFT JOIN binding_memory d ON m.key GLOB 'c/*' AND d.network = m.network AND d.key = 'd/' || CAST(m.value AS TEXT);

DROP TABLE binding_memory;

CREATE INDEX note_device ON note (network, device) WHERE device <> '';
