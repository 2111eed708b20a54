"""Tables: what stands in a cell is text, and a name is never broken."""

import io
import pkgutil
import re
from pathlib import Path

import pytest

import bridge.cli
from bridge.cli import tables
from bridge.cli.tables import in_words, layout, print_table
from mock_network.demo.screen import Screen

BRACKETS = ["http(s)://host[:port][/prefix]", "urn:[/x]:m", "check [mqtt]: host", "[bold]", "\\[red]"]
SOURCES = [Path(bridge.cli.__path__[0]) / f"{module.name}.py" for module in pkgutil.iter_modules(bridge.cli.__path__)]
HEADINGS = [
    re.findall(r'"([^"]*)"', found)
    for source in SOURCES
    for found in re.findall(r'\(((?:"[^"]*", )+"[^"]*")\),\n', source.read_text())
]
NAME = "urn:dev:os:meter-1:of-a-long-name"
DOWNLINKS = ("id", "state", "endpoint", "what", "path", "code", "accepted", "deliver by", "why")
WHY = "its network has no connection to the device, and nothing is sent before it asks for monitoring.per_device_log"
ROW = ("17", "BUFFERED", NAME, "Read", "/3/0/0", "", "2026-01-01 10:00:00Z", "", WHY)


def laid_out(columns, rows, width):
    return [line for lines in layout(columns, rows, width) for line in lines]


@pytest.fixture(params=[None, 80, 200])
def width(request, monkeypatch):
    monkeypatch.setattr(tables, "terminal_width", lambda: request.param)
    return request.param


def test_all_tables_are_known():
    assert DOWNLINKS in map(tuple, HEADINGS)
    assert len(HEADINGS) >= 4


@pytest.mark.parametrize("columns", HEADINGS)
@pytest.mark.parametrize("text", BRACKETS)
def test_brackets_stay_in_every_column_of_every_table(columns, text, width, capsys):
    print_table(columns, [[text] * len(columns)], "none")
    said = re.sub(r"\s", "", capsys.readouterr().out)
    assert said.count(re.sub(r"\s", "", text)) == len(columns)


@pytest.mark.parametrize("text", BRACKETS)
def test_brackets_stay_in_the_demo(text, monkeypatch):
    screen = Screen()
    screen._console.file = out = io.StringIO()
    screen._console.width = 200
    screen.title(text)
    screen.say(text)
    screen.step(1, text, text)
    screen.held(text)
    screen.broke(text)
    screen.addresses([(text, text, text)])
    screen.plain(text)
    assert out.getvalue().count(text) == 10


def test_through_a_pipe_each_row_is_one_line(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    print_table(DOWNLINKS, [ROW, ROW], "none")
    _, *lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(NAME in line and line.endswith(WHY) for line in lines)


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_in_a_terminal_only_sentences_are_broken_and_only_between_words(width):
    lines = laid_out(DOWNLINKS, [ROW], width)
    assert len(lines) > 2
    assert all(any(cell in line for line in lines) for cell in ROW[:-1])
    assert {word for line in lines for word in line.split()} >= set(WHY.split())
    if width >= 80:
        assert all(len(line) <= width for line in lines)


def test_a_column_that_is_empty_in_every_row_takes_no_room():
    heading, *_ = laid_out(DOWNLINKS, [ROW], None)
    assert "deliver by" not in heading
    assert "accepted" in heading


def test_columns_stand_below_their_headings():
    heading, first, second = laid_out(("id", "endpoint"), [("1", "é"), ("1000", "b")], 80)
    assert {line.index(what) for line, what in ((heading, "endpoint"), (first, "é"), (second, "b"))} == {6}


def test_a_line_break_in_a_cell_is_no_new_row(capsys):
    print_table(("id", "why"), [("1", "one\ntwo\x1b[31m")], "none")
    assert capsys.readouterr().out.splitlines()[1:] == ["1   one two [31m"]


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("its time in the network ended (FAILURE_TIMEOUT)", "its time in the network ended"),
        ("the SMS centre has it (TRIGGERED)", "the SMS centre has it"),
        ("500 the device could not be reached (FAILURE_NEXT_HOP)", "500 the device could not be reached"),
        ("FAILURE_NEW", "FAILURE_NEW"),
        ("(API)", "(API)"),
        ("it waits (see the log)", "it waits (see the log)"),
        ("", ""),
    ],
)
def test_people_read_words_without_the_value_of_an_interface(reason: str, shown: str) -> None:
    assert in_words(reason) == shown
