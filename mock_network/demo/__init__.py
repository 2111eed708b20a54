"""The tour: an LwM2M server manages a device without IP, live, and every verdict comes from outside the bridge."""

from mock_network.demo.command import run_demo

__all__ = ["run_demo"]
