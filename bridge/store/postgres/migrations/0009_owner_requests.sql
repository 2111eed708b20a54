-- Operations that were asked of a node which does not serve the endpoint: the holder of the shard carries them out.
CREATE TABLE owner_request (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shard INTEGER NOT NULL,
    operation TEXT NOT NULL,
    body BYTEA NOT NULL,
    who TEXT NOT NULL,
    until TIMESTAMPTZ NOT NULL,
    begun INTEGER NOT NULL DEFAULT 0,
    answer BYTEA
);
CREATE INDEX owner_request_by_shard ON owner_request (shard, id) WHERE answer IS NULL;
