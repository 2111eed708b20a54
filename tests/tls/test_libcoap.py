"""Sessions with a real third library: libcoap's server on OpenSSL and on GnuTLS, over sockets."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from bridge.coap import udp
from bridge.coap.message import CON
from bridge.coap.numbers import Code
from bridge.tls.contract import Backend, Cause, Phase, Session
from bridge.tls.credentials import CertificateKey, PreSharedKey
from bridge.tls.settings import CERTIFICATE_SUITES, PSK_SUITES, SessionSettings, Suite, Trust
from mock_network.lab import free_ports
from tests.conftest import need_program
from tests.tls.peers import LIBRARIES
from tests.tls.pki import Authority

KEY = PreSharedKey(b"urn:dev:1", b"a-key-for-libcoap")
SERVERS = ("coap-server-openssl", "coap-server-gnutls")
REQUEST = udp.frame(CON, Code.GET, 0x1234, b"\x01", b"")


@pytest.fixture(params=SERVERS)
def program(request: pytest.FixtureRequest) -> str:
    need_program(request.param)
    return str(request.param)


@pytest.fixture(params=LIBRARIES)
def backend(request: pytest.FixtureRequest) -> Backend:
    made: Backend = request.param()
    return made


@contextmanager
def running(program: str, *options: str) -> Iterator[tuple[str, int]]:
    """Run a server of CoAP on one port and of DTLS on the next; yield where the latter is."""
    port = free_ports(2).start
    command = [program, "-A", "127.0.0.1", "-p", str(port), "-v", "5", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield "127.0.0.1", port + 1
        finally:
            process.terminate()


class Link:
    """A session over a UDP socket, until it is open or `seconds` have passed."""

    def __init__(self, session: Session, where: tuple[str, int], seconds: float = 10.0) -> None:
        self.session = session
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(where)
        end = time.monotonic() + seconds
        while session.phase is Phase.HANDSHAKE and time.monotonic() < end:
            self.step()
        self.step()

    def step(self) -> list[bytes]:
        for datagram in self.session.outgoing():
            self.socket.send(datagram)
        self.socket.settimeout(min(0.2, self.session.deadline() or 0.2))
        try:
            return self.session.receive(self.socket.recv(4096))
        except TimeoutError:
            self.session.expire()
        except ConnectionRefusedError:  # the server is not up yet
            time.sleep(0.05)
        return []

    def ask(self) -> bytes:
        """Return what the server answers to a GET of its root."""
        self.session.send(REQUEST)
        for _ in range(20):
            for message in self.step():
                return udp.decode(message).payload
        raise AssertionError("no answer")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()
        self.socket.close()


@pytest.mark.parametrize("suite", PSK_SUITES)
def test_with_a_pre_shared_key(backend: Backend, program: str, suite: Suite) -> None:
    if (program, suite) == ("coap-server-openssl", Suite.PSK_CBC):
        pytest.skip("this server does not offer it")
    session = backend.client(SessionSettings((suite,)), KEY)
    with running(program, "-k", KEY.key.decode()) as where, Link(session, where) as link:
        assert (session.phase, session.suite) == (Phase.OPEN, suite.value)
        assert b"libcoap" in link.ask()


def test_with_another_key(backend: Backend, program: str) -> None:
    session = backend.client(SessionSettings(PSK_SUITES), KEY)
    with running(program, "-k", "another-key-of-16") as where, Link(session, where, seconds=2):
        assert session.phase is not Phase.OPEN
        assert (session.heard, session.proven) == (True, True)
        if session.failure is not None:  # one of them answers with an alert, the other is silent
            assert session.failure.cause is Cause.CREDENTIALS


def test_with_certificates(backend: Backend, program: str, tmp_path: Path) -> None:
    root = Authority()
    server, client = root.issue("server", names=("lwm2m.example",)), root.issue("urn:dev:1")
    (tmp_path / "root.pem").write_bytes(root.pem)
    (tmp_path / "server.pem").write_bytes(server.pem)
    (tmp_path / "server.key").write_bytes(server.key_pem)
    options = ("-c", str(tmp_path / "server.pem"), "-j", str(tmp_path / "server.key"), "-C", str(tmp_path / "root.pem"))
    settings = SessionSettings(CERTIFICATE_SUITES, Trust(root.pem, name="lwm2m.example"))
    session = backend.client(settings, CertificateKey(client.pem, client.key_pem))
    with running(program, *options) as where, Link(session, where) as link:
        assert session.failure is None
        assert session.phase is Phase.OPEN
        assert b"libcoap" in link.ask()


def test_with_a_certificate_of_another_authority(backend: Backend, program: str, tmp_path: Path) -> None:
    root, other = Authority(), Authority("Another root")
    server, client = root.issue("server", names=("lwm2m.example",)), other.issue("urn:dev:1")
    (tmp_path / "root.pem").write_bytes(root.pem)
    (tmp_path / "server.pem").write_bytes(server.pem)
    (tmp_path / "server.key").write_bytes(server.key_pem)
    options = ("-c", str(tmp_path / "server.pem"), "-j", str(tmp_path / "server.key"), "-C", str(tmp_path / "root.pem"))
    settings = SessionSettings(CERTIFICATE_SUITES, Trust(root.pem, name="lwm2m.example"))
    session = backend.client(settings, CertificateKey(client.pem, client.key_pem))
    with running(program, *options) as where, Link(session, where, seconds=3):
        assert session.phase is not Phase.OPEN
        assert session.failure is None or session.failure.cause in {Cause.CREDENTIALS, Cause.CUT_OFF}
