"""The provisioning state of a device, derived from the record of its configuration."""

from bindings.contract import Provisioned
from bindings.nidd.notes import DeviceNote, State
from bindings.provisioning import ProvisioningState

_WHY = {
    State.LOST: "the SCEF ended the configuration: the bridge creates a new one",
    State.DOUBTED: "the configuration may be gone: the bridge asks the SCEF",
}


def provisioned_event(device: str, record: DeviceNote, trouble: str = "") -> Provisioned | None:
    """Return the provisioning state of a device; None while its configuration is being removed.

    `trouble`: the failure of the latest job, if that is the reason of the record's state.
    """
    retry_at = float(record.due) if record.failures else None
    if record.state is State.REMOVING:
        return None
    if record.state is State.ACTIVE:
        return Provisioned(device, ProvisioningState.READY, trouble, retry_at)
    if record.failures:
        return Provisioned(device, ProvisioningState.FAILED, trouble, retry_at)
    return Provisioned(device, ProvisioningState.PENDING, _WHY.get(record.state, ""))
