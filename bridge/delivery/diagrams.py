"""Draws the state tables of the ledger as a page of diagrams: `python -m bridge.delivery.diagrams > docs/states.md`."""

import sys
from collections.abc import Collection, Mapping
from typing import TypeVar

from bridge.delivery.states import DOWNLINK_TABLE, UPLINK_TABLE, DownlinkState, UplinkState

S = TypeVar("S", DownlinkState, UplinkState)
_MAY_END = (DownlinkState.SENT, DownlinkState.DELIVERED, DownlinkState.UNKNOWN)


def states_page() -> str:
    """Give docs/states.md."""
    passing = [state for state, after in DOWNLINK_TABLE.items() if after]
    outcomes = [state for state in DownlinkState if not DOWNLINK_TABLE[state]]
    between = {state: [s for s in after if DOWNLINK_TABLE[s]] for state, after in DOWNLINK_TABLE.items() if after}
    return "\n".join(
        [
            "# States of messages",
            "",
            "Made from the tables in `bridge/delivery/states.py` by `python -m bridge.delivery.diagrams`.",
            "",
            "## Downlinks",
            "",
            f"On the way: {_names(passing)}. Each of them may also be followed by an outcome:",
            f"{_names(outcomes)}.",
            f"{_names(_MAY_END)} are an outcome where nothing more is due or can be known.",
            "An outcome never changes.",
            "",
            *_diagram(between, DownlinkState.QUEUED),
            "",
            "| from | outcomes that may follow |",
            "|---|---|",
            *(f"| {state} | {_names([s for s in outcomes if s in DOWNLINK_TABLE[state]])} |" for state in passing),
            "",
            "## Uplinks",
            "",
            *_diagram(UPLINK_TABLE, UplinkState.RECEIVED),
            "",
        ]
    )


def _names(states: Collection[DownlinkState]) -> str:
    return ", ".join(state.value for state in states)


def _diagram(table: Mapping[S, Collection[S]], first: S) -> list[str]:
    ways: list[str] = [
        f"    {state.value} --> {s.value}" for state, after in table.items() for s in table if s in after
    ]
    return ["```mermaid", "stateDiagram-v2", f"    [*] --> {first.value}", *ways, "```"]


if __name__ == "__main__":
    sys.stdout.write(states_page())
