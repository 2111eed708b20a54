"""CoAP over UDP: each endpoint has one stable source address, by which a server recognises it."""
