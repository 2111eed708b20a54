"""Networks and servers that change in a running service, over the server's real socket and a scripted network."""

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from bridge.delivery.states import DownlinkState
from bridge.errors import BindingError, ConfigurationError, NotRunning, StoreUnavailable
from bridge.service import upkeep
from bridge.service.reconfiguring import Reconfiguring
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
        await until(lambda: "d1" in second.provisioned)
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


async def test_an_instance_with_the_former_settings_is_asked_to_provision_after_a_change_that_failed(kit: Kit) -> None:
    async with kit.running() as service:
        file, first = Changing(kit, service), kit.network
        await until(lambda: first.provisioned)
        file.network(factory=Broken, binding="broken")
        with pytest.raises(ConfigurationError):
            await file.reload()
        kit.network = service.networks["net"]  # type: ignore[assignment]  # scripted, too
        await until(lambda: kit.network.provisioned == ["d1"])


async def test_a_network_that_stays_as_it_was_is_tried_again_if_only_a_file_of_it_differs(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kit.running() as service:
        file, start = Changing(kit, service), ScriptedBinding.start
        failures = [BindingError("port taken")]

        async def starts(*given: Any) -> None:
            if failures:
                raise failures.pop()
            await start(*given)

        monkeypatch.setattr(ScriptedBinding, "start", starts)
        file.config = replace(file.config, files={"[networks.net] key": "other contents"})
        with pytest.raises(ConfigurationError, match="stays as it was"):
            await file.reload()
        former = service.networks["net"]
        await file.reload()
        assert service.networks["net"] is not former
        kit.network = service.networks["net"]  # type: ignore[assignment]  # scripted, too


async def test_a_network_that_starts_with_neither_settings_is_down_until_a_reload_starts_it(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kit.running() as service:
        file, good = Changing(kit, service), kit.config
        file.network(factory=Broken, binding="broken")
        with monkeypatch.context() as patched:
            patched.setattr(ScriptedBinding, "start", _no_port)
            with pytest.raises(ConfigurationError, match=r"cannot listen.*no port.*net is down now, and all else"):
                await file.reload()
            never_started = service.networks["net"]
            assert isinstance(never_started, ScriptedBinding)
            kit.ask(1)
            await until(_counted(kit, 1))  # it is accepted, and waits
            assert "no port" in str(service.network_states()["net"]["error"])
            with pytest.raises(ConfigurationError, match="down now"):
                await file.reload()  # the same file is tried again
        file.config = good
        assert await file.reload() == ["[networks.net] binding"]
        kit.network = service.networks["net"]  # type: ignore[assignment]  # scripted, too
        await until(lambda: kit.network.attempts)
        assert never_started.attempts == []
        assert "error" not in service.network_states()["net"]


async def test_a_network_that_is_down_can_be_removed_and_its_devices_are_not_provisioned(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kit.running() as service:
        file = Changing(kit, service)
        file.network(factory=Broken, binding="broken")
        with monkeypatch.context() as patched:
            patched.setattr(ScriptedBinding, "start", _no_port)
            with pytest.raises(ConfigurationError):
                await file.reload()
        record = await service.directory.by_name("e1")
        assert record is not None
        with pytest.raises(BindingError, match="net is down"):
            await service.provision(record)
        file.config = replace(file.config, networks={}, endpoints=())
        assert await file.reload() == ["[networks.net]", "[[endpoints]] e1"]


async def _no_port(*_: Any) -> None:
    raise BindingError("no port")


async def test_where_the_store_fails_the_rest_is_in_force_and_what_waits_ends_once_the_store_works(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "AGAIN_AFTER", 0.01)
    async with kit.running() as service:
        file, network = Changing(kit, service), kit.network
        kit.ask(1)
        await until(lambda: network.attempts)
        two = replace(file.config.networks["net"], name="two")
        file.config = replace(file.config, networks={"two": two}, endpoints=())
        with monkeypatch.context() as patched:
            patched.setattr(type(service.parts.store), "committed", _disk_full)
            with pytest.raises(StoreUnavailable, match="disk full, and all else of the file is in force"):
                await file.reload()
            assert list(service.networks) == ["two"]
            assert await file.reload() == ["[[endpoints]] e1"]  # what is in force is what the reloader compares with
        await until(_all_over(kit))


async def test_what_waits_for_a_network_that_is_back_before_the_store_works_goes_on(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "AGAIN_AFTER", 0.01)
    async with kit.running() as service:
        file, network, good = Changing(kit, service), kit.network, kit.config
        kit.ask(1)
        await until(lambda: network.attempts)
        ended = asyncio.Event()
        follow = Reconfiguring._refresh_endpoints

        async def follows(*given: Any) -> None:
            await follow(*given)
            if given[2]:  # networks that are gone
                ended.set()

        monkeypatch.setattr(Reconfiguring, "_refresh_endpoints", follows)
        file.config = replace(good, networks={}, endpoints=())
        with monkeypatch.context() as patched:
            patched.setattr(type(service.parts.store), "committed", _disk_full)
            with pytest.raises(StoreUnavailable):
                await file.reload()
            file.config = good
            await file.reload()
        kit.network = service.networks["net"]  # type: ignore[assignment]  # scripted, too
        async with asyncio.timeout(5):
            await ended.wait()
        assert await kit.states() == [DownlinkState.BUFFERED]


async def _disk_full(*_: Any) -> None:
    raise StoreUnavailable("disk full")


def _all_over(kit: Kit) -> Any:
    async def over() -> bool:
        return {row.state for row in await kit.rows()} == {DownlinkState.UNKNOWN}

    return over


async def test_a_new_network_that_cannot_start_is_named_and_its_endpoints_follow_once_it_starts(kit: Kit) -> None:
    async with kit.running() as service:
        file = Changing(kit, service)
        net, one = file.config.networks["net"], file.config.endpoints[0]
        two = replace(net, name="two", factory=Broken, binding="broken")
        more = msgspec.structs.replace(one, name="e2", network="two", address="d2")
        file.config = replace(file.config, networks={"net": net, "two": two}, endpoints=(one, more))
        with pytest.raises(ConfigurationError, match=r"cannot listen.*network two is not in force"):
            await file.reload()
        assert await service.directory.by_name("e2") is None
        file.config = replace(file.config, networks={"net": net, "two": replace(net, name="two")})
        assert await file.reload() == ["[networks.two]", "[[endpoints]] e2"]
        assert await service.directory.by_name("e2") is not None


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
        assert (await service.status()).networks == {}


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
        heard, code = asyncio.get_running_loop().sock_recvfrom, 0
        async with asyncio.timeout(5):
            while code != 69:  # an acknowledgement may come first
                message, bridge = await heard(elsewhere, 2000)
                code = message[1]
                if message[:2] == b"\x40\0":  # a ping, whose answer shows that the server is there
                    elsewhere.sendto(b"\x70\0" + message[2:], bridge)


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
