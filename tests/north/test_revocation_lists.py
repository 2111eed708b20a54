"""A newer revocation list counts without a reload: before a session carries anything, and while it is open."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from bridge.config.security import Security
from bridge.north.combined import CombinedNorth
from bridge.north.contract import LinkState
from bridge.north.dtls.transport import DtlsNorth, DtlsServer as DtlsSettings
from bridge.north.revocation import lists
from bridge.north.revocation.contract import RevocationCounters, RevocationVerdict
from bridge.north.revocation.lists import ListRevocation, refusal_of
from bridge.north.sessions.transport import LinkSettings
from bridge.north.tcp.transport import StreamNorth, StreamServer as StreamSettings
from bridge.north.udp.prefix import PrefixScheme
from bridge.north.udp.prefixes import LOOPBACK_PREFIX, pools
from bridge.north.udp.servers import ServerName, Servers
from bridge.north.udp.transport import UdpNorth
from bridge.tls.openssl import OpenSsl
from bridge.tls.verification import revocation_lists
from mock_network.lab import free_port
from tests.north.session_servers import DtlsServer, StreamServer
from tests.north.test_ocsp import ROOT, identify
from tests.north.test_session_faults import SOURCE, state
from tests.north.transport_contract import Noted, content, request
from tests.tls.peers import Wants
from tests.tls.pki import Authority, Issued
from tests.waiting import until

OTHER = Authority("Another root")
BELOW = Authority("Below", of=ROOT)
SERVER = ROOT.issue("server")
UNDER = BELOW.issue("server")
CHAIN = (SERVER.certificate, ROOT.certificate)


def read(*pem: bytes) -> list[x509.CertificateRevocationList]:
    return revocation_lists(b"".join(pem))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the file of revocation lists, in which nothing is revoked yet."""
    there = tmp_path / "lists.pem"
    there.write_bytes(ROOT.revokes())
    (tmp_path / "root.pem").write_bytes(ROOT.pem)
    return there


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "EVERY", 0.1)
    monkeypatch.setattr(lists, "SPREAD", 0.0)


@asynccontextmanager
async def links(kind: str, file: Path) -> AsyncIterator[tuple[CombinedNorth, Noted, DtlsServer | StreamServer]]:
    """Run a server with a certificate, and a transport to it as a configuration with these lists makes it."""
    stream = kind == "tls"
    wants = Wants(own=SERVER, clients=ROOT.pem, stream=stream)
    peer = StreamServer(wants) if stream else DtlsServer(wants)
    await peer.start()
    known = Servers([ServerName("one", "127.0.0.1", peer.port, peer.port, stream)])
    await known.resolve()
    scheme = PrefixScheme(pools([LOOPBACK_PREFIX]), free_port())
    udp = UdpNorth(scheme, known)
    security = Security(
        mode="certificate",
        ca_bundle="root.pem",
        certificate="own.pem",
        certificate_name="any",
        revocation_lists=file.name,
    )
    session = security.session(file.parent, "127.0.0.1", stream=stream)
    reads = security.lists(file.parent)
    assert reads is not None
    checked = RevocationCounters()
    revocation = ListRevocation(reads, "one", checked, lambda: 0.0)
    secure = {} if stream else {"one": DtlsSettings(OpenSsl(), session, LinkSettings(), revocation)}
    over = {"one": StreamSettings(LinkSettings(), OpenSsl(), session, revocation)} if stream else {}
    streams = StreamNorth(known, over, lambda source, family: scheme.local(source, family)[0], identify, lambda: 1.7e9)
    north = CombinedNorth(udp, DtlsNorth(udp, secure, identify), streams, checked)
    north.reach(secure, over)
    noted = Noted()
    await north.start(noted)
    try:
        yield north, noted, peer
    finally:
        await north.stop()
        await peer.stop()


@pytest.mark.parametrize("kind", ["dtls", "tls"])
async def test_an_open_session_is_closed_when_a_newer_list_has_its_certificate(file: Path, kind: str) -> None:
    async with links(kind, file) as (north, noted, peer):
        north.send(SOURCE, "one", request(1))
        assert content((await peer.receive())[1]) == content(request(1))
        await asyncio.sleep(0.3)  # it was judged again some times
        assert north.link(SOURCE, "one").state is LinkState.OPEN
        file.write_bytes(ROOT.revokes(SERVER))
        assert "no longer accepted: it is revoked" in (await state(noted, LinkState.FAILING)).reason
        assert north.counters().listed_closed == 1


