"""A week of a fleet, in virtual time: UEs of every kind behind an emulated SCEF, the whole bridge, a server.

SCEF, bridge, devices and server run on one event loop whose time jumps, and speak over real sockets. The verdict comes
from the air log of the emulated network and from what server and SCEF saw; the bridge says only which outcome it
recorded.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bindings.http import server as http_server
from bindings.nidd import provisioning
from bridge.config import parse
from bridge.control.client import DirectClient
from bridge.delivery.attempts import encode
from bridge.delivery.downlinks import Downlink
from bridge.delivery.states import DownlinkState
from bridge.delivery.uplinks import Uplink
from bridge.errors import BridgeError
from bridge.operations.types.messages import CancelDownlink
from bridge.service.service import Service
from bridge.store.in_memory import InMemoryStore
from mock_network.faults import Fault
from mock_network.lab import free_port
from mock_network.scef.core.effects import SubmitAnswered
from mock_network.scef.core.nidd_model import Delivery
from mock_network.scef.core.profile import Profile
from mock_network.scef.fault_kinds import KINDS as FAULT_KINDS
from mock_network.scef.options import Options
from mock_network.scef.profiles import PROFILES
from mock_network.scef.service import ScefService
from tests.durability.judge import NIDD, Evidence, datagram, judge
from tests.week.ends import KINDS, Device, Server
from tests.week.happenings import LEFT_OUT
from tests.week.jumping import JumpingLoop
from tests.week.quotas import GROUPS, QUOTAS, Taken, overruns, unreached

DAY = 86_400.0
DAYS = 7
UPLINKS, DOWNLINKS = 4, 2  # of each UE, a day
TTLS = (None, 30, 600, 6 * 3600, 2 * 86_400)  # seconds; None: as long as the server is patient
WRONG = {"notification_unknown_identity"}  # such a notification is dropped, and answered 204
ON_THE_RADIO = 1.0  # seconds from the SCEF's decision to transmit until the UE has it: paging and one way
ENOUGH = 20  # times that each outcome and each kind of fault has to come
OUTCOMES = {state.value for state in DownlinkState} - {
    "QUEUED",
    "SUBMITTING",
    "BUFFERED",
    "NACKED",  # of LoRaWAN alone
}
CERTAINLY_NEVER = {"EXPIRED", "TOO_LARGE", "UNREACHABLE", "RATE_LIMITED", "CANCELLED", "SUPERSEDED", "FAILED"}

CONFIG = """
[service]
state_directory = "{state}"
[north]
port = {port}
[policy]
max_answers = 1
[servers.lab]
uri = "coap://{server}"
[networks.nidd]
binding = "nidd"
api_root = "{scef}"
scs_as_id = "lab"
credentials = {{ kind = "oauth2", token_url = "{scef}/oauth2/token", client_id = "scs-as", client_secret = "s" }}
callbacks = {{ port = {callbacks} }}
configurations = {{ duration = 172800 }}
reachability = {{ events = ["UE_REACHABILITY", "LOSS_OF_CONNECTIVITY"] }}
"""

UES: tuple[dict[str, Any], ...] = (
    {},  # always reachable
    {"t3324": 20.0, "t3412": 6 * 3600.0},
    {"t3324": 0.0, "t3412": 3600.0, "inactivity": 0.3},  # asleep before an answer comes
    {"edrx_cycle": 655.36, "edrx_ptw": 5.12},
    {"edrx_cycle": 81.92, "t3324": 300.0, "t3412": 12 * 3600.0, "loss_up": 0.2},
    {"t3324": 60.0, "t3412": 4 * 3600.0, "buffering": False},
    {"downlink_rate": 10, "loss_down": 0.6, "paging_loss": 0.2},
    {"apn_downlink_rate": 1, "apn_rate_unit": "day"},
    {"rds_enabled": True},
    {"buffering": False, "paging_loss": 0.8, "inactivity": 5.0, "t3324": 7000.0, "t3412": 7200.0},
)
"""Kinds of UEs, one after the other."""


@dataclass
class Week:
    """A running set-up, and what is known of it at the end."""

    rng: random.Random
    scef: ScefService
    service: Service
    store: InMemoryStore
    server: Server
    devices: dict[str, Device] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)  # downlinks that the SCEF took, which is what it may charge

    async def live(self, days: float) -> None:
        """Let the traffic of some days pass, and then the longest deadline."""
        loop = asyncio.get_running_loop()
        begins = loop.time()
        for place, (name, device) in enumerate(self.devices.items()):
            for number, at in enumerate(self._uplinks(days, together=_sends_in_bursts(place))):
                loop.call_at(begins + at, device.send, f"{name} {number}".encode().ljust(40, b"."))
            for _ in range(round(days * DOWNLINKS)):
                loop.call_at(begins + self.rng.uniform(60, days * DAY), self._ask, name)
        operator = asyncio.create_task(self._cancel_some(1800.0))
        await asyncio.sleep(days * DAY + max(ttl or 0 for ttl in TTLS) + 3600)
        operator.cancel()
        self.scef.faults.clear()
        await asyncio.sleep(DAY)

    def _uplinks(self, days: float, *, together: bool) -> list[float]:
        """Return when a device sends, in seconds from the beginning; those of a day may come together."""
        most = UPLINKS if together else 1
        times = [self.rng.uniform(60, days * DAY) for _ in range(round(days * UPLINKS / most))]
        return sorted(at + number for at in times for number in range(most))

    def _ask(self, name: str) -> None:
        kind = self.rng.choice(tuple(KINDS))
        payload = b"x" * self.rng.choice((20, 20, 900)) if kind == "Write" else b""
        if name in self.server.where:
            self.asked.append(self.server.ask(name, kind, self.rng.choice(TTLS), payload))

    def _rows(self, kind: type[Any]) -> list[Any]:
        return list(self.store.disk.tables.of(kind))

    def evidence(self) -> Evidence:
        """Return what was seen from outside, and the ledger's rows."""
        air = {line.number: line for line in self.scef.core.air_log.lines}
        seen = Evidence(NIDD)
        seen.asked, seen.acknowledged, seen.taken = self.server.asked, self.server.acknowledged, self.server.taken
        seen.sent = [_message(line) for line in air.values() if line.what == "uplink"]
        seen.on_air = [(line.time, _message(line)) for line in air.values() if line.what == "downlink"]
        seen.accepted = [
            _message(air[int(one["subject"])])
            for one in self.scef.notifier.records
            if one["kind"] == "uplink" and one["accepted"] and not WRONG & set(one["faults"])
        ]
        devices = {record.id: record.device for record in self.store.disk.records.records.values()}
        seen.downlinks, seen.uplinks = (
            [_column_values(row) | {"device": devices[row.endpoint]} for row in self._rows(kind)]
            for kind in (Downlink, Uplink)
        )
        return seen

    def outcomes(self) -> Counter[str]:
        """Return how many messages to devices have each outcome; of those that have none, their state."""
        return Counter(row.state.value if row.over else f"not over: {row.state.value}" for row in self._rows(Downlink))

    def rare(self) -> list[str]:
        """Return each outcome and kind of fault that came too seldom for the week to prove much of it."""
        outcomes, faults = self.outcomes(), self.scef.faults.happened
        wanted = [("outcome", name, outcomes[name]) for name in sorted(OUTCOMES)]
        wanted += [("fault", kind.name, faults[kind.name]) for kind in FAULT_KINDS if kind.name not in LEFT_OUT]
        rare = [f"{what} {name} came {number} times" for what, name, number in wanted if number < ENOUGH]
        return rare + unreached(self.taken, len(self.devices))

    def wrong(self) -> list[str]:
        """Return all that is wrong with the week."""
        seen = self.evidence()
        return [*map(str, judge(seen)), *deadlines(seen), *overruns(self.taken, len(self.devices))]

    async def _cancel_some(self, every: float) -> None:
        """Have an operator cancel a message that waits, again and again."""
        client = DirectClient(self.service)
        while True:
            await asyncio.sleep(every)
            rows = self.store.disk.tables.those(Downlink, lambda row: not row.over and row.KIND == "request")
            waiting = [row.id for row in rows]
            if waiting:
                try:
                    await client.ask(CancelDownlink(id=self.rng.choice(waiting)))
                except BridgeError:
                    continue  # it was over just now


