"""Whether a device speaks DTLS or OSCORE with its servers: then nothing is asked of it in plain text (R26, R27)."""

from bridge.relay.state import Step


def record_unreadable(step: Step) -> None:
    """Record that the device, or a server of it, sent something that only the other end can read."""
    relay = step.state.relay
    if relay is None or not relay.secured:
        step.relay_row().secured = True


def record_plain_text(step: Step) -> None:
    """Record that the device has registered in plain text: whatever it did before, it is not secured now."""
    if step.state.relay is not None and step.state.relay.secured:
        step.relay_row().secured = False


def is_secured(step: Step) -> bool:
    return step.state.relay is not None and step.state.relay.secured
