"""One endpoint in memory: its rows with the indexes that the rules look things up by, and its short timers."""

from collections import deque
from collections.abc import Iterator

import msgspec

from bindings.contract import SouthProfile
from bridge.coap.codec import ACK
from bridge.coap.transmission import EXCHANGE_LIFETIME, Retransmission
from bridge.delivery.deliveries import REQUEST, Deliveries
from bridge.delivery.effects import Effect
from bridge.delivery.kept import KeptRows
from bridge.delivery.ledger import Downlink, Uplink
from bridge.delivery.rows import FOREVER
from bridge.delivery.work import Work
from bridge.relay.exchanges import Exchanges
from bridge.relay.model import Endpoint, Kept, Observation, Policy, RelayState, Server

RETIRED = 64  # tokens that are not given again soon: the device may not know that an observation or exchange ended
NETWORK_DUPLICATE_WINDOW = 2.0  # seconds: less than any device's ACK_TIMEOUT, so the same bytes are the network's doing
RECENT = 16  # messages that are looked at for it


DEVICE_KINDS = ("request", "notification")  # uplinks that begin an exchange, and that the device may repeat (R13)

HALF_OF_ALL_MIDS = 32768  # which of two message IDs is the newer one is told by the shorter way round


def is_acknowledgement(message: bytes) -> bool:
    """Whether bytes that the bridge wrote are an acknowledgement."""
    return bool(message) and message[0] >> 4 & 3 == ACK


