"""Sort orders of lists of endpoints."""

from enum import StrEnum


class Order(StrEnum):
    """A sort order; endpoints with equal values are in the order of their ids."""

    NAME = "name"
    ADDRESS = "address"
    CREATED = "created"
    UPLINK = "last uplink"
    DOWNLINK = "last downlink"
    WAITING = "waiting"
