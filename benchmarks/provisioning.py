"""How fast devices are provisioned by a SCEF that answers at once: what is left is the bridge."""

import time
from typing import Any

from benchmarks.load import Load
from benchmarks.scenarios import devices, running_bridge


def provisioning(count: int) -> dict[str, Any]:
    """Return the figures for `count` new devices, from the first configuration to the last."""
    load = Load(devices(count))
    try:
        began = time.monotonic()
        with running_bridge(load) as (side, _):
            seconds = load.last_provisioned - load.first_provisioned
            return {
                "devices": count,
                "seconds": seconds,
                "per_second": count / seconds,
                "cpu_per_device": side.cpu() / count,
                "with_import_and_start": load.last_provisioned - began,
                "memory": side.memory(),
            }
    finally:
        load.close()


def show_provisioning(count: int) -> None:
    """Print them."""
    found = provisioning(count)
    print(
        f"{found['devices']} devices in {found['seconds']:.0f} s, {found['per_second']:.0f} a second; "
        f"{found['cpu_per_device'] * 1e6:.0f} µs of processor time each; {found['memory'] / 1e6:.0f} MB"
    )
