"""An emulated SCEF for the tests of any T8 client: a process of its own, and its control API as methods.

    with EmulatedScef(ues=["meter-1@iot.example"]) as scef:
        client = MyT8Client(scef.url, token=scef.token)
        scef.ue("meter-1@iot.example").sleep()
        client.send_downlink("meter-1@iot.example", b"hello")
        scef.ue("meter-1@iot.example").wake()
        assert scef.ue("meter-1@iot.example").received(wait=5) == [b"hello"]

Nothing but the standard library is used here, and all calls block: what happens in the emulated network does not.
"""

import json
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

Json = Any
_ENDS_WITHIN = 10.0  # seconds


class ScefError(Exception):
    """The emulated SCEF did not start, or refused a call of its control API; the text has the reason."""


class EmulatedScef:
    """A running SCEF; use it as a context. `arguments` are those of the command `mock scef`, beside the named ones.

    `url` is the apiRoot, `token` a bearer token, `control` the URL of the control API; `ready` has all that the process
    prints when it starts. Raises ScefError if it does not start.
    """

    def __init__(self, *arguments: str, ues: Iterable[str] = (), profile: str = "strict-r17") -> None:
        named = [word for ue in ues for word in ("--ue", ue)]
        self._command = [sys.executable, "-m", "mock_network.scef", "--profile", profile, *named, *arguments]
        self._process: subprocess.Popen[str] | None = None
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed when the context is left
        self.ready: dict[str, Json] = {}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603  # the command is ours, its arguments are the tester's
            self._command, stdout=subprocess.PIPE, stderr=self._log, stdin=subprocess.DEVNULL, text=True
        )
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            self._process.wait(_ENDS_WITHIN)
            log = self.log()
            self.__exit__(None, None, None)
            raise ScefError(f"the emulated SCEF did not start: {log.strip()}")
        self.ready = json.loads(line)
        return self

    def log(self) -> str:
        """Return the process's log."""
        self._log.seek(0)
        return self._log.read()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.communicate(timeout=_ENDS_WITHIN)
        self._log.close()

    @property
    def url(self) -> str:
        """Return the apiRoot of the T8 APIs."""
        return str(self.ready["scef"])

    @property
    def token(self) -> str:
        """Return a bearer token, which is the client secret, too."""
        return str(self.ready["token"])

    @property
    def control(self) -> str:
        """Return the URL of the control API."""
        return str(self.ready["control"])

    def ask(self, method: str, path: str, body: Json = None, **query: Any) -> Json:
        """Call the control API, and return what it answers. Raises ScefError."""
        url = f"{self.control}{path}" + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, method=method)  # noqa: S310  # on loopback
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310  # as above
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise ScefError(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}") from error
        return json.loads(text) if text else None

    # UEs

    def add_ue(self, **settings: Any) -> "EmulatedUe":
        """Create a UE: `external_id` or `msisdn`, and any other setting."""
        return EmulatedUe(self, self.ask("POST", "/ues", settings)["name"])

    def ue(self, identity: str) -> "EmulatedUe":
        """Return a UE by name, External Identifier or MSISDN; it must exist. Raises ScefError."""
        return EmulatedUe(self, self.ask("GET", f"/ues/{quote(identity, safe='')}")["name"])

    # What may go wrong, and what happened

    def fault(self, kind: str, **members: Any) -> int:
        """Arm a fault: `probability`, `count`, `after`, `where`, `params`. Return its number."""
        return int(self.ask("POST", "/faults", {"kind": kind, **members})["id"])

    def disarm(self) -> None:
        """Disarm all faults."""
        self.ask("DELETE", "/faults")

    def set(self, **settings: Any) -> None:
        """Change settings of the SCEF: `clock_skew`, `mo_sms_url`, `nidd_trigger_url`, `callback_authorization`."""
        self.ask("PATCH", "/settings", settings)

    def air_log(self, *, wait: float = 0.0, since: int = 0, **where: str) -> list[dict[str, Json]]:
        """Return the lines of the air log after number `since`, of a `ue` and a `what`.

        Waits for a first one, so many seconds at most.
        """
        lines: list[dict[str, Json]] = self.ask("GET", "/air-log", wait=wait, since=since, **where)
        return lines

    def notifications(self, *, wait: float = 0.0, since: int = 0) -> list[dict[str, Json]]:
        """Return the attempts to notify after number `since`; wait for a first one, so many seconds at most."""
        lines: list[dict[str, Json]] = self.ask("GET", "/notifications", wait=wait, since=since)
        return lines


class EmulatedUe:
    """One UE of a running SCEF."""

    def __init__(self, scef: EmulatedScef, name: str) -> None:
        self.name = name
        self._scef = scef
        self._path = f"/ues/{quote(name, safe='')}"

    @property
    def state(self) -> dict[str, Json]:
        """Return its state: whether it is reachable, its modem's address, settings."""
        state: dict[str, Json] = self._scef.ask("GET", self._path)
        return state

    def set(self, **settings: Any) -> None:
        """Change settings."""
        self._scef.ask("PATCH", self._path, settings)

    def sleep(self) -> None:
        """Put it into power saving mode."""
        self.move("sleep")

    def wake(self) -> None:
        """Have it connect."""
        self.move("wake")

    def move(self, trigger: str) -> None:
        """Have a trigger happen: attach, detach, pdn-connect, pdn-release, sleep, wake."""
        self._scef.ask("POST", f"{self._path}/{trigger}")

    def send(self, data: bytes, **members: Any) -> None:
        """Send an uplink as its application: with `rds_port`, `reliable`, `exception`."""
        self._scef.ask("POST", f"{self._path}/uplink", {"data": data.hex(), **members})

    def send_sms(self, data: bytes) -> None:
        """Send an SMS as its application."""
        self._scef.ask("POST", f"{self._path}/sms", {"data": data.hex()})

    def received(self, *, wait: float = 0.0) -> list[bytes]:
        """Return the downlinks that it has really received; wait for a first one, so many seconds at most."""
        return self._data("downlink", wait)

    def received_sms(self, *, wait: float = 0.0) -> list[bytes]:
        """Return the payloads of the SMS that it has really received; wait for a first one."""
        return self._data("sms", wait)

    def _data(self, what: str, wait: float) -> list[bytes]:
        return [bytes.fromhex(line["data"]) for line in self._scef.air_log(wait=wait, ue=self.name, what=what)]

    def remove(self) -> None:
        """Remove it; its configurations are terminated."""
        self._scef.ask("DELETE", self._path)
