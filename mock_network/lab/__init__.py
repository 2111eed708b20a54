"""A whole set-up on one machine: clock, SCEF, devices, server and bridge, each a process of its own on real sockets."""

from mock_network.lab.api import Api, ApiError
from mock_network.lab.broker import MOSQUITTO, Broker
from mock_network.lab.lab import SCS_AS, TOKEN, Bridge, Lab, Part, PartLocation
from mock_network.lab.ports import free_port, free_ports
from mock_network.lab.process import LabProcess, ProcessEnded, Running

__all__ = [
    "MOSQUITTO",
    "SCS_AS",
    "TOKEN",
    "Api",
    "ApiError",
    "Bridge",
    "Broker",
    "Lab",
    "LabProcess",
    "Part",
    "PartLocation",
    "ProcessEnded",
    "Running",
    "free_port",
    "free_ports",
]
