"""Traffic of NIDD devices, and what SCEF and server saw of it."""

from collections.abc import Coroutine
from typing import Any

from bindings.nidd.settings import Downlinks
from mock_network.lwm2m.messages import Tuning
from tests.durability.judge import NIDD, Evidence, Of, hear_server
from tests.durability.story import Happening
from tests.durability.traffic import JUMP, Traffic
from tests.e2e.kit import SetUp
from tests.repeats import fit

PATIENCE = 300.0  # seconds that the server waits: the bridge's 115 begin only once a request got through to it


class NiddTraffic(Traffic):
    """UEs behind an emulated SCEF. `endpoint` has further settings of their endpoints."""

    def __init__(self, found: SetUp, devices: tuple[str, ...], **endpoint: Any) -> None:
        fit(Tuning(), Downlinks().exchange_span, late=JUMP)
        super().__init__(found.lab, devices)
        self.found = found
        self._endpoint = endpoint

    async def prepare(self) -> None:
        for name in self.devices:
            await self.found.add_device(name, endpoint=self._endpoint, device={})
            assert (await self.found.ask(name, "observe", "/3303/0/5700"))["code"] == "2.05"

    def operations(self, name: str, number: int) -> list[Coroutine[Any, Any, Any]]:
        ask = self.found.ask
        return [
            ask(name, "write", "/3/0/14", value=f"+{number}", timeout=PATIENCE),
            ask(name, "execute", "/3303/0/5605", arguments=f"{number}", timeout=PATIENCE),
            ask(name, "read", "/3/0/0", timeout=PATIENCE),
            self.found.act(name, "send", paths=["/3303/0/5750"], timestamp=1_700_000_000 + number),
            self.found.set_value(name, "/3303/0/5700", 20.0 + number),
        ]

    async def noticed(self) -> None:
        """Return when devices and SCEF have done what was due."""
        await self.found.devices.get("/devices")
        await self.found.scef().get("/configurations")

    async def at_server(self) -> Evidence:
        """Return what the server has seen so far."""
        seen = Evidence(NIDD, frozenset(f"{name}@iot" for name in self.devices))
        await hear_server(seen, self.found.server())
        return seen

    async def gather(self) -> list[Evidence]:
        seen = await self.at_server()
        air = {entry["number"]: entry for entry in await self.found.scef().get("/air-log")}
        seen.sent = [_message(entry) for entry in air.values() if entry["what"] == "uplink"]
        seen.on_air = [(entry["time"], _message(entry)) for entry in air.values() if entry["what"] == "downlink"]
        seen.happened += self.chronicle
        seen.happened += [
            Happening(entry["time"], f"air: {entry['what']}", _message(entry))
            for entry in air.values()
            if entry["what"] in ("uplink", "downlink")
        ]
        seen.accepted = [
            _message(air[int(one["subject"])])
            for one in await self.found.scef().get("/notifications")
            if one["kind"] == "uplink" and one["accepted"]
        ]
        return [seen]


def _message(logged: dict[str, Any]) -> Of:
    return f"{logged['ue']}@iot", bytes.fromhex(logged["data"])