@pytest.mark.parametrize("kind", ["dtls", "tls"])
async def test_no_session_opens_with_a_certificate_that_a_newer_list_has(file: Path, kind: str) -> None:
    async with links(kind, file) as (north, noted, _peer):
        file.write_bytes(ROOT.revokes(SERVER))
        north.open(SOURCE, ("one",))
        assert "not accepted: it is revoked" in (await state(noted, LinkState.FAILING)).reason
        assert (north.counters().listed_refused, north.counters().listed_closed) == (1, 0)
        file.write_bytes(ROOT.revokes())  # it was a mistake: the next attempt succeeds
        await until(lambda: north.link(SOURCE, "one").state is LinkState.OPEN, 20, why="it stays refused")


@pytest.mark.parametrize("bad", [None, b"", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"])
async def test_lists_that_cannot_be_read_change_nothing_and_are_named_in_the_log(
    file: Path, bad: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    async with links("dtls", file) as (north, noted, _peer):
        north.open(SOURCE, ("one",))
        await state(noted, LinkState.OPEN)
        file.unlink() if bad is None else file.write_bytes(bad)
        await until(lambda: "revocation lists cannot be read" in caplog.text, why="nothing is logged")
        assert north.link(SOURCE, "one").state is LinkState.OPEN
        file.write_bytes(ROOT.revokes(SERVER))
        await state(noted, LinkState.FAILING)


async def test_all_sessions_wait_for_one_reading_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "EVERY", 60.0)
    readings = 0

    def reads() -> bytes:
        nonlocal readings
        readings += 1
        return ROOT.revokes()

    revocation = ListRevocation(reads, "one", RevocationCounters(), lambda: 0.0)
    verdicts = await asyncio.gather(*(revocation.verdict(CHAIN) for _ in range(50)))
    assert readings == 1
    assert verdicts == [RevocationVerdict("", 60.0)] * 50
    await revocation.stop()


async def test_what_responders_say_counts_as_well() -> None:
    class Says:
        checked = RevocationCounters()
        stopped = False

        def verdict(self, _chain: object, *, is_open: bool = False) -> "asyncio.Future[RevocationVerdict]":
            future: asyncio.Future[RevocationVerdict] = asyncio.get_running_loop().create_future()
            future.set_result(RevocationVerdict("a responder says no" if is_open else "", 0.05, certain=not is_open))
            return future

        async def stop(self) -> None:
            self.stopped = True

    says = Says()
    revocation = ListRevocation(ROOT.revokes, "one", RevocationCounters(), lambda: 0.0, says)
    assert await revocation.verdict(CHAIN) == RevocationVerdict("", 0.05)
    assert await revocation.verdict(CHAIN, is_open=True) == RevocationVerdict(
        "a responder says no", 0.05, certain=False
    )
    await revocation.stop()
    assert says.stopped


def test_only_a_list_that_the_certificates_own_authority_signed_counts() -> None:
    assert refusal_of(CHAIN, read(ROOT.revokes(SERVER))) == "it is revoked"
    assert refusal_of(CHAIN, read(OTHER.revokes(SERVER))) == ""
    impostor = Authority()  # of the same name
    assert refusal_of(CHAIN, read(impostor.revokes(SERVER))) == ""


def test_an_authority_below_the_root_can_be_revoked_as_well() -> None:
    chain = (UNDER.certificate, BELOW.certificate, ROOT.certificate)
    entry = Issued(BELOW.certificate, BELOW.key)
    assert refusal_of(chain, read(BELOW.revokes(), ROOT.revokes(entry))) == "it is revoked (at its authority number 1)"
    assert refusal_of(chain, read(BELOW.revokes(), ROOT.revokes())) == ""


def test_an_entry_whose_extensions_cannot_be_read_revokes_nevertheless() -> None:
    """Else the error would be raised where a verdict is waited for: an open session would never be judged again."""
    reason = x509.CRLReason(x509.ReasonFlags.remove_from_crl)
    twice = [x509.Extension(x509.CRLReason.oid, critical=False, value=reason)] * 2
    at = datetime(2026, 1, 1, tzinfo=UTC)
    entry = x509.RevokedCertificateBuilder(SERVER.certificate.serial_number, at, twice).build()
    made = x509.CertificateRevocationListBuilder(ROOT.certificate.subject, at, at + timedelta(days=1), [], [entry])
    pem = made.sign(ROOT.key, SHA256()).public_bytes(Encoding.PEM)
    assert refusal_of(CHAIN, read(pem)) == "it is revoked"
