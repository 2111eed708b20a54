-- Posts of networks that any bridge received. The one that serves the ledger removes each with the changes that it led to.
CREATE TABLE inbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    network TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    door TEXT NOT NULL,
    query TEXT NOT NULL,
    body BYTEA NOT NULL
);
