"""Firmware packages that the emulated device installs."""

import hashlib
import json
from typing import Any


def firmware(version: str, size: int, **says: Any) -> bytes:
    """Return a package of some `size` bytes that is installed as `version` and restarts the device.

    `says` is more that it says of itself, or otherwise (`mock_network/device/firmware.py`).
    """
    body = bytes(size)
    head = {"version": version, "restart": True, "sha256": hashlib.sha256(body).hexdigest(), **says}
    return b"#firmware " + json.dumps(head).encode() + b"\n" + body
