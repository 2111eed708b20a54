"""Makes providers: the only module that knows the products by name."""

from bindings.lorawan.chirpstack.provider import ChirpStack
from bindings.lorawan.provider import Provider
from bindings.lorawan.settings import LorawanSettings


def make_provider(settings: LorawanSettings) -> Provider:
    """Return a provider for the settings; it opens nothing yet. Raises ConfigurationError."""
    return ChirpStack(settings)
