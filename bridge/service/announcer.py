"""Makes events for webhooks and streams from outcomes and provisioning changes, and wakes their readers."""

import asyncio
from collections.abc import Sequence

import msgspec

from bridge.delivery.rows import Change, Insert
from bridge.relay.effects import Effect, RegistrationNoted, Settled
from bridge.service.clock import Clock
from bridge.service.placed import Placed
from bridge.store.fleet import ProvisioningChange
from bridge.store.outbox import OUTCOME, EventRow

REGISTRATION = "registration."  # begun, confirmed, ended
PROVISIONING = "endpoint.provisioning"

_encode = msgspec.json.Encoder().encode


class Announcer:
    """Events are committed together with the change that they report. Without an announcer there are none."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._newer = asyncio.Event()

    def of_step(self, placed: Placed, effects: Sequence[Effect]) -> list[Change]:
        """Return the event rows for a step's effects."""
        changes: list[Change] = []
        for effect in effects:
            if isinstance(effect, Settled):
                data = {
                    "direction": effect.direction,
                    "id": effect.row,
                    "endpoint": placed.endpoint.name,
                    "operation": effect.operation,
                    "state": effect.state,
                    "reason": effect.reason,
                    "seconds": round(effect.after, 3),
                }
                changes.append(self._event(placed.endpoint.id, placed.endpoint.name, OUTCOME, data))
            elif isinstance(effect, RegistrationNoted):
                data = {"endpoint": placed.endpoint.name, "server": effect.server}
                changes.append(self._event(placed.endpoint.id, placed.endpoint.name, REGISTRATION + effect.what, data))
        return changes

    def of_provisioning(self, changes: Sequence[ProvisioningChange]) -> list[Change]:
        """Return the event rows for changes of provisioning."""
        return [
            self._event(
                one.endpoint,
                one.name,
                PROVISIONING,
                {
                    "endpoint": one.name,
                    "before": one.before,
                    "state": one.after.state,
                    "reason": one.after.reason,
                    "retry_at": one.after.retry_at,
                },
            )
            for one in changes
        ]

    def committed(self) -> None:
        """Wake all readers that wait: there may be newer events."""
        waiting, self._newer = self._newer, asyncio.Event()
        waiting.set()

    @property
    def newer(self) -> asyncio.Event:
        """Return an asyncio event that is set when newer events are committed. Call this before reading events."""
        return self._newer

    def _event(self, endpoint: int, name: str, kind: str, data: object) -> Change:
        return Insert.of(EventRow(None, endpoint, self._clock.wall(), kind, name, _encode(data).decode()))
