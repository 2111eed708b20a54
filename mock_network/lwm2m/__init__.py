"""What the emulated LwM2M device and the emulated LwM2M server share: data model, content formats, a CoAP endpoint."""
