"""Emulated LwM2M 1.1 devices: `Device` in `device`, many of them in `fleet`, as a process in `command`."""
