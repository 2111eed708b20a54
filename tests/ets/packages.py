"""Firmware packages that the emulated device installs."""

import hashlib
import json


def firmware(version: str, size: int) -> bytes:
    """Return a package of some `size` bytes that is installed as `version` and restarts the device."""
    body = bytes(size)
    head = {"version": version, "restart": True, "sha256": hashlib.sha256(body).hexdigest()}
    return b"#firmware " + json.dumps(head).encode() + b"\n" + body
