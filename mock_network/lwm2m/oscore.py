"""OSCORE (RFC 8613) of the emulators: keys, and contexts that protect and verify single messages, by aiocoap's.

aiocoap's OSCORE is imported when the first context is made: what it is built on takes a while to load.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

AES_CCM_16_64_128, HKDF_SHA_256 = 10, -10  # COSE algorithms, the defaults of RFC 8613 §3.2
_WINDOW = 32  # RFC 8613 §3.2.2
_HASHES = {HKDF_SHA_256: "sha256", -11: "sha512"}


@dataclass(frozen=True, slots=True)
class OscoreKeys:
    """What both ends of a security context share, as this end sees it."""

    master_secret: bytes
    sender_id: bytes
    recipient_id: bytes
    master_salt: bytes = b""
    id_context: bytes | None = None
    aead: int = AES_CCM_16_64_128
    hkdf: int = HKDF_SHA_256

    def __repr__(self) -> str:
        return f"<OscoreKeys {self.sender_id.hex()} to {self.recipient_id.hex()}>"

    def mirrored(self) -> "OscoreKeys":
        """Return the keys as the other end sees them."""
        return OscoreKeys(
            self.master_secret,
            self.recipient_id,
            self.sender_id,
            self.master_salt,
            self.id_context,
            self.aead,
            self.hkdf,
        )


FindContext = Callable[[bytes, bytes | None], Any | None]


def keys_from(words: Mapping[str, str]) -> OscoreKeys:
    """Return the keys that hexadecimal words name: secret, sender, recipient, if wanted salt, context; ValueError."""
    if unknown := set(words) - {"secret", "sender", "recipient", "salt", "context"}:
        raise ValueError(f"unknown OSCORE parameter {min(unknown)}")
    try:
        found = {name: bytes.fromhex(text) for name, text in words.items()}
        return OscoreKeys(
            found["secret"], found["sender"], found["recipient"], found.get("salt", b""), found.get("context") or None
        )
    except KeyError as error:
        raise ValueError(f"OSCORE needs {error.args[0]}") from None
    except (ValueError, TypeError, AttributeError):
        raise ValueError("OSCORE parameters are hexadecimal") from None


class OscoreError(Exception):
    """A message that is not protected as it must be; the text says why."""


def _library() -> Any:
    from aiocoap import oscore

    return oscore


def new_context(keys: OscoreKeys, *, fresh: Callable[[], bytes] | None = None) -> Any:
    """Return a security context for these keys; OscoreError if they cannot be used.

    With `fresh`, this end has lost what it knew of the other's sequence numbers: the first request must carry the Echo
    value that it returns (RFC 8613 §B.1.2).
    """
    library = _library()
    try:
        context = _context_class(library)(keys)
    except (ValueError, KeyError, StopIteration) as error:
        raise OscoreError(f"these OSCORE parameters cannot be used: {error}") from error
    context.recipient_replay_window = library.ReplayWindow(_WINDOW, lambda: None)
    context.echo_recovery = None
    if fresh is None:
        context.recipient_replay_window.initialize_empty()
    else:
        context.echo_recovery = fresh()
    return context


def _context_class(library: Any) -> Any:
    class Context(library.CanProtect, library.CanUnprotect, library.SecurityContextUtils):  # type: ignore[misc]
        """A context in memory; the emulated device keeps it for its life."""

        def __init__(self, keys: OscoreKeys) -> None:
            self.sender_id, self.recipient_id, self.id_context = keys.sender_id, keys.recipient_id, keys.id_context
            names = {algorithm.value: name for name, algorithm in library.algorithms.items() if algorithm.value}
            self.alg_aead = library.algorithms[names[keys.aead]]
            self.hashfun = library.hashfunctions[_HASHES[keys.hkdf]]
            self.sender_sequence_number = 0
            self.derive_keys(keys.master_salt, keys.master_secret)

        def post_seqnoincrease(self) -> None:
            """Nothing to store: a context does not outlive its process."""

    return Context


def protect_request(context: Any, message: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return the protected form of a request, and what verifies its responses and notifications.

    The latter raises OscoreError for a response that is not, or not rightly, protected.
    """
    library = _library()
    remote, tuning = message.remote, message.transport_tuning
    message.remote = None
    protected, identifiers = context.protect(message)
    protected.remote, protected.transport_tuning = remote, tuning
    message.remote = remote

    def verify(response: Any) -> Any:
        try:
            opened, _ = context.unprotect(response, identifiers)
        except (library.ProtectionInvalid, library.NotAProtectedMessage) as error:
            raise OscoreError(f"a response that is not protected as its request is: {error}") from None
        return _as_carried(opened, response)

    return protected, verify


@dataclass(frozen=True, slots=True)
class Opened:
    """A verified request: its content, and the protection of its responses."""

    message: Any
    context: Any
    seal: Callable[[Any], Any]


class Refused(Exception):
    """A protected request that is answered with an error; `response` is sent unprotected (RFC 8613 §8.2)."""

    def __init__(self, response: Any) -> None:
        super().__init__()
        self.response = response


def open_request(message: Any, find: FindContext) -> Opened:
    """Verify a protected request; `find` returns the context for a kid and a kid context. Refused."""
    from aiocoap.message import Message
    from aiocoap.numbers.codes import Code

    library = _library()
    try:
        unprotected = library.verify_start(message)
        context = find(unprotected.get(library.COSE_KID, b""), unprotected.get(library.COSE_KID_CONTEXT))
        if context is None:
            raise Refused(Message(code=Code.UNAUTHORIZED, payload=b"Security context not found", max_age=0))
        opened, identifiers = context.unprotect(message)
    except library.ReplayErrorWithEcho as error:
        raise Refused(error.to_message()) from None
    except library.ReplayError:
        raise Refused(Message(code=Code.UNAUTHORIZED, payload=b"Replay detected", max_age=0)) from None
    except library.DecodeError:
        raise Refused(Message(code=Code.BAD_OPTION, payload=b"Failed to decode COSE", max_age=0)) from None
    except library.ProtectionInvalid:
        raise Refused(Message(code=Code.BAD_REQUEST, payload=b"Decryption failed", max_age=0)) from None

    def seal(response: Any) -> Any:
        observe, tuning = response.opt.observe, response.transport_tuning
        if observe is not None:
            response.opt.observe = 0  # §4.1.3.5.2: the number is outside
        sealed, _ = context.protect(response, identifiers)
        sealed.opt.observe, sealed.transport_tuning = observe, tuning
        return sealed

    return Opened(_as_carried(opened, message), context, seal)


def _as_carried(opened: Any, carrier: Any) -> Any:
    """Return the inner message with address, message ID, token and type of the outer one."""
    opened.remote, opened.mid, opened.token, opened.mtype = carrier.remote, carrier.mid, carrier.token, carrier.mtype
    if carrier.opt.observe is not None and opened.code.is_response():
        opened.opt.observe = carrier.opt.observe
    return opened
