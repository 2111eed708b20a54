"""Links that have to be opened: what DTLS sessions and TCP and TLS connections have in common."""
