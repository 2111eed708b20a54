"""A binding made of nothing but the contract, as a third party would write one; tests say what it answers."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from bindings.contract import (
    Accepted,
    Cancellation,
    Events,
    Lookup,
    Memory,
    NetworkState,
    Presence,
    SouthProfile,
    Submission,
    UplinkMessage,
)

PROFILE = SouthProfile(
    retransmit_interval=60.0,
    max_retransmit=2,
    retransmit_confirmed=True,
    exchange_span=247.0,
    response_timeout=247.0,
    max_attempts=5,
    empty_is_poll=False,
    quick=True,
    can_cancel=True,
    can_expire=True,
)


class Settings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """No settings."""


class ScriptedBinding:
    """`answer` says what `submit` gives; all calls are kept."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.attempts: list[Submission] = []
        self.provisioned: list[str] = []
        self.deprovisioned: list[str] = []
        self.cancels: list[tuple[str, str]] = []
        self.go = asyncio.Event()
        self.go.set()
        self.stopped = False
        self.answer: Callable[[Submission], Any] = lambda a: Accepted(
            f"h{a.downlink}-{a.number}", NetworkState.BUFFERED
        )

    @classmethod
    def settings(cls) -> type[Settings]:
        return Settings

    async def start(self, events: Events, memory: Memory) -> None:
        self.events = events

    async def stop(self) -> None:
        self.stopped = True

    def canonical_device(self, device: str) -> str:
        return device.lower()

    async def provision(self, device: str, options: Mapping[str, str]) -> None:
        self.provisioned.append(device)

    async def deprovision(self, device: str) -> None:
        self.deprovisioned.append(device)

    @property
    def capacity(self) -> int:
        return 32

    async def submit(self, attempt: Submission) -> Any:
        assert not self.stopped
        self.attempts.append(attempt)
        await self.go.wait()
        return self.answer(attempt)

    async def lookup(self, attempt: Submission) -> Lookup:
        return Lookup(Presence.ABSENT)

    async def cancel(self, device: str, handle: str) -> Cancellation:
        self.cancels.append((device, handle))
        return Cancellation.REMOVED

    def south_profile(self, device: str) -> SouthProfile:
        return PROFILE

    def status(self) -> Mapping[str, Any]:
        return {"attempts": len(self.attempts)}

    async def uplink(self, device: str, payload: bytes) -> None:
        await self.events.deliver(UplinkMessage(device, payload, None, self.events.now()))
