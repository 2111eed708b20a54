"""`lwm2m-bridge endpoint` while the service is down: the same requests, answered from the file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bridge.cli import main

CONFIG = """
[service]
state_directory = "state"
[servers.lab]
uri = "coap://127.0.0.1:10583"
[networks.nidd]
binding = "nidd"
api_root = "http://127.0.0.1:9"
scs_as_id = "lab"
"""

Command = Callable[..., Result]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    (tmp_path / "bridge.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, list(arguments))

    return run


@pytest.fixture
def endpoint(command: Command) -> Callable[..., dict[str, Any]]:
    """Add an endpoint and return a way to see it."""
    assert command("endpoint", "add", "e1", "--network", "nidd", "--address", "e1@iot.example").exit_code == 0

    def show(name: str = "e1") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(command("endpoint", "show", name, "--json").output)["endpoint"]
        return found

    return show


def test_set_changes_one_setting_and_keeps_the_others(command: Command, endpoint: Callable[..., Any]) -> None:
    for settings in (["default_ttl=60", "option.max_packet_size=100"], ["option.pdn_establishment_option=WAIT_FOR_UE"]):
        assert command("endpoint", "set", "e1", *settings).exit_code == 0
    assert endpoint()["options"] == {"max_packet_size": "100", "pdn_establishment_option": "WAIT_FOR_UE"}
    command("endpoint", "set", "e1", "option.max_packet_size=", "default_ttl=", "address=e2@iot.example")
    found = endpoint()
    assert found["options"] == {"pdn_establishment_option": "WAIT_FOR_UE"}
    assert found["default_ttl"] is None
    assert found["address"] == "e2@iot.example"


def test_a_disabled_endpoint_is_shown_as_that(command: Command, endpoint: Callable[..., Any]) -> None:
    assert "disabled" in command("endpoint", "set", "e1", "enabled=false").output
    assert endpoint()["enabled"] is False


def test_an_endpoint_name_may_have_any_printable_character(command: Command) -> None:
    name = "urn:dev/1 ?#%41"
    assert command("endpoint", "add", name, "--network", "nidd", "--address", "e1@iot.example").exit_code == 0
    shown = command("endpoint", "show", name, "--json")
    assert json.loads(shown.output)["endpoint"]["name"] == name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["endpoint", "set", "e1", "default_ttl=soon"], "default_ttl is seconds, not 'soon'"),
        (["endpoint", "set", "e1", "default_ttl=-1"], "default_ttl -1.0 is not between"),
        (["endpoint", "set", "e1", "enabled=maybe"], "enabled is true or false"),
        (["endpoint", "set", "e1", "colour=red"], "there is no field 'colour'; there are: name, network"),
        (["endpoint", "set", "e1", "options=x"], "option.NAME"),
        (["endpoint", "set", "e1", "address=nonsense"], "not a 3GPP device address"),
        (["endpoint", "set", "e1", "servers=nowhere"], "nowhere"),
        (["endpoint", "show", "nobody"], "no endpoint 'nobody'"),
        (["endpoint", "remove", "e1"], "only be removed while the service runs"),
        (["endpoint", "remove", "e1"], "start it: lwm2m-bridge run"),
        (["endpoint", "provision", "e1"], "only be asked while the service runs"),
        (["downlink", "cancel", "5"], "no downlink 5"),
        (["downlink", "cancel", "9" * 30], "is not in the range"),
        (["downlink", "list", "--state", "LOST"], "'LOST' is not one of 'queued'"),
        (["downlink", "list", "--limit", "9" * 5000], "is not a valid integer range"),
        (["status", "--config", "elsewhere.toml"], "config template"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    command: Command, endpoint: Callable[..., Any], arguments: list[str], said: str
) -> None:
    before = endpoint()
    done = command(*arguments)
    assert done.exit_code in (1, 2)
    assert said in done.output.splitlines()[-1]
    assert endpoint() == before


def test_a_state_directory_that_cannot_be_made_is_told(command: Command, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, not a directory")
    done = command("endpoint", "add", "e1", "--network", "nidd", "--address", "e1@iot.example")
    assert done.exit_code == 1
    assert "cannot be made" in done.output


def test_what_is_exported_is_imported_again_as_it_was(command: Command, tmp_path: Path) -> None:
    text = (
        "endpoint,network,address,servers,profile,default_ttl,object_list\n"
        '"ep1","nidd","d1@x.org","lab","transparent","3600","</1/0>,</3/0>;ver=1.1"\n'
        '"ep2","nidd","d2@x.org","lab","","",""\n'
    )
    (tmp_path / "in.csv").write_text(text)
    assert command("endpoint", "import", "in.csv").output == "2 added, 0 changed, 0 unchanged, 0 wrong\n"
    assert command("endpoint", "export").output == text


@pytest.mark.usefixtures("endpoint")
def test_an_error_is_json_where_json_is_asked_for(command: Command) -> None:
    done = command("endpoint", "show", "nobody", "--json")
    assert done.exit_code == 1
    assert json.loads(done.output) == {"error": "NotFound", "detail": "no endpoint 'nobody'"}


def test_a_script_sees_by_the_exit_code_that_the_service_is_down(command: Command) -> None:
    for arguments in (["status"], ["status", "--json"]):
        assert command(*arguments).exit_code == 3


def test_a_long_list_comes_in_pages(command: Command) -> None:
    for name in ("e1", "e2", "e3"):
        command("endpoint", "add", name, "--network", "nidd", "--address", f"{name}@iot.example")
    first = json.loads(command("endpoint", "list", "--json", "--limit", "2").output)
    assert [one["name"] for one in first["items"]] == ["e1", "e2"]
    assert f"there are more: --after {first['next']}" in command("endpoint", "list", "--limit", "2").output
    rest = json.loads(command("endpoint", "list", "--json", "--after", first["next"]).output)
    assert ([one["name"] for one in rest["items"]], rest["next"]) == (["e3"], None)
    every = command("endpoint", "list", "--json", "--all", "--descending").output
    assert [json.loads(line)["name"] for line in every.splitlines()] == ["e3", "e2", "e1"]


@pytest.mark.usefixtures("endpoint")
def test_a_list_is_filtered_and_says_how_endpoints_are(command: Command) -> None:
    assert command("endpoint", "list").output.splitlines()[1].split() == ["e1", "nidd", "e1@iot.example", "wanted"]
    for options in (("--provisioning", "failed"), ("--registered",), ("--waiting",), ("--text", "E2")):
        assert "no endpoints" in command("endpoint", "list", *options).output
    for options in (
        ("--provisioning", "wanted"),
        ("--unregistered",),
        ("--idle",),
        ("--text", "E1"),
        ("--silent", "2d"),
    ):
        assert "e1@iot.example" in command("endpoint", "list", *options).output
    assert command("endpoint", "list", "--silent", "soon").exit_code == 2
    assert "is not `next` of an earlier page" in command("endpoint", "list", "--after", "%%").output


@pytest.mark.usefixtures("endpoint")
def test_an_endpoint_is_shown_with_what_is_known_of_it(command: Command) -> None:
    shown = command("endpoint", "show", "e1").output
    assert "provisioning             wanted" in shown
    assert "registered               no registration that the bridge can read" in shown
    assert "last uplink              none" in shown
    assert "the service is down" in shown


@pytest.mark.usefixtures("endpoint")
def test_an_argument_that_is_no_text_is_refused_in_one_line(command: Command) -> None:
    for more in ((), ("--json",)):
        done = command("endpoint", "show", "\udcff", *more)  # as Python reads the byte ff of an argument
        assert (done.exit_code, type(done.exception)) == (1, SystemExit)
        assert "is not UTF-8" in done.output
