"""The states of provisioning; a part of the contract that commands import without the rest."""

from enum import StrEnum


class ProvisioningState(StrEnum):
    """Whether a network carries a device's data to the bridge."""

    WANTED = "wanted"  # the network was not asked yet
    PENDING = "pending"  # it was asked, or will be soon
    READY = "ready"  # it said that it carries the data
    FAILED = "failed"  # it refused, or cannot; the reason says which
