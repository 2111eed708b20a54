"""The contract of a source of credentials."""

from dataclasses import dataclass
from typing import Protocol

from bridge.tls.credentials import Credentials


@dataclass(frozen=True, slots=True)
class EndpointNames:
    """The names of an endpoint that templates can use."""

    endpoint: str  # endpoint client name
    network: str
    device: str  # its canonical address there


class KeySource(Protocol):
    """Finds the credentials of endpoints toward one server."""

    def credentials(self, who: EndpointNames) -> Credentials:
        """Return an endpoint's credentials. Raises ConfigurationError with the cure. Quick; may read a small file."""

    def check(self) -> None:
        """Raise ConfigurationError for faults that can be found without an endpoint."""
