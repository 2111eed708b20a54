"""The keys under which secrets in the ledger are encrypted."""

from bridge.config.model import Config
from bridge.errors import ConfigurationError
from bridge.north.identities import read_token_uri
from bridge.north.identities.token import TokenKey
from bridge.store.sealing import Seal, read_key

_PURPOSE = b"lwm2m-bridge store key 1"  # what a token computes the key from, under its own


def store_seal(config: Config) -> Seal:
    """Return what seals secrets in the ledger. Raises ConfigurationError."""
    former = _key(config, "former_store_key")
    return Seal(_key(config, "store_key"), *([] if former is None else [former]))


def _key(config: Config, name: str) -> bytes | None:
    text: str = getattr(config.service, name)
    setting = f"{config.where('[service]')} {name}"
    if not text:
        return None
    if not text.startswith("pkcs11:"):
        return read_key(text, setting)
    try:
        return TokenKey(read_token_uri(text)).sign(_PURPOSE)
    except ConfigurationError as error:
        raise ConfigurationError(f"{setting}: {error}") from None
