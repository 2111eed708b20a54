"""CoAP over DTLS toward servers (coaps): a session for each endpoint and server, over the endpoint's own address."""
