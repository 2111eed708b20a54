"""DTLS and TLS sessions toward servers, client side, behind one interface over several libraries. No I/O."""
