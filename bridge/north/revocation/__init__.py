"""Whether servers' certificates are revoked: OCSP responders are asked when a session opens, never per message."""
