"""What all tests share: a component that is absent skips a test, or fails it where everything must be proven."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from mock_network.lab import MOSQUITTO, Broker
from tests.requirements.collecting import check_labels

# How long an example takes says how busy the machine is, and nothing of the code.
hypothesis.settings.register_profile(
    "busy machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy machine")


def need(present: object, reason: str) -> None:
    """Skip with `reason` unless `present`; with REQUIRE_ALL=1 in the environment that is a failure instead."""
    if present:
        return
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"required here but absent: {reason}")
    pytest.skip(reason, allow_module_level=True)


@pytest.fixture(name="need")
def need_fixture() -> Callable[[object, str], None]:
    """Give `need` to a test."""
    return need


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """Give a running Mosquitto that ends with the test."""
    need(MOSQUITTO, "mosquitto is not installed")
    one = Broker(tmp_path)
    one.start()
    yield one
    one.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse marks with requirement labels that do not exist."""
    check_labels(items)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PEM file with a certificate for 127.0.0.1 and its key."""
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
