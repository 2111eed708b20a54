"""Links that sign a browser in: good once, for a few minutes, as the holder of a key that ends."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.cli import main
from bridge.operations import codes
from bridge.operations.codes import LIFETIME, Codes
from tests.api.kit import Api

in_one_loop = pytest.mark.asyncio(loop_scope="session")


def test_a_code_is_good_once_and_for_a_while_and_codes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "MOST", 10)
    now = 0.0
    made = Codes(lambda: now)
    one = made.make(7)
    assert (made.redeem(one), made.redeem(one), made.redeem("anything")) == (7, None, None)
    many = [made.make(key) for key in range(1, 101)]
    assert sum(made.redeem(code) is not None for code in many) <= 10
    late = made.make(8)
    now = LIFETIME
    assert made.redeem(late) is None


@in_one_loop
async def test_a_link_is_for_a_key_of_its_own_that_ends(api: Api) -> None:
    made = (await api.ask("POST", "/v1/dashboard-links", {"name": "a person", "role": "operate", "lifetime": 60})).body
    assert made["key"]["expires_at"] == pytest.approx(made["key"]["created_at"] + 60)
    headers = {"Origin": api.url}
    answer = await api.ask("POST", "/dashboard/session", {"code": made["code"]}, role="", headers=headers)
    assert (answer.body["name"], answer.body["role"]) == ("a person", "operate")
    again = await api.ask("POST", "/dashboard/session", {"code": made["code"]}, role="", headers=headers)
    assert (again.status, "Set-Cookie" in again.headers) == (401, False)


@in_one_loop
async def test_a_link_of_a_revoked_key_is_worthless_and_only_an_administrator_makes_links(api: Api) -> None:
    made = (await api.ask("POST", "/v1/dashboard-links", {})).body
    assert (await api.ask("DELETE", f"/v1/keys/{made['key']['id']}")).status == 200
    headers = {"Origin": api.url}
    answer = await api.ask("POST", "/dashboard/session", {"code": made["code"]}, role="", headers=headers)
    assert answer.status == 401
    assert (await api.ask("POST", "/v1/dashboard-links", {}, role="operate")).status == 403


@pytest.mark.parametrize("listen", ["", "127.0.0.1:8460"])
def test_the_command_says_what_is_missing(tmp_path: Path, listen: str) -> None:
    config = tmp_path / "bridge.toml"
    config.write_text(f'[service]\nstate_directory = "state"\n[api]\nlisten = "{listen}"\n')
    done = CliRunner().invoke(main, ["dashboard", "--json", "-c", str(config)])
    assert done.exit_code == 1
    answer = json.loads(done.output)
    assert answer["error"] == ("NotRunning" if listen else "NotPossible")
    assert ("listen" in answer["detail"]) is not bool(listen)
