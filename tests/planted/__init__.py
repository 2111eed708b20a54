"""The whole suite looks for secrets in what the bridge says: a plugin of pytest, which no test can forget."""
