"""What all tests share: a component that is absent skips a test, or fails it where everything must be proven."""

import gc
import os
import signal
import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest

from mock_network.lab import Broker, LabProcess
from tests import forked
from tests.components import Component, program_is_missing, why_absent
from tests.planted.plugin import Planted
from tests.requirements.collecting import check_labels, is_end_to_end
from tests.requirements.results import Recorder
from tests.t8.files import ABSENT, NIDD, are_required, openapi_dir

# How long an example takes says how busy the machine is, and nothing of the code.
hypothesis.settings.register_profile(
    "busy machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy machine")


LONGEST = (
    "tests/durability/test_crashes.py",
    "tests/demo/test_demo.py",
    "tests/cluster/test_cluster_simulated.py",
    "tests/relay/test_simulation.py",
    "tests/cluster/test_cluster_processes.py",
    "tests/dashboard/test_dashboard_pages.py",
    "tests/week/test_week_of_a_fleet.py",
    "tests/ets/test_ets_lorawan_secure.py",
    "tests/durability/test_order.py",
    "tests/quota/test_week.py",
    "tests/e2e/test_data_and_reports.py",
    "tests/end_to_end_security/test_emulated_dtls.py",
    "tests/docs/test_docs_walk.py",
    "tests/lorawan/test_lorawan_e2e.py",
    "tests/lorawan/test_lorawan_e2e_protected.py",
    "tests/e2e/test_directory_commands.py",
    "tests/interop/test_leshan.py",
    "tests/e2e/test_accounts.py",
    "tests/week/test_week_paced.py",
    "tests/tls/test_sessions.py",
    "tests/dashboard/test_dashboard_nodes.py",
    "tests/mock_scef/test_scef_fuzz.py",
    "tests/delivery/test_shared_limits.py",
    "tests/ets/test_ets_nidd.py",
    "tests/relay/test_r25_firmware.py",
    "tests/e2e/test_direct_e2e.py",
    "tests/service/test_standby.py",
    "tests/e2e/test_changed_while_running.py",
    "tests/e2e/test_faults.py",
)
"""Files whose tests take longest, in this order. They begin first, lest one of them runs alone at the end."""


def need(present: object, reason: str) -> None:
    """Skip with `reason` unless `present`; with REQUIRE_ALL=1 in the environment that is a failure instead."""
    if present:
        return
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"required here but absent: {reason}")
    pytest.skip(reason, allow_module_level=True)


def need_program(name: str) -> None:
    """Need a program of `tests/components/programs.py`."""
    missing = program_is_missing(name)
    need(missing is None, missing or "")


def need_component(component: Component) -> None:
    """Need a component that `make components` builds."""
    absent = why_absent(component)
    need(absent is None, absent or "")


def need_openapi() -> Path:
    """Need 3GPP's OpenAPI files; return their folder."""
    folder = openapi_dir()
    if folder is None and not are_required():
        pytest.skip(ABSENT, allow_module_level=True)
    need(folder, ABSENT)
    assert folder is not None
    return folder


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that records what came of the tests with requirement marks."""
    parser.addoption(
        "--requirements-report",
        action="store_true",
        help="record what came of tests with requirement marks in tests/requirements/results.json",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Have set-ups fork their processes, and all output searched for secrets.

    Refuse a T8_OPENAPI_DIR that leads nowhere, and would judge nothing.
    """
    LabProcess.starter = staticmethod(forked.start_process)
    # In the background of a script SIGINT is ignored, also by all processes that are started from here.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.pluginmanager.register(Planted(config), "planted")
    if config.getoption("--requirements-report", default=False):
        config.pluginmanager.register(Recorder(), "requirements")
    if os.environ.get("T8_OPENAPI_DIR") and openapi_dir() is None:
        raise pytest.UsageError(f"T8_OPENAPI_DIR={os.environ['T8_OPENAPI_DIR']} has no {NIDD}")


def pytest_unconfigure() -> None:
    """End the process that forks those of set-ups."""
    forked.stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the tests that ran did not prove."""
    passed = terminalreporter.stats.get("passed", ())
    if openapi_dir() is None and any(is_end_to_end(report.nodeid) for report in passed):
        terminalreporter.write_line(f"T8 traffic was not judged: {ABSENT}", yellow=True)


@pytest.fixture(name="need")
def need_fixture() -> Callable[[object, str], None]:
    """Return `need`."""
    return need


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """Yield a running Mosquitto that ends with the test."""
    with running_broker(tmp_path) as one:
        yield one


@contextmanager
def running_broker(directory: Path, *, persistent: bool = False) -> Iterator[Broker]:
    """Yield a running Mosquitto; `persistent`: it keeps sessions and messages over a restart."""
    need_program("mosquitto")
    one = Broker(directory, persistent=persistent)
    one.start()
    try:
        yield one
    finally:
        one.stop()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while tests are collected: nearly all that is made then stays, and is not looked at later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse marks with requirement labels that do not exist; have the longest files begin first."""
    check_labels(items)
    rank = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(rank)))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the name of a PEM file with a certificate for 127.0.0.1 and its key."""
    need_program("openssl")
    made = tmp_path_factory.mktemp("certificate") / "pair.pem"
    key = made.with_name("key")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", key, "-out", made,
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    made.write_text(made.read_text() + key.read_text())
    return str(made)
