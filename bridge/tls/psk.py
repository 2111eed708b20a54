"""Pre-shared keys for OpenSSL. pyOpenSSL has no interface to the callbacks; cryptography has bindings for them.

One callback serves the whole process: OpenSSL calls it with the session whose handshake needs the key.
"""

from typing import Any

from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL

from bridge.tls.credentials import PreSharedKey

_binding = Binding()
_ffi: Any = _binding.ffi
_lib: Any = _binding.lib

_waiting: dict[int, PreSharedKey] = {}  # by address of the SSL structure, for as long as its handshake lasts


@_ffi.callback(  # type: ignore[untyped-decorator]  # cffi is untyped
    "unsigned int(SSL *, const char *, char *, unsigned int, unsigned char *, unsigned int)"
)
def _answer(ssl: Any, _hint: Any, identity: Any, identity_room: int, key: Any, key_room: int) -> int:
    """Fill in identity, ended by NUL, and key; return the key's length, 0 where there is none."""
    found = _waiting.get(_address(ssl))
    if found is None or len(found.identity) >= identity_room or len(found.key) > key_room:
        return 0
    _ffi.memmove(identity, found.identity + b"\0", len(found.identity) + 1)
    _ffi.memmove(key, found.key, len(found.key))
    return len(found.key)


def offer(context: SSL.Context) -> None:
    """Let sessions of a context get their keys from this module."""
    _lib.SSL_CTX_set_psk_client_callback(context._context, _answer)  # noqa: SLF001  # there is no public way


def set_key(connection: SSL.Connection, key: PreSharedKey) -> None:
    """Keep a session's key until `forget`."""
    _waiting[_address(connection._ssl)] = key  # noqa: SLF001


def forget(connection: SSL.Connection) -> None:
    """Drop a session's key; harmless when called twice. Call it before the connection is freed."""
    _waiting.pop(_address(connection._ssl), None)  # noqa: SLF001


def kept() -> int:
    """Return how many keys are kept, for tests."""
    return len(_waiting)


def _address(ssl: Any) -> int:
    return int(_ffi.cast("uintptr_t", ssl))