def _message(line: Any) -> tuple[str, bytes]:
    return f"{line.ue}@iot.example", bytes.fromhex(line.detail["data"])


def _column_values(row: Any) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in row.__struct_fields__} | {"kind": row.KIND}
    if "attempts" in values:
        values["attempts"] = encode(row.attempts)
    return values


def deadlines(seen: Evidence) -> list[str]:
    """Return what was on air after its deadline, or although its outcome says that it certainly was not."""
    requests = sorted((row for row in seen.downlinks if row["kind"] == "request"), key=lambda row: row["accepted_at"])
    rows: dict[tuple[str, bytes], list[dict[str, Any]]] = {}
    for row in requests:
        rows.setdefault((row["device"], datagram(row)), []).append(row)
    wrong = []
    for when, one in seen.on_air:
        # What was never sent may leave its message ID to a later request: the one accepted last is on air.
        row = next((row for row in reversed(rows.get(one, [])) if row["accepted_at"] <= when), None)
        if row is None:
            continue
        if when - ON_THE_RADIO > row["deliver_by"]:
            wrong.append(f"downlink {row['id']} was on air {when - row['deliver_by']:.1f} s after its deadline")
        if row["state"] in CERTAINLY_NEVER:
            wrong.append(f"downlink {row['id']} is {row['state']} and was on air")
    return wrong


