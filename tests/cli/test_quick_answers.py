"""Help, completion and `--version` import no more than they need: a shell asks for a completion at every TAB."""

import subprocess
import sys

import click
import pytest

from bridge.cli import COMMANDS, main

OF_THE_COMMAND_LINE = {"bridge", "bridge.cli", "bridge.cli.lazy", "bridge.cli.mock", "bridge.extras"}
LIBRARIES = {"aiocoap", "apsw", "cbor2", "Crypto", "cryptography", "grpc", "paho", "prometheus_client", "psycopg"}
MOST_MODULES = 520  # about 450 are imported in 0.3 s of processor time
SLOW = {"asyncio", "aiohttp", "bridge.config", "bridge.service.service", "apsw", "prometheus_client"}
RUN = """
import sys
from bridge.cli import main
sys.argv = ["lwm2m-bridge", *sys.argv[1:]]
try:
    main(prog_name="lwm2m-bridge")
finally:
    print("imported:", *sys.modules, file=sys.stderr)
"""


def imported(*arguments: str, **environment: str) -> tuple[str, set[str]]:
    """Run a command in a process of its own; return what it printed, and the modules that it imported."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout, set(done.stderr.partition("imported:")[2].split())


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("endpoint", "--help"), ("downlink", "list", "-h")])
def test_a_text_needs_no_event_loop_and_no_configuration(arguments: tuple[str, ...]) -> None:
    printed, modules = imported(*arguments)
    assert printed
    assert not modules & SLOW


@pytest.mark.parametrize(
    ("typed", "found"), [("lwm2m-bridge end", "endpoint"), ("lwm2m-bridge endpoint exp", "export")]
)
def test_a_completion_needs_neither(typed: str, found: str) -> None:
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    printed, modules = imported(_LWM2M_BRIDGE_COMPLETE="bash_complete", **words)
    assert printed.split() == [f"plain,{found}"]
    assert not modules & SLOW


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    assert (command.help or "").replace("\n", " ").startswith(COMMANDS[name].short_help.removesuffix("."))


def test_a_configuration_is_read_without_a_client_or_server_of_http() -> None:
    """Commands that ask the running service by its socket read the configuration first."""
    asked = "import sys, bridge.config; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert not {"aiohttp", "aiohttp.web", "bridge.service.service", "apsw"} & set(done.stdout.split())


def test_the_emulated_scef_starts_with_nothing_that_it_does_not_use() -> None:
    """The emulator is useful alone, and starts in about a second: nearly all of that time goes into imports."""
    running = subprocess.Popen(
        [sys.executable, "-c", RUN, "mock", "scef", "--ue", "meter-1@iot"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert running.stdout.readline().startswith('{"scef": ')
    running.terminate()
    _, errors = running.communicate(timeout=60)
    modules = errors.partition("imported:")[2].split()
    assert "mock_network.scef.service" in modules
    assert {name for name in modules if name.startswith(("bridge", "bindings"))} <= OF_THE_COMMAND_LINE
    assert not LIBRARIES & set(modules)
    assert len(modules) < MOST_MODULES
