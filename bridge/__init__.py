"""The bridge: any unmodified LwM2M server manages devices that have no IP."""
