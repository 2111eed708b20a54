"""A real Eclipse Leshan server for tests: run as a process, driven over its JSON control port.

`make components` builds it. `start_leshan()` returns a `LeshanProcess`; `Leshan(process)` is the asynchronous client of
its control port. The Java side, its options and its routes are described in `Main.java` and `ControlPort.java` below
`leshan/src/main/java/interop`.
"""

import asyncio
import json
import selectors
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import aiohttp

from mock_network.lab.api import Dialler
from tests.components import LESHAN

CLASS_PATH = f"{LESHAN.folder / 'classes'}:{LESHAN.folder / 'lib'}/*"
START_TIMEOUT_S = 30  # a Java start on a busy machine

Json = dict[str, Any]


class LeshanProcess:
    """A running server: `host`, `coap_port`, `coaps_port` (0: no DTLS) for devices, `control_url` for the test."""

    def __init__(self, process: "subprocess.Popen[str]", ready: Json, log: IO[str]) -> None:
        self._process = process
        self._log = log
        self.host: str = ready["coap_address"]
        self.coap_port: int = ready["coap_port"]
        self.coaps_port: int = ready["coaps_port"]
        self.control_url = f"http://127.0.0.1:{ready['control_port']}"

    def log_text(self) -> str:
        """Return what the server has logged so far."""
        return Path(self._log.name).read_text()

    def stop(self) -> None:
        """End the server by closing its standard input, and reap it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()


def start_leshan(
    *,
    coap_address: str = "127.0.0.1",
    coap_port: int = 0,
    response_timeout: float = 120,
    awake_window: float = 93,
    cleaning_period: int = 60,
    update_on_notification: bool = False,
    update_on_send: bool = False,
    californium: Mapping[str, str] | None = None,
    secure: Sequence[tuple[str, str]] = (),
    within: Sequence[str] = (),
) -> LeshanProcess:
    """Start the server that `make components` has built, and wait until it listens.

    Times are in seconds, and defaults are Leshan's own.
    `secure` are the options for DTLS of `Main.java`, such as `("--psk", "ENDPOINT,IDENTITY,KEY")`; empty: no DTLS.
    `within` are the words that begin a program where it runs.
    `californium` are Californium settings with their units, for example `{"COAP.ACK_TIMEOUT": "500[ms]"}`.
    """
    command = [
        *within,
        "java",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Xmx256m",
    ]  # a quick start matters, speed does not
    command += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", CLASS_PATH, "interop.Main"]
    command += ["--coap-address", coap_address, "--coap-port", str(coap_port)]
    command += ["--response-timeout", str(response_timeout), "--awake-window", str(awake_window)]
    command += ["--cleaning-period", str(cleaning_period)]
    command += ["--update-on-notification", str(update_on_notification).lower()]
    command += ["--update-on-send", str(update_on_send).lower()]
    for option, value in (("--coaps-port", "0"), *secure) if secure else ():
        command += [option, value]
    for key, value in (californium or {}).items():
        command += ["--californium", f"{key}={value}"]
    folder = LESHAN.folder
    log = tempfile.NamedTemporaryFile("w", prefix="leshan-", suffix=".log", dir=folder)  # noqa: SIM115 -- closed by stop()
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder
    )
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline() if selector.select(START_TIMEOUT_S) else ""
    if not line:
        process.kill()
        process.communicate()
        text = Path(log.name).read_text()
        log.close()
        raise RuntimeError(f"Leshan did not start:\n{text}")
    return LeshanProcess(process, json.loads(line), log)


class Leshan:
    """The control port of a running server. Use it as an asynchronous context manager.

    Operations: `await leshan.read("ep", "/3/0/0", timeout=5)` waits for the result; `start(...)` returns
    the operation's number at once and `result(number)` fetches what came of it. A result is a dict with `state`
    ("response", "error" or "pending"); a response has `code` ("2.05"), `success`, `message` (diagnostic payload of an
    error), `values` by path, `links`, `location`; an error has `error` (Leshan's exception) and `message`.

    Events are numbered; `event("notification", endpoint="ep")` waits for the next one of that kind not yet given out.
    """

    def __init__(self, process: LeshanProcess, dialler: Dialler | None = None) -> None:
        """`dialler` makes sockets where the server runs."""
        self._dialler = dialler
        self.host = process.host
        self.coap_port = process.coap_port
        self._url = process.control_url
        self._session: aiohttp.ClientSession | None = None
        self._seen = 0
        self._waiting: list[Json] = []
        self._asking = asyncio.Lock()  # two who ask at once would count the same events twice, and miss the next ones

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(socket_factory=self._dialler) if self._dialler else None
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), connector=connector)
        past: list[Json] = await self._call("GET", "/events")
        self._seen = len(past)  # events of earlier tests are not ours
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def _call(self, method: str, path: str, body: Json | None = None, **query: str | float) -> Any:
        assert self._session is not None, "use `async with Leshan(process)`"
        async with self._session.request(method, self._url + path, json=body, params=query) as response:
            answer = await response.json()
            if response.status != 200:
                raise ValueError(f"{method} {path}: {answer['error']}")
            return answer

    async def registrations(self) -> list[Json]:
        """Return all registrations: endpoint, registration_id, address, port, lifetime, binding, queue_mode, …"""
        registrations: list[Json] = await self._call("GET", "/registrations")
        return registrations

    async def registration(self, endpoint: str) -> Json | None:
        """Return the registration of this endpoint, or None."""
        return next((one for one in await self.registrations() if one["endpoint"] == endpoint), None)

    async def observations(self, endpoint: str) -> list[Json]:
        """Return what the server observes on this endpoint: path and token (hexadecimal)."""
        observations: list[Json] = await self._call("GET", "/observations", endpoint=endpoint)
        return observations

    async def start(self, operation: str, endpoint: str, path: str, **details: Any) -> int:
        """Start an operation and return its number.

        Every operation takes `timeout`, the seconds that Leshan waits for the response, and `ttl`, seconds that go out
        in the elective option 65052. Operations and what they take: read, observe (format); read-composite,
        observe-composite (paths; their own path is "/"); write (value or values, replace, format); write-composite
        (values by path); execute (arguments); discover; delete; create (values, instance, format); write-attributes
        (attributes: "pmin=1&pmax=10"); cancel-observe (sends a GET with Observe 1; with paths, a FETCH);
        forget-observe (sends nothing). Raises ValueError where the server refuses the order.
        """
        order: Json = {"operation": operation, "endpoint": endpoint, "path": path, **details}
        answer: Json = await self._call("POST", "/operations", order)
        number: int = answer["operation"]
        return number

    async def result(self, number: int, *, wait: float = 30) -> Json:
        """Return the result of an operation; {"state": "pending", ...} if there is none after `wait` seconds."""
        result: Json = await self._call("GET", f"/operations/{number}", wait=wait)
        return result

    async def acknowledged(self, number: int, *, within: float = 10) -> None:
        """Wait until the request of an operation is ACKed while its response is not there; AssertionError if not so."""
        deadline = time.monotonic() + within
        while not (result := await self.result(number, wait=0.05))["acknowledged"]:
            assert time.monotonic() < deadline, f"operation {number} is not acknowledged within {within} s"
        assert result["state"] == "pending", result

    async def run(self, operation: str, endpoint: str, path: str, *, wait: float = 150, **details: Any) -> Json:
        """Start an operation and wait for its result."""
        return await self.result(await self.start(operation, endpoint, path, **details), wait=wait)

    async def read(self, endpoint: str, path: str, **details: Any) -> Json:
        return await self.run("read", endpoint, path, **details)

    async def write(self, endpoint: str, path: str, value: Any, **details: Any) -> Json:
        return await self.run("write", endpoint, path, value=value, **details)

    async def execute(self, endpoint: str, path: str, arguments: str = "", **details: Any) -> Json:
        return await self.run("execute", endpoint, path, arguments=arguments, **details)

    async def discover(self, endpoint: str, path: str, **details: Any) -> Json:
        return await self.run("discover", endpoint, path, **details)

    async def observe(self, endpoint: str, path: str, **details: Any) -> Json:
        return await self.run("observe", endpoint, path, **details)

    async def forget(self, endpoint: str) -> None:
        """Have the server lose a registration; it tells nobody."""
        await self._call("POST", "/forget", endpoint=endpoint)

    async def events(self, after: int = 0) -> list[Json]:
        """Return all events whose number is above `after`, oldest first."""
        events: list[Json] = await self._call("GET", "/events", after=after)
        return events

    async def event(
        self, kind: str, endpoint: str | None = None, *, wait: float = 10, where: Callable[[Json], bool] | None = None
    ) -> Json:
        """Return the next event of a kind (and endpoint, for which `where` holds); AssertionError if none in time.

        Kinds: registered, updated, unregistered, expired, observing, observation-cancelled, notification,
        notification-error, send, send-error, operation, request (it was sent), awake, sleeping,
        rst-sent (of no endpoint).
        """
        deadline = time.monotonic() + wait
        while True:
            for index, event in enumerate(self._waiting):
                if event["kind"] == kind and endpoint in (None, event["endpoint"]) and (where is None or where(event)):
                    return self._waiting.pop(index)
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"no {kind} of {endpoint} within {wait} s; other events: {self._waiting}")
            seen = self._seen
            async with self._asking:
                if self._seen == seen:  # else another has brought events meanwhile
                    fresh: list[Json] = await self._call("GET", "/events", after=seen, wait=min(left, 1.0))
                    self._seen += len(fresh)
                    self._waiting += fresh
