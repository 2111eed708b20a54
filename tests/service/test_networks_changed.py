"""Networks and servers that change in a running service, over the server's real socket and a scripted network."""

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from bridge.delivery.states import DownlinkState
from bridge.errors import BindingError, ConfigurationError, NotRunning
from bridge.service.reload import Reloader
from bridge.service.service import Service
from tests.service.kit import Kit
from tests.service.scripted_binding import ScriptedBinding
from tests.waiting import until


class Changing:
    """The file of a service, and its reload."""

    def __init__(self, kit: Kit, service: Service) -> None:
        self.config = kit.config
        self.service = service
        self.reloader = Reloader(
            lambda: self.config, kit.config, [service.seed], service.metrics.count, change=service.change
        )
        service.reloader = self.reloader

    def network(self, **changes: Any) -> None:
        self.config = replace(self.config, networks={"net": replace(self.config.networks["net"], **changes)})

    def server(self, **changes: Any) -> None:
        lab = msgspec.structs.replace(self.config.servers["lab"], **changes)
        self.config = replace(self.config, servers={**self.config.servers, "lab": lab})

    async def reload(self) -> list[str]:
        return [one.setting for one in await self.reloader.reload()]


class Other(ScriptedBinding):
    """The same network after a change: another type, so that it cannot take over and is started after a stop."""


class Broken(ScriptedBinding):
    async def start(self, *_: Any) -> None:
        raise BindingError("callbacks: cannot listen on 127.0.0.1 port 1")


@pytest.fixture
def elsewhere() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.setblocking(False)
        yield made


async def test_calls_under_way_finish_before_a_binding_that_cannot_take_over_is_stopped(kit: Kit) -> None:
    async with kit.running() as service:
        file, first = Changing(kit, service), kit.network
        first.go.clear()
        kit.ask(1)
        await until(lambda: first.attempts)
        file.network(factory=Other, binding="other")
        reloading = asyncio.create_task(file.reload())
        kit.ask(2)
        await until(kit.states)
        assert not first.stopped
        first.go.set()
        assert await reloading == ["[networks.net] binding"]
        second = service.networks["net"]
        assert isinstance(second, Other)
        assert first.stopped
        await until(lambda: second.attempts or len(first.attempts) == 1)
        assert second.provisioned == ["d1"]
        kit.network = second


async def test_a_network_that_cannot_start_stays_as_it_was_and_the_rest_is_in_force(kit: Kit) -> None:
    async with kit.running() as service:
        file, first = Changing(kit, service), kit.network
        file.network(factory=Broken, binding="broken")
        file.server(patience=77.0)
        with pytest.raises(ConfigurationError, match=r"cannot listen.*stays as it was, and all else"):
            await file.reload()
        again = service.networks["net"]
        assert isinstance(again, ScriptedBinding)
        assert not isinstance(again, Broken)
        assert first.stopped
        kit.network = again
        kit.ask(1)
        await until(lambda: again.attempts)
        assert service.config.servers["lab"].patience == 77.0
        with pytest.raises(ConfigurationError):
            await file.reload()  # the file still differs, and is tried again
        kit.network = service.networks["net"]  # type: ignore[assignment]  # scripted, too


async def test_what_waits_for_a_removed_network_gets_its_outcome_and_uplinks_go_on(kit: Kit) -> None:
    async with kit.running() as service:
        file, network = Changing(kit, service), kit.network
        kit.ask(1)
        await until(lambda: network.attempts)  # the network holds it
        kit.ask(2)  # waits behind it
        await until(_counted(kit, 2))
        file.config = replace(file.config, networks={}, endpoints=())
        assert "[networks.net]" in await file.reload()
        assert network.stopped
        assert await kit.states() == [DownlinkState.UNKNOWN, DownlinkState.CANCELLED]
        kit.ask(3)
        await asyncio.sleep(0.05)
        assert len(await kit.rows()) == 2  # nothing is accepted
        assert service.status().networks == {}


def _counted(kit: Kit, number: int) -> Any:
    async def counted() -> bool:
        return len(await kit.rows()) == number

    return counted


async def test_a_start_without_a_network_ends_what_waits_for_it_too(kit: Kit) -> None:
    async with kit.running():
        kit.ask(1)
        await until(lambda: kit.network.attempts)
        kit.ask(2)
        await until(_counted(kit, 2))
    kit.config = replace(kit.config, networks={}, endpoints=())
    service = Service(kit.config)
    await service.start()
    kit.service = service
    try:

        async def over() -> bool:
            return {row.state for row in await kit.rows()} == {DownlinkState.UNKNOWN, DownlinkState.CANCELLED}

        await until(over)
    finally:
        await service.stop()


async def test_a_server_that_moved_is_answered_at_its_new_address(kit: Kit, elsewhere: socket.socket) -> None:
    async with kit.running() as service:
        file = Changing(kit, service)
        kit.ask(1)
        await until(lambda: kit.network.attempts)
        file.server(uri=f"coap://127.0.0.1:{elsewhere.getsockname()[1]}")
        assert await file.reload() == ["[servers.lab] uri"]
        await kit.network.uplink("d1", _answer(kit.network.attempts[0].payload))
        heard = asyncio.get_running_loop().sock_recv
        async with asyncio.timeout(5):
            while (await heard(elsewhere, 2000))[1] != 69:  # an acknowledgement may come first
                pass


def _answer(asked: bytes) -> bytes:
    length = asked[0] & 15
    return bytes((0x60 | length, 69)) + asked[2 : 4 + length] + b"\xff1"


async def test_servers_that_need_other_addresses_are_refused_and_nothing_changes(kit: Kit) -> None:
    async with kit.running() as service:
        file = Changing(kit, service)
        file.server(uri="coap://192.0.2.1:5683", patience=60.0)
        with pytest.raises(ConfigurationError, match="restart the service"):
            await file.reload()
        assert service.config.servers["lab"].uri == kit.config.servers["lab"].uri
        kit.ask(1)
        await until(lambda: kit.network.attempts)


async def test_a_policy_holds_for_endpoints_that_are_in_memory(kit: Kit) -> None:
    async with kit.running() as service:
        file = Changing(kit, service)
        kit.network.go.clear()
        kit.ask(1)
        await until(lambda: kit.network.attempts)
        policy = msgspec.structs.replace(file.config.policy, max_requests=1)
        file.config = replace(file.config, policy=policy)
        assert await file.reload() == ["[policy] max_requests"]
        kit.ask(2)
        assert (await kit.answered())[1] == 163  # 5.03


async def test_while_it_starts_and_while_it_stops_a_reload_is_refused(kit: Kit) -> None:
    service = Service(kit.config)
    file = Changing(kit, service)
    file.server(patience=60.0)
    await service.open()
    with pytest.raises(NotRunning, match="starting"):
        await file.reload()
    await service.start()
    await service.stop()
    with pytest.raises(NotRunning, match="stopping"):
        await file.reload()
