"""The states of provisioning; a part of the contract that commands import without the rest."""

from enum import StrEnum


class ProvisioningState(StrEnum):
    """Whether a network carries a device's data to the bridge."""

    WANTED = "wanted"  # provisioning has not begun
    PENDING = "pending"  # the network was asked, or will be soon
    READY = "ready"  # the network carries the data
    FAILED = "failed"  # it failed; see the reason
