"""`python tests/mutations/warm.py` runs pytest again and again, each time in a new process that it forks.

Hundreds of mutations are tried, and most of the time of each went into the imports of pytest and of the libraries that
the bridge uses. This process imports both once, and nothing of the bridge or its tests: those a run imports anew, from
the tree that it is told.

A request is a line of JSON on standard input: `tree`, the folder to run in; `arguments` of pytest; `output`, the file
for all that the run says. Once the run has ended, its exit code is written to standard output as a line, negative for a
signal.
"""

import gc
import importlib
import json
import os
import sys
import threading
import warnings
from pathlib import Path

LIBRARIES = (
    "pytest", "_pytest.pytester", "anyio.pytest_plugin", "hypothesis.stateful", "hypothesis.strategies",
    "pytest_asyncio.plugin", "pytest_timeout", "xdist.plugin",
    "OpenSSL", "aiocoap", "aiohttp.web", "apsw", "cbor2", "chirpstack_api.api", "click", "cryptography.x509",
    "grpc.aio", "httptools", "ijson", "msgspec", "paho.mqtt.client", "prometheus_client", "psycopg", "rich.console",
    "yaml",
)  # fmt: skip
"""What is imported once. One that is not installed is left out, for then the tests do without it, too."""


def preload() -> None:
    """Import the libraries. Raises RuntimeError if that starts a thread: a forked process would lack it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in LIBRARIES:
            try:
                importlib.import_module(name)
            except ModuleNotFoundError:
                continue
    native = sum(1 for _ in Path("/proc/self/task").iterdir())
    if native != 1 or threading.active_count() != 1:
        raise RuntimeError(f"imports started threads: {native} run")
    gc.collect()
    gc.freeze()


def run(tree: str, arguments: list[str], output: str) -> None:
    """Run pytest in a tree; end this process with pytest's exit code."""
    import pytest

    said = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, standard in ((nothing, 0), (said, 1), (said, 2)):
        os.dup2(descriptor, standard)
    os.chdir(tree)
    sys.path[0] = tree
    # The libraries were imported before pytest could rewrite their assertions, and it would warn of that.
    sys.exit(pytest.main([*arguments, "-W", "ignore::pytest.PytestAssertRewriteWarning"]))


def main() -> None:
    """Serve until standard input is closed."""
    preload()
    while line := sys.stdin.readline():
        request = json.loads(line)
        pid = os.fork()
        if not pid:
            run(**request)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
