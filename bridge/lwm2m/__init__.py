"""LwM2M requests and values: paths, operations as CoAP messages, resource values in the content formats. No I/O."""
