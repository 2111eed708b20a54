"""At the end of a run, the secrets of every configuration that a test wrote are looked for in everything that was said.

Said is: the captured output and log of every test; the answers of the API and of the local socket, events streams and
metrics of bridges inside the tests; and the files that bridges wrote into the tests' folders: logs, ledgers,
backups, recordings and reports. Emulators may say their secrets. A secret that stands there fails the run.
"""

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.planted.secrets import secrets_in

SAID = "said-by-bridges"
FILES = (
    "bridge*.log", "log", "*.db", "*.db-wal", "*backup*", "*.pcap", "*.pcapng", "*.ndjson",
    "*report*",
)  # fmt: skip
LARGEST = 64 * 1024 * 1024  # bytes of a file
TITLE = b"\n\x1e--- "  # before a line that names a test, or what a bridge answered; such a line is not searched


class Planted:
    """The plugin. With xdist each process writes what it hears, and the controller looks."""

    def __init__(self, config: pytest.Config) -> None:
        self._is_worker = hasattr(config, "workerinput")
        self._config = config
        self._found: list[str] = []
        self._said: Any = None

    @property
    def _folder(self) -> Path:
        factory: pytest.TempPathFactory = self._config._tmp_path_factory  # type: ignore[attr-defined]
        return factory.getbasetemp()

    def pytest_sessionstart(self) -> None:
        """Listen to bridges inside tests."""
        self._said = (self._folder / SAID).open("ab")
        _listen(self._hear)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what a test printed and logged."""
        if not self._is_worker:
            for title, text in report.sections:
                self._hear(TITLE + f"{report.nodeid} {title}\n{text}\n".encode())

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Look for secrets; the run fails if one is found."""
        self._said.close()
        self._said = None
        if not self._is_worker:
            self._found = found_in(self._folder)
            if self._found:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where secrets stand."""
        for line in self._found:
            terminalreporter.write_line(f"SECRET: {line}", red=True)

    def _hear(self, data: bytes) -> None:
        if self._said is not None and not self._said.closed:
            self._said.write(data)
            self._said.flush()


def found_in(folder: Path) -> list[str]:
    """Return a line for each place where a secret of a configuration below a folder stands."""
    by_place: dict[Path, set[bytes]] = {}
    for configuration in folder.rglob("*.toml"):
        if configuration.is_file() and (secrets := secrets_in(configuration)):
            by_place.setdefault(configuration.parent, set()).update(secrets)
    lines = []
    for place, secrets in by_place.items():
        for file in _written(place):
            lines += [f"a secret of {place} stands in {file}" for _ in _standing(file.read_bytes(), secrets)]
    everywhere = set().union(*by_place.values())
    for said in (*folder.glob(SAID), *folder.glob(f"popen-*/{SAID}")):
        for part in said.read_bytes().split(TITLE):
            title, _, text = part.partition(b"\n")
            lines += [f"a secret was said here: {_where(title, text, one)}" for one in _standing(text, everywhere)]
    return sorted(set(lines))


def _standing(data: bytes, secrets: Iterable[bytes]) -> list[bytes]:
    return [secret for secret in secrets if secret in data]


def _written(place: Path) -> set[Path]:
    files = {file for pattern in FILES for file in place.rglob(pattern)}
    return {file for file in files if file.is_file() and file.stat().st_size < LARGEST}


def _where(title: bytes, text: bytes, secret: bytes) -> str:
    """Return the title, and the line around the secret's first place in the text, without the secret."""
    before, _, after = text.partition(secret)
    line = before.rpartition(b"\n")[2] + secret + after.partition(b"\n")[0]
    return (title + b": " + line.replace(secret, b"(SECRET)")).decode(errors="replace")[:300]


def _listen(hear: Callable[[bytes], None]) -> None:
    """Let every answer of a bridge inside this process be heard."""
    from bridge import metrics
    from bridge.control import local_socket
    from bridge.control.rest import server, stream

    def wrap(module: Any, name: str, said: Callable[[tuple[Any, ...], Any], Any]) -> None:
        function = getattr(module, name)

        @functools.wraps(function)
        def heard(*arguments: Any, **named: Any) -> Any:
            result = function(*arguments, **named)
            data = said(arguments, result)
            hear(TITLE + name.encode() + b"\n" + (data if isinstance(data, bytes) else b"") + b"\n")
            return result

        setattr(module, name, heard)

    wrap(server, "_result", lambda _, result: result.body)
    wrap(server, "_problem", lambda _, result: result.body)
    wrap(local_socket, "_json", lambda _, result: result.body)
    wrap(stream, "_send", lambda arguments, _: arguments[1])
    wrap(metrics.Metrics, "text", lambda _, result: result)
