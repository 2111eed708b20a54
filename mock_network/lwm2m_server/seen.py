"""Records what the emulated server received: acknowledgements, answers, notifications, for tests."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mock_network.lwm2m.transport import Address, Datagram

MAX_ENTRIES = 1_000_000


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that happened. `kind` is one of:

    request           a request left (again: `detail` is "again")
    acknowledged      an ACK to a request came, empty or with the response in it (`detail`: "empty", "piggybacked")
    response          the response that a caller got
    notification      a notification of a known observation, in order of arrival
    ack sent, rst sent  the server's own Empty messages; a response after its caller's time gets RST
    rst               the device answered RST
    timeout           a caller's time was over (`detail` names the operation)
    not acknowledged  a CON request was given up after all retransmissions
    registered, updated, deregistered, expired, refused   what became of a registration (`code`: the answer)
    send              a Send was taken (`code`: the answer)

    `time` is seconds of the loop's clock, `wall` of 1970; `digest` the first 16 hex digits of the payload's SHA-256.
    """

    number: int
    time: float
    wall: float
    kind: str
    endpoint: str
    peer: str
    mid: int | None = None
    token: str = ""
    code: str = ""
    observe: int | None = None
    digest: str = ""
    size: int = 0
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the values that the control API shows."""
        return asdict(self)


def digest(payload: bytes) -> str:
    """Return a short form of a payload for comparisons."""
    return hashlib.sha256(payload).hexdigest()[:16] if payload else ""


class SeenLog:
    """Entries in order of happening; `name_of` tells the endpoint behind an address, `now` loop and wall time."""

    def __init__(self, now: Callable[[], tuple[float, float]], name_of: Callable[[Address], str]) -> None:
        self.entries: list[Seen] = []
        self._now = now
        self._name_of = name_of
        self._requests: dict[tuple[Address, int], bytes] = {}
        """Token of each request by MID, since an Empty ACK carries none."""

    def note(self, kind: str, peer: Address, *, endpoint: str | None = None, **more: Any) -> Seen:
        """Add an entry of now."""
        time, wall = self._now()
        name = self._name_of(peer) if endpoint is None else endpoint
        entry = Seen(len(self.entries), time, wall, kind, name, f"{peer[0]}:{peer[1]}", **more)
        if len(self.entries) < MAX_ENTRIES:
            self.entries.append(entry)
        return entry

    def tap(self, datagram: Datagram) -> None:
        """Record a message; responses and notifications are recorded by their receivers."""
        key = (datagram.peer, datagram.mid)
        is_request = datagram.code.startswith("0.") and not datagram.empty
        if datagram.outgoing and is_request:
            again = self._requests.get(key) == datagram.token
            self._requests[key] = datagram.token
            self._from_wire("request", datagram, detail="again" if again else "")
        elif datagram.outgoing and datagram.empty:
            kind = {"ACK": "ack sent", "RST": "rst sent"}.get(datagram.type)
            if kind is not None:
                self._from_wire(kind, datagram)
        elif not datagram.outgoing and datagram.type == "ACK" and key in self._requests:
            detail = "empty" if datagram.empty else "piggybacked"
            self._from_wire("acknowledged", datagram, token=self._requests[key].hex(), detail=detail)
        elif not datagram.outgoing and datagram.type == "RST":
            token = self._requests.get(key, b"").hex()
            self._from_wire("rst", datagram, token=token)

    def _from_wire(self, kind: str, datagram: Datagram, **more: Any) -> None:
        said: Mapping[str, Any] = {
            "mid": datagram.mid,
            "token": datagram.token.hex(),
            "code": "" if datagram.empty else datagram.code,
            "observe": datagram.observe,
            "digest": digest(datagram.payload),
            "size": datagram.size,
        }
        self.note(kind, datagram.peer, **{**said, **more})

    def of(self, kind: str, endpoint: str | None = None) -> list[Seen]:
        """Return the entries of a kind, of one endpoint or of all."""
        return [entry for entry in self.entries if entry.kind == kind and endpoint in {None, entry.endpoint}]
