"""Several nodes on one ledger: which shards this node serves. No I/O, no clock."""
