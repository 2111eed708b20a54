"""An emulated LwM2M 1.1 server: `LwM2mServer` in `server`, as a process in `command`."""
