"""Network parameters that a SCS/AS asked for. Mutable, owned by the core."""

from dataclasses import dataclass

from mock_network.scef.schema.parameters import ConfigResult, NpConfiguration


@dataclass(slots=True, eq=False)
class Provision:
    """One resource of 3gpp-network-parameter-configuration; `terms` is the SCS/AS's request."""

    id: str
    number: int
    scs_as: str
    ues: tuple[str, ...]
    terms: NpConfiguration
    features: int | None
    refused: tuple[ConfigResult, ...] = ()  # members of a group that may not have them, until notified
