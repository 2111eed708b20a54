"""The DevEUI: 16 hexadecimal digits, lower case, as ChirpStack prints it. People write it in many other ways."""

from bridge.errors import ConfigurationError

EUI64_DIGITS = 16
RELAY_F_PORT = 226
LAST_APPLICATION_F_PORT = 223  # TS001-1.0.4 §4.3.2: 224 is for certification, 225 to 255 are reserved
_NOT_FOR_APPLICATIONS = {
    "0": "FPort 0 carries MAC commands; use 1 to 223",
    "224": "224 is reserved for certification tests; use 1 to 223",
    str(RELAY_F_PORT): "226 is reserved for the relay protocol; use 1 to 223",
}
LAYERS = {
    202: ("ts003", "clock synchronization (TS003)"),
    201: ("ts004", "fragmented data blocks (TS004)"),
    200: ("ts005", "multicast set-up (TS005)"),
}
"""Default FPort: what ChirpStack calls it in a device profile, and for people, of each application layer package."""
_SEPARATORS = str.maketrans("", "", ":-. ")
_DIGITS = frozenset("0123456789abcdef")


def canonical_device(device: str) -> str:
    """Return the canonical form of a DevEUI in any case and with any separators. Raises ConfigurationError."""
    if len(device) == EUI64_DIGITS and _DIGITS.issuperset(device):
        return device  # as ChirpStack writes it
    found = device.strip().translate(_SEPARATORS).lower().removeprefix("0x")
    if len(found) != EUI64_DIGITS or not _DIGITS.issuperset(found):
        raise ConfigurationError(f"{device!r} is not a DevEUI: 16 hexadecimal digits, such as 70b3d57ed0000001")
    return found


def f_port_of(value: str, option: str = "f_port") -> int:
    """Read an endpoint's FPort from the option with this name. Raises ConfigurationError."""
    number = int(value) if value.isascii() and value.isdigit() else 0
    if 1 <= number <= LAST_APPLICATION_F_PORT:
        return number
    why = _NOT_FOR_APPLICATIONS.get(value, "an application's FPort is 1 to 223")
    raise ConfigurationError(f"option {option} {value!r}: {why}")
