"""No CSV file of the bridge makes a spreadsheet carry out a formula, and each means the same as before."""

import asyncio
import csv
import io
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, strategies as st

from bridge.cli import main
from bridge.delivery.rows import Insert
from bridge.quota.usage import Amount, Usage
from bridge.spreadsheet import guarded, unguarded
from bridge.store.sqlite import SqliteStore

CONFIG = """
[service]
state_directory = "state"
default_servers = ["lab"]
[servers.lab]
uri = "coap://127.0.0.1:10583"
[networks.nidd]
binding = "nidd"
api_root = "http://127.0.0.1:9"
scs_as_id = "lab"
"""
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "=cmd|'/C calc'!A0", "'=1+1", "＝1+1", "plain;=1+1", "'plain", '="a"')
BEGIN = tuple("=+-@\t\r\n＝＋－＠")
DAY = 20_787  # 2026-11-30


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    (tmp_path / "bridge.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, list(arguments))


@given(st.one_of(st.text(), st.text(alphabet="'=+-@ \t\r\nx＝＋－＠")))
def test_what_is_guarded_begins_no_formula_and_is_found_again(text: str) -> None:
    assert not guarded(text).startswith(BEGIN)
    assert unguarded(guarded(text)) == text


@pytest.fixture
def names(command: Callable[..., Result]) -> tuple[str, ...]:
    for number, name in enumerate(FORMULAS):
        done = command("endpoint", "add", "--network", "nidd", "--address", f"d{number}@iot", "--", name)
        assert done.exit_code == 0, done.output
    return FORMULAS


def test_an_export_has_no_formula_and_is_imported_as_it_was(
    command: Callable[..., Result], names: tuple[str, ...], tmp_path: Path
) -> None:
    exported = command("endpoint", "export").output
    rows = list(csv.DictReader(io.StringIO(exported)))
    assert not [row for row in rows if any(text.startswith(BEGIN) for text in row.values())]
    assert sorted(unguarded(row["endpoint"]) for row in rows) == sorted(names)
    assert '"plain;=1+1"' in exported  # where a semicolon separates cells, this is still one cell
    (tmp_path / "out.csv").write_text(exported)
    done = command("endpoint", "import", "--update", "out.csv").output
    assert done == f"0 added, 0 changed, {len(names)} unchanged, 0 wrong\n"


async def used(ledger: Path, count: int) -> None:
    store = SqliteStore.open(ledger)
    for endpoint in range(1, count + 1):
        row = Usage(endpoint, DAY, "nidd", "", 0)
        row.add(Amount(endpoint, 10 * endpoint, 0, 0), DAY * 86_400.0)
        await store.committed([Insert.of(row)], endpoint=endpoint)
    await store.close()


def test_usage_has_no_formula_and_can_be_reconciled(
    command: Callable[..., Result], names: tuple[str, ...], tmp_path: Path
) -> None:
    (ledger,) = tmp_path.rglob("*.db")
    asyncio.run(used(ledger, len(names)))
    asked = ("usage", "--from", "2026-11-30", "--to", "2026-11-30")
    text = command(*asked, "--csv").output
    rows = list(csv.DictReader(io.StringIO(text)))
    assert not [row for row in rows if any(cell.startswith(BEGIN) for cell in row.values())]
    found = {unguarded(row["endpoint"]): (int(row["endpoint_id"]), int(row["down_messages"])) for row in rows}
    assert found == {name: (number, number) for number, name in enumerate(names, 1)}
    assert '"plain;=1+1"' in text  # where a semicolon separates cells, this is still one cell
    items = msgspec.json.decode(command(*asked, "--json").output)["items"]
    assert {one["endpoint"] for one in items} == set(names)  # as they are
