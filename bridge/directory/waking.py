"""Options of an endpoint that say how its device is woken up by a trigger (Core TS 1.1 §6.6)."""

from collections.abc import Mapping

from bindings.option_names import WAKE_ACCEPTS, WAKE_BY, WAKE_ENDPOINT, WAKE_INSTANCE
from bridge.errors import DirectoryError
from bridge.relay.model import Wake

_RESOURCES = {"update": 8, "bootstrap": 9}  # Registration Update Trigger, Bootstrap-Request Trigger of object 1
_INSTANCES = range(65535)  # OMA objects: 65535 is reserved
_DIGITS = 5


def check_wake_options(options: Mapping[str, str]) -> None:
    """Raise DirectoryError if options of waking up contradict each other."""
    endpoint = options.get(WAKE_ENDPOINT)
    others = [name for name in (WAKE_ACCEPTS, WAKE_BY, WAKE_INSTANCE) if name in options]
    if endpoint is None:
        if others:
            raise DirectoryError(f"option {others[0]} has no effect without {WAKE_ENDPOINT}")
        return
    if not endpoint:
        raise DirectoryError(f"option {WAKE_ENDPOINT} is empty: name the endpoint by which the device is woken up")
    if options.get(WAKE_ACCEPTS) != "true":
        raise DirectoryError(
            f'option {WAKE_ENDPOINT} needs {WAKE_ACCEPTS} = "true", which says that the device takes triggers: its '
            "/1/x/21 is true, its /0/x/6 is NoSec, and /0/x/9 is the number that the SMS come from"
        )
    by = options.get(WAKE_BY, "update")
    if by not in _RESOURCES:
        raise DirectoryError(f"option {WAKE_BY} {by[:40]!a} is none of: {', '.join(_RESOURCES)}")
    instance = options.get(WAKE_INSTANCE, "0")
    if not (instance.isascii() and instance.isdigit() and len(instance) <= _DIGITS and int(instance) in _INSTANCES):
        raise DirectoryError(f"option {WAKE_INSTANCE} {instance[:40]!a} is no instance: 0 to {_INSTANCES.stop - 1}")


def wake_of(options: Mapping[str, str]) -> Wake | None:
    """Return how a device is woken up, by options that were checked; None: it is not."""
    endpoint = options.get(WAKE_ENDPOINT)
    if endpoint is None:
        return None
    instance = options.get(WAKE_INSTANCE)
    resource = _RESOURCES[options.get(WAKE_BY, "update")]
    return Wake(endpoint, resource, None if instance is None else int(instance))
