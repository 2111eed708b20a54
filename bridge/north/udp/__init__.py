"""CoAP over UDP: each endpoint has one stable source address, so that a server can tell it by that."""
