"""`lwm2m-bridge trace`: what a line looks like, and what becomes of the trace when its reader stops."""

from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from bridge.cli import main
from bridge.cli.access import Target
from bridge.cli.trace import shown_lines
from bridge.errors import NotRunning
from bridge.operations.types.stories import OptionView
from bridge.operations.types.tracing import BeginTrace, CoapView, EndTrace, ReadTrace, TraceBegun, TraceLine, TracePage
from tests.cli.pcapng_reading import read

COAP = CoapView(
    type="ACK",
    code="2.05",
    mid=7,
    token="07",  # of CoAP
    options=(OptionView(number=6, name="Observe", value="3"), OptionView(number=12, name="Content-Format", value="0")),
    operation="Observe",
    path="/3303/0",
    content_format=0,
    payload_size=3,
)
LINE = TraceLine(
    number=1,
    at=1_800_000_000.25,
    kind="from device",
    peer="net",
    size=12,
    coap=COAP,
    note="the network's id 9",
    payload=b"abc",
    data=b"\x61\x45\x00\x07\x07\xffabc",
)
OUTCOME = TraceLine(
    number=2,
    at=1_800_000_001.0,
    kind="outcome",
    peer="",
    size=0,
    coap=None,
    note="downlink 4 Read: RESPONDED after 1.0 s",
    payload=None,
    data=None,
)


class Service:
    """Answers one page, and is gone then: the command ends as it would by a stop of the service."""

    def __init__(self, lost: int, end: BaseException) -> None:
        self.asked: list[Any] = []
        self.lost = lost
        self.end = end

    async def ask(self, request: Any) -> Any:
        self.asked.append(request)
        if isinstance(request, BeginTrace):
            return TraceBegun(id="t", endpoint=request.endpoint)
        if isinstance(request, ReadTrace) and request.after == 0:
            return TracePage(items=(LINE, OUTCOME), next=2, lost=self.lost)
        raise self.end


def run(
    monkeypatch: pytest.MonkeyPatch, *arguments: str, lost: int = 0, end: BaseException | None = None
) -> tuple[Result, Service]:
    service = Service(lost, end or KeyboardInterrupt())

    @asynccontextmanager
    async def connect(_target: Target, **_given: Any) -> Any:
        yield service

    monkeypatch.setattr(Target, "connect", connect)
    return CliRunner().invoke(main, ["trace", "e1", *arguments]), service


def test_people_read_lines_with_the_message_and_what_was_said_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    result, service = run(monkeypatch)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "08:00:00.250  device → bridge (net): ACK 2.05 mid 7 token 07, Observe /3303/0, Observe 3, text, 3 bytes",
        "              the network's id 9",
        "08:00:01.000  outcome: downlink 4 Read: RESPONDED after 1.0 s",
    ]
    assert service.asked[0] == BeginTrace("e1", payload=False)
    assert service.asked[-1] == EndTrace("t")


def test_payloads_are_shown_where_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    result, service = run(monkeypatch, "--payload")
    assert "              abc" in result.stdout.splitlines()
    assert service.asked[0].payload


def test_a_payload_that_is_no_text_is_shown_as_digits() -> None:
    line = msgspec.structs.replace(LINE, payload=b"\x1b[2J")
    assert list(shown_lines(line, payload=True))[-1].strip() == "1b5b324a"


def test_scripts_read_a_line_of_json_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = run(monkeypatch, "--json")
    first, second = (msgspec.json.decode(line, type=TraceLine) for line in result.stdout.splitlines())
    assert first == msgspec.structs.replace(LINE, payload=None, data=None)
    assert second == OUTCOME


def test_a_file_has_whole_messages_and_the_screen_no_payload(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "trace.pcapng"
    path.write_bytes(b"of yesterday" * 100)
    path.chmod(0o644)
    result, service = run(monkeypatch, "--pcap", str(path))
    assert service.asked[0].payload
    assert "abc" not in result.stdout
    (packet,) = read(path.read_bytes()).packets
    assert (packet.interface, packet.payload) == (1, LINE.data)
    assert packet.comment == "net: the network's id 9"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result, _ = run(monkeypatch, "--pcap", str(tmp_path / "no" / "trace.pcapng"))
    assert result.exit_code == 1
    assert "cannot be written: No such file or directory" in result.stderr


def test_it_says_how_many_lines_were_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = run(monkeypatch, lost=40)
    assert "40 lines are lost" in result.stderr


def test_it_says_that_the_service_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = run(monkeypatch, end=NotRunning("nobody answers"))
    assert result.exit_code == 1
    assert "nobody answers" in result.stderr


CALL = msgspec.structs.replace(OUTCOME, kind="call", peer="nidd", note="POST https://scef.example/" + "x" * 600)


@pytest.mark.parametrize("width", [40, 120])
def test_a_long_call_is_cut_to_the_terminal_and_whole_with_full_and_in_a_pipe(width: int) -> None:
    (cut,) = shown_lines(CALL, payload=False, width=width)
    assert len(cut) == width
    assert cut.endswith("x…") or width == 40
    (whole,) = shown_lines(CALL, payload=False)
    assert whole.endswith("x" * 600)
    outcome = msgspec.structs.replace(CALL, kind="outcome")
    assert list(shown_lines(outcome, payload=False, width=width)) == [whole.replace("call nidd", "outcome nidd")]


def test_full_is_a_word_of_the_command_and_json_is_always_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "--full")[0].exit_code == 0
    text = msgspec.json.decode(run(monkeypatch, "--json")[0].stdout.splitlines()[1], type=TraceLine)
    assert text.note == OUTCOME.note
