"""CoAP over TCP and TLS toward servers (coap+tcp, coaps+tcp; RFC 8323): a connection for each endpoint and server."""
