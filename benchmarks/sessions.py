"""What a session with a server costs the bridge's side: a handshake, a message, and memory, in one process.

The far end is OpenSSL, whichever library is measured. Only the time inside the measured session counts.
"""

import gc
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from bridge.tls.contract import Backend, Phase, Session
from bridge.tls.credentials import CertificateKey, Credentials, PreSharedKey
from bridge.tls.openssl import OpenSsl
from bridge.tls.settings import SessionSettings, Suite, Trust
from tests.tls.peers import LIBRARIES, OpenSslPeer, Wants
from tests.tls.pki import Authority

KEY = PreSharedKey(b"urn:dev:1", bytes(16))
HANDSHAKES = 200
MESSAGES = 5000
HELD = 500  # sessions that memory is measured with
MESSAGE = bytes(100)


@dataclass(frozen=True)
class Case:
    name: str
    settings: SessionSettings
    credentials: Credentials
    wants: Wants


def cases() -> list[Case]:
    root = Authority()
    server, client = root.issue("server", names=("lwm2m.example",)), root.issue("urn:dev:1")
    own = CertificateKey(client.pem, client.key_pem)
    trust = Trust(root.pem, name="lwm2m.example")
    keys, mutual = {KEY.identity: KEY.key}, {"own": server, "clients": root.pem}
    found = []
    for stream in (False, True):
        kind = "TLS" if stream else "DTLS"
        for suite in (Suite.PSK_CCM_8, Suite.PSK_CBC):
            wants = Wants(keys, stream=stream)
            found.append(Case(f"{kind} {suite.value}", SessionSettings((suite,), stream=stream), KEY, wants))
        for suite in (Suite.ECDSA_CCM_8, Suite.ECDSA_GCM):
            wants = Wants(stream=stream, **mutual)  # type: ignore[arg-type]
            found.append(Case(f"{kind} {suite.value}", SessionSettings((suite,), trust, stream=stream), own, wants))
    return found


class Timed:
    """Adds up the time inside calls."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, call: Callable[..., Any], *args: Any) -> Any:
        begin = time.perf_counter()
        try:
            return call(*args)
        finally:
            self.seconds += time.perf_counter() - begin


def shake(backend: Backend, case: Case, server: OpenSslPeer, timed: Timed) -> Session:
    """Return a session that is open."""
    session: Session = timed(backend.client, case.settings, case.credentials)
    while session.phase is not Phase.OPEN or not server.opened:
        for piece in timed(session.outgoing):
            server.receive(piece)
        for piece in server.outgoing():
            timed(session.receive, piece)
        if session.phase is Phase.OVER:
            raise RuntimeError(f"{case.name}: {session.failure}")
    return session


def resident() -> int:
    with open("/proc/self/statm") as statm:  # noqa: PTH123
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(backend: Backend, case: Case) -> dict[str, float]:
    server = OpenSslPeer(case.wants)
    timed = Timed()
    for _ in range(HANDSHAKES):
        server.again()
        shake(backend, case, server, timed).close()
    handshake = timed.seconds / HANDSHAKES
    server.again()
    session = shake(backend, case, server, Timed())
    sending, receiving = Timed(), Timed()
    for _ in range(MESSAGES):
        sending(session.send, MESSAGE)
        for piece in sending(session.outgoing):
            server.receive(piece)
        server.send(MESSAGE)
        for piece in server.outgoing():
            receiving(session.receive, piece)
    return {
        "handshake_ms": handshake * 1e3,
        "send_us": sending.seconds / MESSAGES * 1e6,
        "receive_us": receiving.seconds / MESSAGES * 1e6,
    }


def held(backend: Backend, case: Case) -> float:
    """Return the bytes that an open session keeps, measured in a process that has kept none before."""
    ours, theirs = get_context("fork").Pipe(duplex=False)

    def measure_here() -> None:
        server = OpenSslPeer(case.wants)
        shake(backend, case, server, Timed()).close()
        sessions: list[Session] = []
        before = resident()
        for _ in range(HELD):
            server.again()
            sessions.append(shake(backend, case, server, Timed()))
        gc.collect()
        theirs.send((resident() - before) / HELD)

    child = get_context("fork").Process(target=measure_here)
    child.start()
    found: float = ours.recv()
    child.join()
    return found


def show_sessions() -> dict[str, dict[str, float]]:
    """Print a table, and return its figures."""
    found: dict[str, dict[str, float]] = {}
    print(f"{'':64} handshake ms   send us  receive us  KiB held")
    pairs = [(library(), case) for library in LIBRARIES for case in cases()]
    pairs = [(backend, case) for backend, case in pairs if isinstance(backend, OpenSsl) or not case.settings.stream]
    sizes = [held(backend, case) for backend, case in pairs]  # before this process has kept anything
    for (backend, case), size in zip(pairs, sizes, strict=True):
        name = f"{backend.name.split(' ', maxsplit=2)[0]} {case.name}"
        figures = found[name] = {**measure(backend, case), "kib_per_session": size / 1024}
        print(f"{name:64} {figures['handshake_ms']:12.2f} {figures['send_us']:9.1f} ", end="")
        print(f"{figures['receive_us']:11.1f} {figures['kib_per_session']:9.1f}")
    return found
