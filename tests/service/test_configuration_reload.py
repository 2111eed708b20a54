"""The configuration is read again while the service runs: what can apply does, a broken file changes nothing."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from bindings.contract import Accepted, NetworkState
from bridge.cli.run import _reload_when_asked
from bridge.config import Config, EndpointSettings
from bridge.config.difference import Applies
from bridge.config.quotas import QuotaSettings
from bridge.control.client import DirectClient
from bridge.errors import ConfigurationError, NotPossible, StoreUnavailable
from bridge.operations.types.config import ReloadConfig
from bridge.quota.periods import Period
from bridge.service.reload import Reloader
from bridge.service.service import Service
from tests.service.kit import Kit


class File:
    """What the reloader reads, and what it brought into force."""

    def __init__(self, service: Service, config: Config) -> None:
        self.config = config
        self.fault: Exception | None = None
        self.applied: list[Config] = []
        self.reloader = Reloader(self.read, config, [self.apply, service.seed], service.metrics.count)
        service.reloader = self.reloader

    def read(self) -> Config:
        if self.fault is not None:
            raise self.fault
        return self.config

    async def apply(self, config: Config) -> None:
        await asyncio.sleep(0)
        self.applied.append(config)

    def set(self, **changes: Any) -> None:
        self.config = replace(self.config, service=msgspec.structs.replace(self.config.service, **changes))


def counted(service: Service) -> Callable[[], float]:
    return lambda: service.metrics.value("reload_failures")


async def test_a_dry_run_says_what_differs_and_changes_nothing(kit: Kit) -> None:
    async with kit.running() as service:
        file = File(service, kit.config)
        file.set(log_level="debug", cache_mib=64)
        asked = await DirectClient(service).ask(ReloadConfig(dry_run=True))
        assert {one.setting: one.applies for one in asked.items} == {
            "[service] log_level": Applies.NOW,
            "[service] cache_mib": Applies.RESTART,
        }
        assert (asked.applied, file.applied) == (False, [])


async def test_a_reload_applies_what_it_can_and_says_what_still_waits_for_a_restart(kit: Kit) -> None:
    async with kit.running() as service:
        file = File(service, kit.config)
        file.set(log_level="debug", cache_mib=64)
        one = EndpointSettings(name="e2", network="net", address="d2", servers=["lab"])
        file.config = replace(file.config, endpoints=(*file.config.endpoints, one))
        first = await DirectClient(service).ask(ReloadConfig())
        assert first.applied
        assert await service.directory.by_name("e2") is not None
        again = await DirectClient(service).ask(ReloadConfig())
        assert [one.setting for one in again.items] == ["[service] cache_mib"]


async def test_a_broken_file_leaves_in_force_what_was(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    async with kit.running() as service:
        file = File(service, kit.config)
        file.set(log_level="debug")
        file.fault = ConfigurationError("bridge.toml: [service] log_level: invalid")
        with pytest.raises(ConfigurationError, match="log_level"):
            await DirectClient(service).ask(ReloadConfig())
        with caplog.at_level(logging.ERROR):
            await file.reloader.reload_and_log()
        assert "the former one stays in force" in caplog.text
        assert counted(service)() == 1
        assert file.applied == []
        file.fault = None
        assert len(await file.reloader.reload()) == 1


async def test_a_mistake_of_the_bridge_is_logged_and_the_next_reload_works(
    kit: Kit, caplog: pytest.LogCaptureFixture
) -> None:
    async with kit.running() as service:
        file = File(service, kit.config)
        file.fault = KeyError("net")
        asked = asyncio.Event()
        service.begin(_reload_when_asked(file.reloader, asked))
        asked.set()
        await until(lambda: counted(service)() == 1)
        assert "bug in the bridge" in caplog.text
        assert service.metrics.value("failed_tasks") == 1
        file.fault = None
        asked.set()
        await until(lambda: len(file.applied) == 1)


async def test_a_reload_that_came_into_force_in_part_is_logged_as_that(
    kit: Kit, caplog: pytest.LogCaptureFixture
) -> None:
    async def no_room(_config: Config) -> None:
        raise StoreUnavailable("disk full")

    async with kit.running() as service:
        file = File(service, kit.config)
        file.reloader = Reloader(file.read, kit.config, [no_room, file.apply], service.metrics.count)
        file.set(log_level="debug")
        await file.reloader.reload_and_log()
        assert "reloaded in part: disk full, and all else of the file is in force" in caplog.text
        assert "the former one stays in force" not in caplog.text
        assert counted(service)() == 1
        assert len(file.applied) == 1  # what follows what failed is applied too


async def test_a_file_that_a_start_would_refuse_is_refused(kit: Kit) -> None:
    async with kit.running() as service:
        file = File(service, kit.config)
        one = EndpointSettings(name="e2", network="net", address="D1", servers=["lab"])  # the device of e1
        file.config = replace(file.config, endpoints=(*file.config.endpoints, one))
        with pytest.raises(ConfigurationError, match="belongs to endpoint e1"):
            await file.reloader.reload()
        assert file.applied == []


async def test_of_two_reloads_at_once_the_second_finds_nothing_left(kit: Kit) -> None:
    async with kit.running() as service:
        file = File(service, kit.config)
        file.set(log_level="debug")
        first, second = await asyncio.gather(file.reloader.reload(), file.reloader.reload())
        assert (len(first), len(second)) == (1, 0)


async def test_a_service_without_a_file_says_so(kit: Kit) -> None:
    async with kit.running() as service:
        with pytest.raises(NotPossible, match="not started from a file"):
            await DirectClient(service).ask(ReloadConfig())


async def test_quotas_change_while_messages_wait_for_one(kit: Kit) -> None:
    plan = QuotaSettings(name="plan", network="net", period=Period.WEEK, messages=1, reserve=0.0)
    kit.config = replace(kit.config, quotas=(plan,))
    async with kit.running() as service:
        file = File(service, kit.config)
        file.reloader = service.reloader = Reloader(
            file.read, kit.config, [service.change_quotas], service.metrics.count
        )
        kit.network.answer = lambda a: Accepted(f"h{a.downlink}", NetworkState.SENT)
        kit.ask(1)
        await until(lambda: len(kit.network.attempts) == 1)
        first = kit.network.attempts[0].payload
        await kit.network.uplink("d1", piggybacked(first))
        kit.ask(2)
        await until(lambda: bool(service.parts.calls["net"].held))
        (waits,) = await service.explain(1)
        assert waits.why.startswith("quota plan is used up until")
        file.config = replace(kit.config, quotas=(msgspec.structs.replace(plan, messages=5),))
        asked = await DirectClient(service).ask(ReloadConfig())
        assert [(one.setting, one.before[:10], one.after[:10], one.applies) for one in asked.items] == [
            ("[[quotas]] plan", "1 messages", "5 messages", Applies.NOW)
        ]
        await until(lambda: len(kit.network.attempts) == 2)
        ((_, _, used),) = service.quotas()
        assert used is None  # endpoints have it for themselves
        assert (await service.reads.usage(0, 1 << 40))[0].down_messages == 2


def piggybacked(request: bytes) -> bytes:
    """Return the 2.05 without payload that answers a request."""
    token_length = request[0] & 15
    return bytes((0x60 | token_length, 69)) + request[2 : 4 + token_length]


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_so():
            await asyncio.sleep(0.001)
