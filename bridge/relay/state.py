"""One endpoint in memory: its rows, the indexes that the rules need, and its short timers."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from bindings.contract import SouthProfile
from bridge.coap.message import ACK, RST
from bridge.coap.transmission import EXCHANGE_LIFETIME, Retransmission
from bridge.coap.udp import MessageIds
from bridge.delivery.deliveries import Deliveries
from bridge.delivery.downlinks import Downlink, ServerRequest
from bridge.delivery.effects import Effect
from bridge.delivery.kept import KeptRows
from bridge.delivery.rows import FOREVER
from bridge.delivery.uplinks import (
    CoapUplink,
    DeviceRequest,
    DeviceUplink,
    Notification,
    OpaqueUplink,
    Response,
    Uplink,
    Verdict,
)
from bridge.delivery.work import Work
from bridge.quota.account import Account
from bridge.relay.blocks import Fits
from bridge.relay.exchanges import Exchanges, may_fade
from bridge.relay.hops import PLAIN, SouthHop, to_server
from bridge.relay.model import (
    Endpoint,
    EndpointRows,
    Observation,
    Policy,
    RelayState,
    Server,
    ports_by_server,
    servers_by_port,
)
from bridge.relay.registrations import Registration

U = TypeVar("U", DeviceUplink, DeviceUplink | OpaqueUplink)

ROUND_TRIPS = 8  # exchanges from which the response time of a device is estimated
RETIRED = 64  # tokens that are not used again soon: the device may not know that an observation or exchange ended

Digested = (DeviceUplink, OpaqueUplink)
"""Uplinks from the device: their digest and their network's id are remembered (R13)."""


def always(_server: str, _message: bytes, _secure: bool) -> bool:  # as `Step.link_carries` has it
    """Return True: the link toward every server is open."""
    return True


