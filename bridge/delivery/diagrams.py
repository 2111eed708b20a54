"""Makes docs/states.md from the functions that decide: `python -m bridge.delivery.diagrams > docs/states.md`."""

import sys
from collections.abc import Iterable, Mapping, Sequence

from bindings.contract import Refusal, SouthProfile
from bridge.delivery import rules
from bridge.delivery.attempts import Attempt, facts_of
from bridge.delivery.downlinks import ServerRequest
from bridge.delivery.knowledge import GROWS_TO, Knowledge
from bridge.delivery.states import UPLINK_TABLE, DownlinkState, UplinkState

_NOW = 1000.0
_PROFILE = SouthProfile(60.0, 2, True, 247.0, 247.0, 5, False, False, True, True)  # of any network
_MEANING = {
    Knowledge.PENDING: "it is committed, and the network is being called",
    Knowledge.IN_DOUBT: "it is unknown whether the network accepted it",
    Knowledge.HELD: "the network has it and will transmit it",
    Knowledge.GONE: "the network no longer has it, and may have transmitted it",
    Knowledge.REFUSED: "certain: the network did not accept it, or discarded it before transmission",
    Knowledge.TAKEN_BACK: "certain: removed from the network before it was transmitted",
    Knowledge.LEFT: "transmitted toward the device",
    Knowledge.NACKED: "transmitted, and no acknowledgement of the modem or MAC came",
    Knowledge.DELIVERED: "the device has it",
}


def states_page() -> str:
    """Return docs/states.md."""
    lines = [
        "# States of messages",
        "",
        "Made from `bridge/delivery/knowledge.py` and `rules.py` by `python -m bridge.delivery.diagrams`.",
        "",
        "## What is known of an attempt",
        "",
        "A message to a device is handed to its network in one or more attempts. What is known of each attempt comes",
        "from the network and the device. Knowledge only grows: a report that claims less than is known already",
        "changes nothing.",
        "",
        "| known | means | may grow to |",
        "|---|---|---|",
        *(f"| {known.name} | {_MEANING[known]} | {_names(GROWS_TO[known])} |" for known in Knowledge),
        "",
        "## What follows for the message",
        "",
        "Each row is what is known of the attempts of one request, oldest first. *Repeatable* are Read, Discover,",
        "Observe, Write and answers to the device. *Asked* marks an attempt while the network is asked whether it",
        "has it. A device's answer makes every message RESPONDED, and its Reset makes it REJECTED, whatever else is",
        "known.",
        "*Certain* outcomes promise that the device never got it:",
        f"{_names(rules.NEVER_DELIVERED)}.",
        "",
        "| known of its attempts | state | again, if repeatable | again, if not | holds the slot | may end as |",
        "|---|---|---|---|---|---|",
        *(_row(known, asked=asked) for known, asked in _combinations()),
        "",
        "## Messages toward servers",
        "",
        *_diagram(UPLINK_TABLE, UplinkState.RECEIVED),
        "",
    ]
    return "\n".join(lines)


def _combinations() -> Iterable[tuple[tuple[Knowledge, ...], bool]]:
    """Return the rows of the table: no attempt, each knowledge alone, two attempts where that makes a difference."""
    yield (), False
    for first in Knowledge:
        if first is Knowledge.IN_DOUBT:
            yield (first,), True
        yield (first,), False
        if first in (Knowledge.IN_DOUBT, Knowledge.LEFT, Knowledge.NACKED):
            for second in (Knowledge.IN_DOUBT, Knowledge.HELD, Knowledge.REFUSED, Knowledge.LEFT):
                yield (first, second), False


def _row(known: Sequence[Knowledge], *, asked: bool) -> str:
    request = _request(known, repeatable=True, asked=asked)
    once = _request(known, repeatable=False, asked=asked)
    state = rules.state_of(request, facts_of(request.attempts), _NOW, _PROFILE)
    state_once = rules.state_of(once, facts_of(once.attempts), _NOW, _PROFILE)
    shown = state.value if state is state_once else f"{state.value}; {state_once.value} if not repeatable"
    said = rules.possible_outcomes(facts_of(request.attempts))
    ends = "certain" if said is rules.NEVER_DELIVERED else _names(said)
    return (
        f"| {', '.join(one.name for one in known) or 'none was made'}{', asked' if asked else ''} | {shown}"
        f" | {_again(request)} | {_again(once)}"
        f" | {_yes(rules.holds_slot(request, _NOW, _PROFILE))} | {ends} |"
    )


def _again(row: ServerRequest) -> str:
    if not rules.may_go_again(row, facts_of(row.attempts), _PROFILE):
        return "no"
    return (
        "if no answer comes"
        if rules.state_of(row, facts_of(row.attempts), _NOW, _PROFILE) is DownlinkState.SENT
        else "yes"
    )


def _request(known: Sequence[Knowledge], *, repeatable: bool, asked: bool) -> ServerRequest:
    row = ServerRequest.accepted(
        1, 1, 0, 0.0, "Read", repeatable, _NOW + 60, b"", 0, 1, 1, b"", "", 1, b"", None, 0, _NOW + 60
    )
    for number, one in enumerate(known, 1):
        why = Refusal.UNREACHABLE if one is Knowledge.REFUSED else None
        left_at = _NOW if one in (Knowledge.LEFT, Knowledge.NACKED, Knowledge.DELIVERED) else None
        row.attempts.append(Attempt(number, one, _NOW, "handle", why, left_at, look_up_at=_NOW if asked else None))
    return row


def _names(found: Iterable[Knowledge] | Iterable[DownlinkState]) -> str:
    order: list[Knowledge | DownlinkState] = [*Knowledge, *DownlinkState]
    return ", ".join(one.name for one in sorted(found, key=order.index)) or "nothing more"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _diagram(table: Mapping[UplinkState, Iterable[UplinkState]], first: UplinkState) -> list[str]:
    ways = [f"    {state.value} --> {s.value}" for state, after in table.items() for s in table if s in after]
    return ["```mermaid", "stateDiagram-v2", f"    [*] --> {first.value}", *ways, "```"]


if __name__ == "__main__":
    sys.stdout.write(states_page())
