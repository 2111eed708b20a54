"""The bridge with one of its promises broken on purpose: a tour that does not notice would prove nothing.

`python -m mock_network.demo.sabotage PROMISE ARGUMENTS…` runs the bridge's command line with that promise broken.
Names of the bridge are in strings: nothing else here depends on its code.
"""

import importlib
import sys
from collections.abc import Callable
from typing import Any


def _replace(module: str, name: str, replacement: Any) -> None:
    target = importlib.import_module(module)
    *path, last = name.split(".")
    for part in path:
        target = getattr(target, part)
    if not hasattr(target, last):
        raise SystemExit(f"{module} has no {name}: the sabotage must follow the code")
    setattr(target, last, replacement)


def _expiry() -> None:
    """A time to live is read and forgotten."""
    _replace("bridge.relay.from_server", "_strip_ttl", lambda message, _number: (None, message.body))


def _dedup() -> None:
    """Whatever comes twice is taken twice."""
    _replace("bridge.relay.from_device", "_is_repeat", lambda *_: False)


def _store() -> None:
    """What is accepted is acknowledged and never written."""

    def commit(_store: Any, _changes: Any, done: Callable[[None], None], **_: Any) -> None:
        importlib.import_module("asyncio").get_running_loop().call_soon(done, None)

    _replace("bridge.store.sqlite.store", "SqliteStore.commit", commit)


PROMISES = {"expiry": _expiry, "dedup": _dedup, "store": _store}

if __name__ == "__main__":
    PROMISES[sys.argv.pop(1)]()
    importlib.import_module("bridge.cli").main(prog_name="lwm2m-bridge")
