"""A master key in a PKCS #11 token: the key never leaves the token, which computes the keys of endpoints."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from bridge.errors import ConfigurationError
from bridge.extras import cure
from bridge.north.identities.contract import EndpointNames
from bridge.north.identities.psk import check_template, identity_of
from bridge.tls.credentials import PreSharedKey

_SCHEME = "pkcs11:"
_FORM = "pkcs11:token=NAME;object=NAME?module-path=/path/to/library.so&pin-source=file:/path"


@dataclass(frozen=True, slots=True)
class TokenUri:
    """Where a key is (RFC 7512): the label of its token and its own, the library, and the user's PIN."""

    token: str
    label: str
    module: str
    pin: str

    def __repr__(self) -> str:
        return f"<TokenUri {self.token}/{self.label}>"


def read_token_uri(text: str) -> TokenUri:
    """Return a parsed PKCS #11 URI. Raises ConfigurationError, which never shows a PIN."""
    path, _, query = text.removeprefix(_SCHEME).partition("?")
    names, options = _attributes(path, ";"), _attributes(query, "&")
    token, label, module = names.get("token"), names.get("object"), options.get("module-path")
    if not (text.startswith(_SCHEME) and token and label and module):
        raise ConfigurationError(f"key is not a PKCS #11 URI (RFC 7512); write {_FORM}")
    return TokenUri(token, label, module, _pin(options))


def _attributes(text: str, separator: str) -> dict[str, str]:
    """Return the attributes of a part of a URI. A plus sign is itself (RFC 7512 §2.3)."""
    parts = (part.partition("=")[::2] for part in text.split(separator))
    return {name: unquote(value) for name, value in parts}


def _pin(options: dict[str, str]) -> str:
    source = options.get("pin-source")
    if source is None:
        return options.get("pin-value", "")
    try:
        return Path(source.removeprefix("file:")).read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeError):
        raise ConfigurationError(f"key: pin-source {source} cannot be read") from None


class TokenKeys:
    """`KeySource`: as `DerivedKeys`, with the master key in a token."""

    def __init__(self, identity: str, uri: TokenUri) -> None:
        self._identity = check_template(identity)
        self._key = TokenKey(uri)

    def credentials(self, who: EndpointNames) -> PreSharedKey:
        """Return the endpoint's identity, and its key. This is one call of the token."""
        identity = identity_of(self._identity, who)
        return PreSharedKey(identity, self._key.sign(identity))

    def check(self) -> None:
        """Let the token compute a key, as a test."""
        self._key.sign(b"check")


class TokenKey:
    """A key that stays in its token. A token that was removed is opened again."""

    def __init__(self, uri: TokenUri) -> None:
        self._uri = uri
        self._key: Any = None

    def sign(self, data: bytes) -> bytes:
        """Return HMAC-SHA256 of some data under the key. Raises ConfigurationError."""
        again = self._key is not None
        try:
            return self._sign(data)
        except ConfigurationError:
            if not again:
                raise
            self._key = None
            return self._sign(data)

    def _sign(self, data: bytes) -> bytes:
        library = _library()
        try:
            if self._key is None:
                self._key = self._open(library)
            signed: bytes = self._key.sign(data, mechanism=library.Mechanism.SHA256_HMAC)
        except library.PKCS11Error as error:
            what = f"{type(error).__name__} {error}".strip()
            raise ConfigurationError(f"key: {self._uri!r} cannot be used: {what}") from None
        return signed

    def _open(self, library: Any) -> Any:
        try:
            module = library.lib(self._uri.module)
        except RuntimeError:
            raise ConfigurationError(f"key: {self._uri.module} is not a PKCS #11 library") from None
        token = module.get_token(token_label=self._uri.token)
        try:
            session = token.open(user_pin=self._uri.pin or None)
        except library.UserAlreadyLoggedIn:  # by another server's keys: a login is valid for the whole process
            session = token.open()
        return session.get_key(object_class=library.ObjectClass.SECRET_KEY, label=self._uri.label)


def _library() -> Any:
    try:
        import pkcs11
    except ModuleNotFoundError as error:
        missing = cure(error.name, "pkcs11", "lwm2m-nonip-bridge") or str(error)
        raise ConfigurationError(f"key_from = pkcs11: {missing}") from None
    return pkcs11
