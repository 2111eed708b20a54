"""`lwm2m-bridge downlink list`: what the table shows of a message's way, and what only JSON has."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from bridge.cli import main
from bridge.cli.access import Target
from bridge.cli.messages import state_and_end
from bridge.delivery.states import DownlinkState
from bridge.operations.types.messages import BlockView, DownlinkCount, DownlinkPage, DownlinkView
from bridge.operations.types.stories import DownlinkStory, Moment

WHY = "the device did not acknowledge the frame"
ROW = DownlinkView(
    id=7,
    endpoint="e1",
    endpoint_id=3,
    kind="request",
    operation="Read",
    target="/3",
    block=None,
    server="lab",
    state=DownlinkState.QUEUED,
    over=True,
    cancel_asked=False,
    late=False,
    response=None,
    verdict=None,
    reason=WHY,
    attempts=1,
    sent=0,
    bytes=12,
    accepted_at=0.0,
    deliver_by=60.0,
    answer_by=None,
    not_before=None,
    finished_at=None,
)


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    def run(*arguments: str, next_page: str | None = None, **row: Any) -> str:
        page = DownlinkPage(items=(DownlinkView(**{**_fields(ROW), **row}),), next=next_page)
        monkeypatch.setattr(Target, "ask", lambda _target, _request: page)
        return CliRunner().invoke(main, ["downlink", "list", *arguments]).output

    return run


def _fields(row: DownlinkView) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__}


@pytest.mark.parametrize("state", [DownlinkState.RESPONDED, DownlinkState.DELIVERED])
def test_a_reason_of_an_earlier_attempt_does_not_stand_beside_a_success(
    listed: Callable[..., str], state: DownlinkState
) -> None:
    assert state in listed(state=state)
    assert WHY not in listed(state=state)
    assert json.loads(listed("--json", state=state))["items"][0]["reason"] == WHY


@pytest.mark.parametrize("state", [DownlinkState.NACKED, DownlinkState.UNKNOWN])
def test_the_reason_of_another_outcome_does(listed: Callable[..., str], state: DownlinkState) -> None:
    assert WHY in listed(state=state)


def test_a_message_of_an_endpoint_that_is_gone_is_shown_as_that(listed: Callable[..., str]) -> None:
    assert "(removed, 3)" in listed(endpoint="")


def test_the_way_to_the_next_page_is_named(listed: Callable[..., str]) -> None:
    assert "--after 7" in listed(next_page="7")
    assert "--after" not in listed()


def test_how_far_a_block_wise_write_is_stands_beside_its_path(listed: Callable[..., str]) -> None:
    block = BlockView(number=3, offset=1536, bytes=512, more=True, total=4096)
    assert "/5/0/0 (block 3: to 2048 of 4096 bytes)" in listed(target="/5/0/0", block=block)
    unknown = BlockView(number=3, offset=1536, bytes=512, more=True, total=None)
    assert "/5/0/0 (block 3: to 2048 bytes)" in listed(target="/5/0/0", block=unknown)


def test_the_code_of_the_response_stands_beside_the_path(listed: Callable[..., str]) -> None:
    heading, row, *_ = listed(state=DownlinkState.RESPONDED, response="4.04").splitlines()
    assert row[heading.index("path") :].split()[:2] == ["/3", "4.04"]
    heading, row, *_ = listed(verdict="4.13").splitlines()
    assert row[heading.index("path") :].split()[:3] == ["/3", "4.13", "(bridge)"]


def test_a_message_is_shown_with_its_path_and_the_code_of_its_response(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {**_fields(ROW), "state": DownlinkState.RESPONDED, "response": "4.04"}
    story = DownlinkStory(
        **fields, code="0.01", made=(), answers=(), moments=(Moment(at=1.0, what="the device answers 4.04"),)
    )
    monkeypatch.setattr(Target, "ask", lambda _target, _request: story)
    shown = CliRunner().invoke(main, ["downlink", "show", "7"]).output
    assert re.search(r"^target +/3$", shown, re.MULTILINE), shown
    assert re.search(r"^response +4\.04$", shown, re.MULTILINE), shown


@pytest.mark.parametrize(
    ("state", "over", "shown"),
    [("SENT", True, "SENT, ended"), ("SENT", False, "SENT"), ("RESPONDED", True, "RESPONDED")],
)
def test_the_counts_of_status_name_a_state_as_the_list_does(state: str, over: bool, shown: str) -> None:
    assert state_and_end(DownlinkCount(state=DownlinkState(state), over=over, messages=1)) == shown
