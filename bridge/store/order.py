"""What lists of endpoints can be sorted by."""

from enum import StrEnum


class Order(StrEnum):
    """Equal ones follow in the order of their ids."""

    NAME = "name"
    ADDRESS = "address"
    CREATED = "created"
    UPLINK = "last uplink"
    DOWNLINK = "last downlink"
    WAITING = "waiting"