class EndpointState:
    """All that the step knows of one endpoint. Made from its rows; unloaded when `is_quiet`."""

    __slots__ = (
        "account",
        "active",
        "by_digest",
        "by_duplicate_key",
        "by_north_mid",
        "by_port",
        "by_south_mid",
        "by_token",
        "deliveries",
        "empty_ack_due",
        "endpoint",
        "exchanges",
        "freed",
        "hold_due",
        "kept_others",
        "kept_uplinks",
        "last_long_token",
        "last_request",
        "last_token",
        "north_mids",
        "observations",
        "policy",
        "relay",
        "renumbers",
        "retired",
        "retransmissions",
        "round_trips",
        "south",
        "south_hop",
        "south_mids",
        "transfers",
        "uplinks",
    )

    def __init__(
        self, endpoint: Endpoint, policy: Policy, kept: EndpointRows, random: float, south_hop: SouthHop = PLAIN
    ) -> None:
        """Make the state from loaded rows; `random` in [0, 1) starts the message IDs if no row has one."""
        self.endpoint = endpoint
        self.policy = policy
        self.south_hop = south_hop
        self.account = Account(
            endpoint.id, endpoint.shard, endpoint.network, endpoint.group, kept.usage, kept.usage_since
        )
        self.deliveries = Deliveries(
            endpoint.device,
            endpoint.confirmed,
            endpoint.options,
            south_hop,
            self.account,
            keep=EXCHANGE_LIFETIME,
            late_grace=policy.late_grace,
            max_reports=policy.max_reports,
            ports=ports_by_server(endpoint.servers),
            reports=sorted(kept.reports, key=lambda r: r.id),
        )
        self.exchanges = Exchanges(self.deliveries.kept, policy.max_exchanges)
        self.by_token: dict[bytes, ServerRequest] = {}
        # Unfinished messages by the message IDs that the bridge chose: none of these is allocated again (R1, R2).
        # Finished ones keep their ID for 247 s or the device's exchange span. Row ids grow with message IDs, so that no
        # ID is used again sooner, not even after a restart.
        self.by_south_mid: dict[int | None, Downlink] = {}
        self.by_north_mid: dict[int | None, CoapUplink] = {}
        self.uplinks: dict[int, CoapUplink] = {}  # opaque ones are finished when they are sent
        self.kept_uplinks: KeptRows[DeviceUplink] = KeptRows()
        self.kept_others: KeptRows[DeviceUplink | OpaqueUplink] = KeptRows()
        self.last_request = 0  # the device's latest message
        self.by_digest: dict[bytes, DeviceUplink | OpaqueUplink] = {}
        self.by_port = servers_by_port(endpoint.servers)
        self.by_duplicate_key: dict[str, DeviceUplink | OpaqueUplink] = {}
        self.observations = {o.south_token: o for o in kept.observations}
        self.relay = kept.relay
        self.retired: deque[bytes] = deque(maxlen=RETIRED)
        self.active: dict[str, int] = {}  # server → the one device-originated CON on its way (R17)
        self.retransmissions: dict[int, Retransmission] = {}
        self.empty_ack_due: dict[int, float] = {}  # downlink → monotonic time (R5)
        self.hold_due: dict[int, float] = {}  # uplink → monotonic time (R16)
        self.south: SouthProfile | None = None  # of the last step
        self.round_trips: deque[float] = deque(
            maxlen=ROUND_TRIPS
        )  # seconds that the device took for its latest answers
        self.transfers: dict[tuple[str, tuple[str, ...]], float] = {}  # server and path of a write → its first block
        self.renumbers = False  # DTLS records went through a small network: later ones need higher numbers (R26)
        start = int(random * 65536)
        self.north_mids = MessageIds(start)
        self.south_mids = MessageIds(start)
        self.last_token = start & 0xFF
        self.last_long_token = start
        self.freed: deque[bytes] | None = None  # all tokens of one byte were in use: no search for a free one
        self._take_downlinks(kept)
        self._take_uplinks(kept)
        if kept.relay is not None and kept.relay.north_mid is not None:
            self.north_mids.continue_after(kept.relay.north_mid)

    def _take_downlinks(self, kept: EndpointRows) -> None:
        for row in sorted(kept.downlinks, key=lambda r: r.id):
            if not row.over:
                self.deliveries.live[row.id] = row
            elif type(row) is ServerRequest:
                self.deliveries.kept.keep(row)
            if type(row) is ServerRequest:
                self.index_request(row)
                if len(row.south_token) == 1:
                    self.last_token = row.south_token[0]
            if row.own_mid is not None:
                self.south_mids.last = row.own_mid
                if not row.over:
                    self.by_south_mid[row.own_mid] = row  # an answer, too

    def _take_uplinks(self, kept: EndpointRows) -> None:
        for up in sorted(kept.uplinks, key=lambda r: r.id):
            if isinstance(up, CoapUplink):
                self._take_message(up)
            else:
                self.keep_uplink(up)
            if isinstance(up, Digested):
                self.remember(up, repeats=kept.relay is None or up.received_at >= kept.relay.joined_at)

    def _take_message(self, up: CoapUplink) -> None:
        unfinished = up.keep_until == FOREVER  # or its response is still expected
        if unfinished:
            self.uplinks[up.id] = up
        else:
            self.keep_uplink(up)
        if isinstance(up, Response | Verdict) and up.coap_type in (ACK, RST) and self.deliveries.find(up.downlink):
            self.exchanges.replied(up, to_server(up))
        mid = up.own_mid
        if mid is not None:
            self.north_mids.last = mid
            if unfinished:
                self.by_north_mid[mid] = up

    def place(self, endpoint: Endpoint, policy: Policy) -> None:
        """Set the endpoint as it is in the directory now, and the policy for its messages from now on."""
        self.endpoint = endpoint
        self.policy = policy
        self.exchanges.most = policy.max_exchanges
        self.by_port = servers_by_port(endpoint.servers)
        self.account.place(endpoint.network, endpoint.group)
        d = self.deliveries
        d.device, d.confirmed, d.options = endpoint.device, endpoint.confirmed, endpoint.options
        d.ports = ports_by_server(endpoint.servers)
        d.late_grace, d.max_reports = policy.late_grace, policy.max_reports

    def index_request(self, row: ServerRequest) -> None:
        """Index a request by the IDs and tokens that server and device will send."""
        self.exchanges.requests[row.server, row.north_mid, row.north_token] = row
        self.by_token[row.south_token] = row
        if not row.over:
            self.by_south_mid[row.south_mid] = row

    def fits(self, token: bytes, largest: int) -> Fits:
        """Return a function that says whether a body, with this token, fits `largest` bytes toward the device."""
        size = self.south_hop.size_of
        return lambda body: size(token, body) <= largest

    @property
    def registrations(self) -> list[Registration]:
        """Return the endpoint's registrations, one for each server at most."""
        return self.relay.registrations if self.relay is not None else []

    def server(self, key: str) -> Server | None:
        for server in self.endpoint.servers:
            if server.key == key:
                return server
        return None

    def remember(self, row: DeviceUplink | OpaqueUplink, *, repeats: bool = True) -> None:
        """Index a device's message by the network's id of it, and by its digest if the device may repeat it."""
        if repeats:
            self.by_digest[row.digest] = row
        if row.duplicate_key is not None:
            self.by_duplicate_key[row.duplicate_key] = row
        if type(row) is DeviceRequest:
            self.last_request = row.id

    def allocate_token(self) -> bytes:
        """Return a token that no live, late or observed exchange uses; one byte long if possible (R1)."""
        if self.freed is None:
            for _ in range(256):
                self.last_token = (self.last_token + 1) & 0xFF
                token = bytes((self.last_token,))
                if self._is_free(token):
                    return token
            self.freed = deque()
        while self.freed:
            token = self.freed.popleft()
            if self._is_free(token):
                return token
        while True:
            self.last_long_token = (self.last_long_token + 1) & 0xFFFF
            token = self.last_long_token.to_bytes(2, "big")
            if self._is_free(token):
                return token

    def _is_free(self, token: bytes) -> bool:
        return token not in self.by_token and token not in self.observations and token not in self.retired

    def retire(self, token: bytes) -> None:
        """Do not use a token again soon."""
        if len(self.retired) == RETIRED:
            self._free(self.retired[0])
        self.retired.append(token)

    def _free(self, token: bytes) -> None:
        if self.freed is not None and len(token) == 1:
            self.freed.append(token)

    def uplink(self, row: int) -> Uplink | None:
        return self.uplinks.get(row) or self.kept_uplinks.get(row) or self.kept_others.get(row)

    def device_uplinks(self) -> Iterator[CoapUplink]:
        """Return messages that the device may repeat, and unfinished messages toward servers."""
        yield from self.uplinks.values()
        yield from self.kept_uplinks.values()

    def observation_of(self, server: str, north_token: bytes) -> Observation | None:
        """Return the observation that a server knows by this token; earlier ones with the same token may have ended."""
        for observation in self.observations.values():
            if observation.north_token == north_token and observation.server == server and observation.is_active:
                return observation
        return None

    def settle_uplink(self, row: CoapUplink, until: float) -> None:
        """Move a finished uplink to the remembered ones, until `until`, to recognise repeats."""
        row.keep_until = until
        row.due = None
        self.uplinks.pop(row.id, None)
        if self.by_north_mid.get(row.north_mid) is row:
            del self.by_north_mid[row.north_mid]
        self.keep_uplink(row)
        self.hold_due.pop(row.id, None)
        self.on_its_way_no_longer(row)

    def on_its_way_no_longer(self, row: CoapUplink) -> None:
        """Let the next message be sent: the server has this one, or will not get it, and it is not sent again (R17)."""
        self.retransmissions.pop(row.id, None)
        if self.active.get(row.server) == row.id:
            del self.active[row.server]

    def keep_uplink(self, row: Uplink) -> None:
        """Keep a finished message of the device until its `keep_until`, to recognise repeats."""
        if type(row) is Notification or type(row) is DeviceRequest:
            self.kept_uplinks.keep(row)
        elif type(row) is Response or type(row) is OpaqueUplink:
            self.kept_others.keep(row)

    def sweep(self, now: float) -> None:
        """Forget messages that are not needed, and beyond the bounds those that may be dropped (R30)."""
        kept, exchanges = self.deliveries.kept, self.exchanges
        if kept.soonest <= now or len(exchanges.requests) > exchanges.most or len(kept) > exchanges.most:
            self._forget_downlinks(exchanges.forget(now), now)
        uplinks, others, most = self.kept_uplinks, self.kept_others, self.policy.max_kept
        if uplinks.soonest <= now or len(uplinks) > most:
            self._forget_uplinks(uplinks, now)
        if others.soonest <= now or len(others) > most:
            self._forget_uplinks(others, now)

    def _forget_downlinks(self, rows: list[ServerRequest], now: float) -> None:
        for row in rows:
            token = row.south_token
            if self.by_token.get(token) is row:
                del self.by_token[token]
                self._free(token)
            if row.keep_until > now and not may_fade(row):
                self.retire(token)

    def _forget_uplinks(self, uplinks: KeptRows[U], now: float) -> None:
        rows = uplinks.forget(now)
        if len(uplinks) > self.policy.max_kept:
            rows += uplinks.make_room(self.policy.max_kept, self._used_other_ids_since)
        for row in rows:
            if self.by_digest.get(row.digest) is row:
                del self.by_digest[row.digest]
            if row.duplicate_key is not None and self.by_duplicate_key.get(row.duplicate_key) is row:
                del self.by_duplicate_key[row.duplicate_key]

    def _used_other_ids_since(self, since: Uplink) -> bool:
        """Return whether the device has used other message IDs since (R13); it has not since its latest request."""
        return since.id != self.last_request

    @property
    def remembered(self) -> int:
        """Return the number of finished messages that are remembered."""
        return len(self.deliveries.kept) + len(self.kept_uplinks) + len(self.kept_others)

    def is_in_transfer(self, now: float) -> bool:
        """Return whether a server's block-wise write still has time: only memory knows it (R25)."""
        for (key, _), began in self.transfers.items():
            server = self.server(key)
            if server is not None and server.profile.transfer is not None and now < began + server.profile.transfer:
                return True
        return False

    @property
    def is_quiet(self) -> bool:
        """Return whether nothing waits: the state can be unloaded, and loaded again at the next event."""
        d = self.deliveries
        return not (d.live or self.uplinks or d.call is not None or self.empty_ack_due or self.hold_due)


class Step(msgspec.Struct):
    """One running step: the endpoint, the collected changes and effects, and the current south profile."""

    state: EndpointState
    work: Work
    south: SouthProfile
    wall: float  # seconds, of the current south profile
    mono: float
    heard_at: float = 0.0  # wall time at which the network heard the device's message of this step
    accepted_at: float = 0.0  # wall time from which that message lives: when the network was told that it is kept
    port: str | None = None  # the application port of that message
    look_again_at: float | None = None  # wall time at which a sleeping device may have to be woken up
    link_carries: Callable[[str, bytes, bool], bool] = always

    def carries(self, server: str, message: bytes, *, secure: bool = False) -> bool:
        """Return whether this message to a server, or to its DTLS port, would leave now."""
        return self.link_carries(server, message, secure)

    def effect(self, effect: Effect) -> None:
        self.work.effects.append(effect)

    def relay_row(self) -> RelayState:
        """Return the endpoint's relay row for a change; it is stored with this step."""
        state = self.state
        if state.relay is None:
            state.relay = RelayState(state.endpoint.id, state.endpoint.shard)
            self.work.insert(state.relay)
        else:
            self.work.update(state.relay)
        return state.relay
