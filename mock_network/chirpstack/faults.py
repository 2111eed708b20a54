"""Seeded faults: what may go wrong, how often, for whom. Each name draws from its own generator, so that adding one
fault to a run leaves the others as they were.
"""

import random
from dataclasses import dataclass, field

NAMES = {
    "tx_ack_lost": "the gateway sends the frame, its acknowledgement never reaches the server",
    "tx_error": "the gateway refuses the frame with the status in `value` (TOO_LATE unless given)",
    "downlink_lost": "the gateway acknowledges, the frame is lost on the air: a confirmed downlink ends in a nack",
    "uplink_lost": "an uplink is lost before any gateway hears it",
    "ack_lost": "an uplink's ACK bit is overlooked: a nack for a confirmed downlink that was received",
    "stall": "the device row is locked for `seconds` before the downlink is built",
    "crowding": "`value` bytes of MAC commands want room in the next class A downlink",
    "foreign_flush": "another user flushes the device's queue `seconds` after an item was added",
    "event_lost": "an integration event is lost on its way (`match` names the event type)",
    "event_twice": "an integration event is delivered twice (`match` names the event type)",
    "command_lost": "an MQTT command is lost",
    "commands_swapped": "an MQTT command is held until the next one has been handled, at most `seconds`",
    "grpc_unavailable": "a call fails with UNAVAILABLE before it has any effect (`match` names the method)",
    "grpc_unavailable_after": "a call takes effect, then fails with UNAVAILABLE",
    "grpc_deadline": "a call hangs without effect until the caller's deadline, or `seconds`",
    "grpc_deadline_after": "a call takes effect, then hangs until the caller's deadline, or `seconds`",
    "grpc_slow": "a call takes `seconds` longer",
}
"""Every fault with what it does."""


@dataclass(slots=True)
class Fault:
    """One rule. `count` is how often it may still strike (None: no limit); empty `dev_eui` and `match` fit all."""

    name: str
    probability: float = 1.0
    count: int | None = None
    dev_eui: str = ""
    match: str = ""
    seconds: float = 1.0
    value: str = ""
    struck: int = 0

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"unknown fault {self.name!r}; known are {', '.join(sorted(NAMES))}")
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability of {self.name} must lie between 0 and 1, not {self.probability}")


@dataclass(slots=True)
class Faults:
    """The rules in force and the generators they draw from."""

    seed: int = 0
    rules: list[Fault] = field(default_factory=list)
    _draws: dict[str, random.Random] = field(default_factory=dict)

    def add(self, fault: Fault) -> None:
        """Put a rule in force."""
        self.rules.append(fault)

    def clear(self) -> None:
        """Take every rule away."""
        self.rules.clear()

    def strikes(self, name: str, *, dev_eui: str = "", about: str = "") -> Fault | None:
        """Give the rule that strikes now, None when all goes well. A limited rule is used up by striking."""
        for rule in self.rules:
            if rule.name != name or rule.count == 0:
                continue
            if (rule.dev_eui and rule.dev_eui != dev_eui) or (rule.match and rule.match != about):
                continue
            if rule.probability < 1.0 and self._draw(name) >= rule.probability:
                continue
            rule.struck += 1
            if rule.count is not None:
                rule.count -= 1
            return rule
        return None

    def _draw(self, name: str) -> float:
        if name not in self._draws:
            self._draws[name] = random.Random(f"{self.seed}:{name}")
        return self._draws[name].random()