class EndpointState:
    """All that the step knows of one endpoint. Made from its rows; let go when `is_quiet`."""

    __slots__ = (
        "active",
        "by_digest",
        "by_duplicate_key",
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
        "north_mid",
        "observations",
        "policy",
        "recent",
        "relay",
        "retired",
        "retransmissions",
        "south",
        "south_mid",
        "uplinks",
    )

    def __init__(self, endpoint: Endpoint, policy: Policy, kept: Kept, random: float) -> None:
        """Take the rows as loaded; `random` in [0, 1) starts the message IDs where no row says where they are."""
        self.endpoint = endpoint
        self.policy = policy
        self.deliveries = Deliveries(
            endpoint.device,
            endpoint.confirmed,
            endpoint.options,
            keep=EXCHANGE_LIFETIME,
            late_grace=policy.late_grace,
            max_reports=policy.max_reports,
            reports=sorted(kept.reports, key=lambda r: r.id),
        )
        self.exchanges = Exchanges(self.deliveries.kept, policy.max_exchanges)
        self.by_token: dict[bytes, Downlink] = {}
        self.uplinks: dict[int, Uplink] = {}
        self.kept_uplinks: KeptRows[Uplink] = KeptRows()  # of DEVICE_KINDS
        self.kept_others: KeptRows[Uplink] = KeptRows()
        self.last_request = 0  # the device's latest
        self.by_digest: dict[bytes, Uplink] = {}
        self.by_duplicate_key: dict[str, Uplink] = {}
        self.observations = {o.south_token: o for o in kept.observations}
        self.relay = kept.relay
        self.recent: dict[bytes, float] = {}  # digests of the last messages → when they came
        self.retired: deque[bytes] = deque(maxlen=RETIRED)
        self.active: dict[str, int] = {}  # server → the one device-originated CON on its way (R17)
        self.retransmissions: dict[int, Retransmission] = {}
        self.empty_ack_due: dict[int, float] = {}  # downlink → monotonic time (R5)
        self.hold_due: dict[int, float] = {}  # uplink → monotonic time (R16)
        self.south: SouthProfile | None = None  # of the last step
        start = int(random * 65536)
        self.north_mid = self.south_mid = start
        self.last_token = start & 0xFF
        self.last_long_token = start
        self.freed: deque[bytes] | None = None  # tokens of one byte, once all of them were taken: there is no search
        self._take_downlinks(kept)
        self._take_uplinks(kept)
        if kept.relay is not None and kept.relay.north_mid is not None:
            ahead = kept.relay.north_mid - self.north_mid & 0xFFFF
            if ahead < HALF_OF_ALL_MIDS:
                self.north_mid = kept.relay.north_mid

    def _take_downlinks(self, kept: Kept) -> None:
        for row in sorted(kept.downlinks, key=lambda r: r.id):
            self.index_downlink(row)
            if not row.over:
                self.deliveries.live[row.id] = row
            elif row.kind == REQUEST:
                self.deliveries.kept.keep(row)
            if row.south_mid is not None:
                self.south_mid = row.south_mid
            if row.south_token is not None and len(row.south_token) == 1:
                self.last_token = row.south_token[0]

    def _take_uplinks(self, kept: Kept) -> None:
        for up in sorted(kept.uplinks, key=lambda r: r.id):
            if up.keep_until == FOREVER:  # not finished, or its response is awaited
                self.uplinks[up.id] = up
            else:
                self._keep_uplink(up)
            if up.kind == "request":
                self.last_request = up.id
            if up.downlink is not None and self.deliveries.find(up.downlink) is not None:
                self.exchanges.replied(up)
            if kept.relay is None or up.received_at >= kept.relay.joined_at:
                self.by_digest[up.digest] = up
            if up.duplicate_key is not None:
                self.by_duplicate_key[up.duplicate_key] = up
            if up.north_mid is not None and not is_acknowledgement(up.payload):
                self.north_mid = up.north_mid  # a piggybacked answer has the server's

    def place(self, endpoint: Endpoint) -> None:
        """Take what the directory says of the endpoint now."""
        self.endpoint = endpoint
        d = self.deliveries
        d.device, d.confirmed, d.options = endpoint.device, endpoint.confirmed, endpoint.options

    def index_downlink(self, row: Downlink) -> None:
        """Make a request findable by what the server and the device will say."""
        if row.kind == REQUEST:
            self.exchanges.add(row)
            if row.south_token is not None:
                self.by_token[row.south_token] = row

    def server(self, key: str) -> Server | None:
        for server in self.endpoint.servers:
            if server.key == key:
                return server
        return None

    def note_recent(self, digest: bytes, now: float) -> None:
        """Remember when these bytes came."""
        self.recent.pop(digest, None)
        self.recent[digest] = now
        if len(self.recent) > RECENT:
            del self.recent[next(iter(self.recent))]

    def allocate_north_mid(self) -> int:
        """Give the next message ID toward servers (R2).

        Rows keep theirs for 247 s after their end, and ids grow with MIDs, so it cannot repeat sooner, after a restart
        neither. What still waits after 65535 others is stepped over.
        """
        while True:
            self.north_mid = mid = (self.north_mid + 1) & 0xFFFF
            for row in self.uplinks.values():
                if row.north_mid == mid:
                    break
            else:
                return mid

    def allocate_south_mid(self) -> int:
        while True:
            self.south_mid = mid = (self.south_mid + 1) & 0xFFFF
            for row in self.deliveries.live.values():
                if row.south_mid == mid:
                    break
            else:
                return mid

    def allocate_token(self) -> bytes:
        """Give a token that no live, late or observed exchange holds; one byte where it can be (R1)."""
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
        """Do not give a token again soon."""
        if len(self.retired) == RETIRED:
            self._free(self.retired[0])
        self.retired.append(token)

    def _free(self, token: bytes) -> None:
        if self.freed is not None and len(token) == 1:
            self.freed.append(token)

    def uplink(self, row: int) -> Uplink | None:
        return self.uplinks.get(row) or self.kept_uplinks.get(row) or self.kept_others.get(row)

    def device_uplinks(self) -> Iterator[Uplink]:
        """Give what the device may repeat, and messages toward servers that are not finished."""
        yield from self.uplinks.values()
        yield from self.kept_uplinks.values()

    def observation_of(self, server: str, north_token: bytes) -> Observation | None:
        """Give the observation that a server knows by this token; earlier ones of the same token may be over."""
        for observation in self.observations.values():
            if observation.north_token == north_token and observation.server == server and observation.is_active:
                return observation
        return None

    def settle_uplink(self, row: Uplink, until: float) -> None:
        """Move a finished uplink out of the way; it stays known until `until`, for repeats."""
        row.keep_until = until
        row.due = None
        self.uplinks.pop(row.id, None)
        self._keep_uplink(row)
        self.hold_due.pop(row.id, None)
        self.on_its_way_no_longer(row)

    def on_its_way_no_longer(self, row: Uplink) -> None:
        """The server has it, or will not get it: it is not sent again, and the next one may go (R17)."""
        self.retransmissions.pop(row.id, None)
        if self.active.get(row.server) == row.id:
            del self.active[row.server]

    def _keep_uplink(self, row: Uplink) -> None:
        (self.kept_uplinks if row.kind in DEVICE_KINDS else self.kept_others).keep(row)

    def sweep(self, now: float) -> None:
        """Forget what is no longer needed, and beyond the bounds what may go (R30); the ledger keeps the rows."""
        kept = self.deliveries.kept
        if kept.soonest <= now or len(kept) > self.exchanges.most:
            self._forget_downlinks(self.exchanges.forget(now), now)
        most = self.policy.max_kept
        uplinks = self.kept_uplinks
        if uplinks.soonest <= now or len(uplinks) > most:
            self._forget_uplinks(uplinks, now)
        uplinks = self.kept_others
        if uplinks.soonest <= now or len(uplinks) > most:
            self._forget_uplinks(uplinks, now)

    def _forget_downlinks(self, rows: list[Downlink], now: float) -> None:
        for row in rows:
            token = row.south_token or b""
            if self.by_token.get(token) is row:
                del self.by_token[token]
                self._free(token)
            if row.keep_until > now:
                self.retire(token)

    def _forget_uplinks(self, uplinks: KeptRows[Uplink], now: float) -> None:
        rows = uplinks.forget(now)
        if len(uplinks) > self.policy.max_kept:
            rows += uplinks.make_room(self.policy.max_kept, self._has_gone_on)
        for row in rows:
            if self.by_digest.get(row.digest) is row:
                del self.by_digest[row.digest]
            if row.duplicate_key is not None and self.by_duplicate_key.get(row.duplicate_key) is row:
                del self.by_duplicate_key[row.duplicate_key]

    def _has_gone_on(self, since: Uplink) -> bool:
        """Whether the device has gone on to other message IDs since (R13); since its latest request it may not have."""
        return since.id != self.last_request

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits: memory can be let go, and loaded again at the next event."""
        d = self.deliveries
        return not (d.live or self.uplinks or d.call is not None or self.empty_ack_due or self.hold_due)


class Step(msgspec.Struct):
    """One step on its way: the endpoint, what is gathered for it, and the south profile of this moment."""

    state: EndpointState
    work: Work
    south: SouthProfile
    wall: float  # of this moment, seconds
    mono: float

    def effect(self, effect: Effect) -> None:
        self.work.effects.append(effect)

    def relay_row(self) -> RelayState:
        """Give the endpoint's relay row to change; it is kept with this step."""
        state = self.state
        if state.relay is None:
            state.relay = RelayState(state.endpoint.id, state.endpoint.shard)
            self.work.insert(state.relay)
        else:
            self.work.update(state.relay)
        return state.relay