@asynccontextmanager
async def week(
    directory: Path, ues: int, seed: int, faults: tuple[Fault, ...], profile: Profile = PROFILES["strict-r17"]
) -> AsyncIterator[Week]:
    """Start everything on the running loop, which is a JumpingLoop, and register all devices."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    rng = random.Random(seed)
    scef = ScefService(Options(token="s", seed=seed, profile=profile))
    server = Server()
    where = "{}:{}".format(*await server.open())
    await scef.start()
    _keep_connections(scef)
    _keep_every_line(scef)
    text = CONFIG.format(state=directory, port=free_port(), server=where, scef=scef.url, callbacks=free_port())
    names = [f"meter-{number}" for number in range(ues)]
    text += "".join(quota.toml(ues) for quota in QUOTAS)
    text += "".join(
        f'[[endpoints]]\nname = "{name}"\nnetwork = "nidd"\naddress = "{name}@iot.example"\n'
        + "options = {{ {} }}\n".format(", ".join(_options(number)))
        for number, name in enumerate(names)
    )
    store = InMemoryStore()
    with (  # whoever looks at a clock several times a second does so less often in a week
        patch("bridge.service.standing_by.open_store", lambda _: store),
        patch.object(provisioning, "_TICK", 600.0),
        patch.object(http_server, "SWEEP", 100.0),
    ):
        service = Service(parse(text, "bridge.toml", directory), loop.clock)
        found = Week(rng, scef, service, store, server)
        _record_what_is_taken(scef, found.taken)
        try:
            for number, name in enumerate(names):
                settings = _kind(number)
                identities = {"external_id": f"{name}@iot.example", "msisdn": f"49170{number:07}"}
                await scef.add_ue({**identities, "name": name, **settings})
                modem = scef.modems.address(name)
                assert modem is not None
                device = found.devices[name] = Device(name, modem, random.Random(f"{seed}/{name}"), _mood)
                await device.open()
            await service.start()
            while len(server.where) < ues:
                for name, device in found.devices.items():
                    if name not in server.where:
                        device.register()
                await asyncio.sleep(600)
            for fault in faults:
                scef.faults.add(fault)
            yield found
        finally:
            for device in found.devices.values():
                device.close()
            await service.stop()
            await scef.stop()
            server.close()


def _keep_connections(scef: ScefService) -> None:
    """Let no idle connection of the SCEF be looked at every few seconds of a week."""
    connector: Any = scef.notifier._session.connector  # type: ignore[union-attr]  # it is started
    connector._keepalive_timeout = DAY


def _keep_every_line(scef: ScefService) -> None:
    """Let the emulated network keep all that happened, not only the latest lines: the judge reads the whole week."""
    scef.core.air_log.lines = deque()
    scef.notifier.records = deque()


def _record_what_is_taken(scef: ScefService, taken: list[Taken]) -> None:
    """Record each downlink that the SCEF answers with anything but a refusal, also where the answer is lost."""
    answered = scef.submit_answer

    async def submit_answer(delivery: str) -> SubmitAnswered:
        when = scef.clock.wall()
        answer = await answered(delivery)
        if answer.refused is None and isinstance(answer.delivery, Delivery):
            taken.append(Taken(when, answer.delivery.ue, len(answer.delivery.terms.data)))
        return answer

    scef.submit_answer = submit_answer  # type: ignore[method-assign]


def _kind(number: int) -> dict[str, Any]:
    return UES[number % len(UES)]


def _sends_in_bursts(number: int) -> bool:
    """Return whether a device sends all of a day at once: the answers of some kinds then wait for each other."""
    return _kind(number).get("t3324") == 0.0 or "apn_downlink_rate" in _kind(number)


def _options(number: int) -> list[str]:
    """Return the options of an endpoint, as TOML."""
    bridge = 'buffer = "bridge"' if number % 3 == 0 else 'buffer = "network"'
    options = [bridge, f'group = "{group}"'] if (group := GROUPS[number % len(GROUPS)]) else [bridge]
    return [*options, 'reliable_data_service = "true"'] if "rds_enabled" in _kind(number) else options


def _mood(rng: random.Random) -> str:
    return rng.choices(("answer", "separate", "silent", "reset"), (74, 8, 8, 10))[0]
