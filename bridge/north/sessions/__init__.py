"""Links that have to be opened: shared by DTLS sessions, and TCP and TLS connections."""
