"""CoAP messages as bytes: codec, option registry, one hop's message layer. No I/O."""
