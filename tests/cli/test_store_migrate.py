"""`lwm2m-bridge store migrate`: what a person sees, and what a script gets."""

import json

import pytest
from click.testing import CliRunner

from bridge.cli import main
from tests.store.stores import postgres_server

CONFIG = """
[service]
state_directory = "state"
[servers.lab]
uri = "coap://127.0.0.1:5683"
[networks.net]
binding = "nidd"
api_root = "http://127.0.0.1:1"
scs_as_id = "as1"
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "bridge.toml"
    path.write_text(CONFIG)
    added = run(path, "endpoint", "add", "e1", "--network", "net", "--address", "meter@example.com")
    assert added.exit_code == 0, added.output
    return path


def run(config, *arguments):
    return CliRunner().invoke(main, [*arguments, "--config", str(config)])


def test_a_ledger_moves_and_commands_find_it_in_the_database(config):
    uri = postgres_server().uri()
    moved = run(config, "store", "migrate", uri)
    assert moved.exit_code == 0, moved.output
    assert "1 endpoints, 1 rows copied and compared; the file is now" in moved.output
    assert f'[service] database = "{uri}"' in moved.output

    config.write_text(CONFIG.replace("[service]", f'[service]\ndatabase = "{uri}"'))
    assert "meter@example.com" in run(config, "endpoint", "list").output
    backup = run(config, "backup", "copy")
    assert backup.exit_code == 1
    assert "the ledger is in PostgreSQL: copy it as that database is backed up" in backup.output
    again = run(config, "store", "migrate", uri)
    assert "the ledger is in PostgreSQL" in again.output


def test_a_script_gets_json(config):
    moved = run(config, "store", "migrate", postgres_server().uri(), "--json")
    assert json.loads(moved.output)["rows"] == 1


def test_a_password_is_not_for_the_command_line(config):
    postgres_server()
    refused = run(config, "store", "migrate", "postgresql://bridge:secret@db/bridge")
    assert refused.exit_code == 1
    assert "keep the password out of the URI" in refused.output
    assert "secret" not in refused.output
