"""Keys by which an endpoint of the directory is found."""

import msgspec

from bridge.directory.record import EndpointRecord


class ById(msgspec.Struct, frozen=True, gc=False):
    """The id under which the ledger knows the endpoint."""

    endpoint: int


class ByName(msgspec.Struct, frozen=True, gc=False):
    """The endpoint client name."""

    name: str


class ByDevice(msgspec.Struct, frozen=True, gc=False):
    """The device address on its network, in canonical form."""

    network: str
    device: str


class BySource(msgspec.Struct, frozen=True, gc=False):
    """The number of the endpoint's own address toward servers (`bridge.north`), under a scheme."""

    scheme: str
    source: int


Key = ById | ByName | ByDevice | BySource


def keys_of(record: EndpointRecord) -> list[Key]:
    """Return every key of an endpoint."""
    keys: list[Key] = [ById(record.id), ByName(record.name), ByDevice(record.network, record.device)]
    if record.source is not None:
        keys.append(BySource(record.scheme, record.source))
    return keys
