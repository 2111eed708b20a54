"""Why a device's data does not pass, from the network server's record of the device; with texts for people."""

from enum import Enum

from bindings.contract import Provisioned
from bindings.lorawan.provider import ServerRecord
from bindings.provisioning import ProvisioningState
from bridge.errors import CallFailed, CallTrouble


class Trouble(Enum):
    """Why a device's data does not pass."""

    MISSING = "missing"
    DISABLED = "disabled"
    ELSEWHERE = "elsewhere"


_CURES = {
    Trouble.MISSING: "add the device again with lwm2m-bridge device add, or remove its endpoint with lwm2m-bridge "
    "endpoint remove",
    Trouble.DISABLED: "enable it in the network server, or disable its endpoint",
    Trouble.ELSEWHERE: "move it back to the application of application_id, or remove its endpoint",
}
_WORDS = {
    Trouble.MISSING: "the network server does not have this device",
    Trouble.DISABLED: "the device is disabled in the network server",
    Trouble.ELSEWHERE: "the device is in another application: the bridge does not get its messages",
}


def trouble_in(server_record: ServerRecord) -> Trouble | None:
    """Return what is wrong with a device that the network server has."""
    if server_record.elsewhere:
        return Trouble.ELSEWHERE
    return Trouble.DISABLED if server_record.disabled else None


def trouble_of(error: CallFailed) -> Trouble | None:
    """Return what is wrong with a device that could not be read; None if that says nothing about the device."""
    return Trouble.MISSING if error.trouble is CallTrouble.NOT_FOUND and not error.unsure else None


def provisioned_event(device: str, trouble: Trouble | None) -> Provisioned:
    """Return the provisioning state of a device."""
    if trouble is None:
        return Provisioned(device, ProvisioningState.READY)
    return Provisioned(device, ProvisioningState.FAILED, f"{_WORDS[trouble]}; {_CURES[trouble]}")
