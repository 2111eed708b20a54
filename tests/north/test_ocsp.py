"""OCSP responders are asked about servers' certificates before a session carries anything, over DTLS and TLS."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.x509.ocsp import OCSPCertStatus

from bridge.north.combined import CombinedNorth
from bridge.north.contract import LinkState, Sending
from bridge.north.dtls.transport import DtlsNorth, DtlsServer as DtlsSettings
from bridge.north.revocation import chains, http, responders as asking
from bridge.north.revocation.chains import OcspRevocation
from bridge.north.revocation.responders import Responders
from bridge.north.sessions import verifying
from bridge.north.sessions.transport import LinkSettings
from bridge.north.tcp.transport import StreamNorth, StreamServer as StreamSettings
from bridge.north.udp.prefix import PrefixScheme
from bridge.north.udp.prefixes import LOOPBACK_PREFIX, pools
from bridge.north.udp.servers import ServerName, Servers
from bridge.north.udp.transport import UdpNorth
from bridge.tls import ocsp
from bridge.tls.credentials import CertificateKey, Credentials
from bridge.tls.openssl import OpenSsl
from bridge.tls.settings import CERTIFICATE_SUITES, SessionSettings, Trust
from mock_network.lab import free_port
from tests.north.ocsp_responders import Liar, Says, body, openssl
from tests.north.session_servers import DtlsServer, StreamServer
from tests.north.test_session_faults import SOURCE, state
from tests.north.transport_contract import Noted, content, request
from tests.tls.peers import Wants
from tests.tls.pki import Authority, Issued, vouches
from tests.waiting import until

KINDS = ("dtls", "tls")
HOUR = timedelta(hours=1)
ROOT, OTHER = Authority(), Authority("Another root")
GOOD, BAD, ANOTHER, CLIENT = (ROOT.issue(name) for name in ("server", "revoked", "another", "urn:dev:7"))
DELEGATE = ROOT.issue("responder", server=False, client=False, responder=True)
FOREIGN = OTHER.issue("responder", server=False, client=False, responder=True)


def identify(_source: int, _server: str) -> "asyncio.Future[Credentials]":
    future: asyncio.Future[Credentials] = asyncio.get_running_loop().create_future()
    future.set_result(CertificateKey(CLIENT.pem, CLIENT.key_pem))
    return future


def good_after(may: asyncio.Event) -> Says:
    """Return a responder that answers the truth when it may."""

    async def slow(_question: bytes, nonce: bytes) -> web.Response:
        await may.wait()
        return body(vouches(ROOT, GOOD, nonce=nonce))

    return slow


@asynccontextmanager
async def links(
    kind: str, server: Issued, url: str, *, accept: bool = False
) -> AsyncIterator[tuple[CombinedNorth, Noted, DtlsServer | StreamServer]]:
    """Run a server with a certificate, and a transport to it that asks the responder at `url`."""
    wants = Wants(own=server, clients=ROOT.pem, stream=kind == "tls")
    peer = DtlsServer(wants) if kind == "dtls" else StreamServer(wants)
    await peer.start()
    known = Servers([ServerName("one", "127.0.0.1", peer.port, peer.port, kind == "tls")])
    await known.resolve()
    scheme = PrefixScheme(pools([LOOPBACK_PREFIX]), free_port())
    udp = UdpNorth(scheme, known)
    asked = Responders(bytes, lambda: 0.0)  # without jitter
    revocation = OcspRevocation(asked, "one", url, accept_unproven=accept)
    session = SessionSettings(CERTIFICATE_SUITES, Trust(ROOT.pem, asked=True), stream=kind == "tls")
    secure = {"one": DtlsSettings(OpenSsl(), session, LinkSettings(), revocation)} if kind == "dtls" else {}
    over = {"one": StreamSettings(LinkSettings(), OpenSsl(), session, revocation)} if kind == "tls" else {}
    streams = StreamNorth(known, over, lambda source, family: scheme.local(source, family)[0], identify, lambda: 1.7e9)
    north = CombinedNorth(udp, DtlsNorth(udp, secure, identify), streams, asked.checked)
    north.reach(secure, over)
    noted = Noted()
    await north.start(noted)
    try:
        yield north, noted, peer
    finally:
        await north.stop()
        await peer.stop()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [(), ("-nmin", "5")], ids=["no-next-update", "next-update"])
async def test_what_the_responder_of_openssl_says_decides(tmp_path: Path, kind: str, options: tuple[str, ...]) -> None:
    async with openssl(tmp_path, ROOT, DELEGATE, [GOOD], [BAD], *options) as url:
        async with links(kind, GOOD, url) as (north, noted, peer):
            assert north.send(SOURCE, "one", request(1)) is Sending.WAITS
            assert content((await peer.receive())[1]) == content(request(1))
            assert (await state(noted, LinkState.OPEN)).reason == ""
            assert (north.counters().ocsp_asked, north.counters().ocsp_refused) == (1, 0)
        for server, why in ((BAD, "it is revoked"), (ANOTHER, "does not know it")):
            async with links(kind, server, url, accept=True) as (north, noted, _):
                north.open(SOURCE, ("one",))
                assert why in (await state(noted, LinkState.FAILING)).reason
                assert (north.counters().opened, north.counters().ocsp_refused) == (0, 1)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_another_authority_signed_proves_nothing_also_from_openssl(
    tmp_path: Path, kind: str
) -> None:
    async with openssl(tmp_path, ROOT, FOREIGN, [GOOD], []) as url, links(kind, GOOD, url) as (north, noted, _):
        north.open(SOURCE, ("one",))
        assert "not signed by its authority" in (await state(noted, LinkState.FAILING)).reason


LIES = {
    "is not signed": lambda _q, nonce: body(vouches(ROOT, GOOD, signer=FOREIGN, nonce=nonce)),
    "signed by its authority, nor": lambda _q, nonce: body(vouches(ROOT, GOOD, signer=ANOTHER, nonce=nonce)),
    "about another certificate": lambda _q, nonce: body(vouches(ROOT, ANOTHER, nonce=nonce)),
    "answer to another question": lambda _q, _n: body(vouches(ROOT, GOOD, nonce=b"an earlier question")),
    "is too old": lambda _q, _n: body(vouches(ROOT, GOOD, valid=(-3 * HOUR, -HOUR))),
    "too old; is": lambda _q, nonce: body(vouches(ROOT, GOOD, valid=(-3 * HOUR, -HOUR), nonce=nonce)),
    "of a later time": lambda _q, nonce: body(vouches(ROOT, GOOD, valid=(HOUR, 2 * HOUR), nonce=nonce)),
    "could not say: try_later": lambda _q, _n: body(b"\x30\x03\x0a\x01\x03"),
    "cannot be read": lambda _q, _n: body(b"\x30\x82" + bytes(200)),
    "cannot be read: ": lambda _q, _n: body(b""),
    "answered 500": lambda _q, nonce: body(vouches(ROOT, GOOD, nonce=nonce), 500),
    "answered 302": lambda _q, _n: web.Response(status=302, headers={"Location": "/elsewhere"}),
    "answered more than": lambda _q, nonce: body(vouches(ROOT, GOOD, nonce=nonce) + bytes(http.LARGEST)),
}


@pytest.mark.parametrize("accept", [False, True], ids=["refuse", "accept"])
@pytest.mark.parametrize("why", LIES)
async def test_a_responder_that_lies_proves_nothing_and_the_setting_decides(why: str, accept: bool) -> None:
    liar = Liar(LIES[why])
    async with liar.running() as url, links("dtls", GOOD, url, accept=accept) as (north, noted, _):
        north.open(SOURCE, ("one",))
        if accept:
            await state(noted, LinkState.OPEN)
        else:
            reason = (await state(noted, LinkState.FAILING)).reason
            assert why in reason
            assert "ocsp_unavailable = refuse" in reason
        assert (north.counters().ocsp_unproven, len(liar.questions)) == (1, 1)


@pytest.mark.parametrize("accept", [False, True], ids=["refuse", "accept"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_responder_that_is_not_there_or_answers_too_late(
    kind: str, accept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = LinkState.OPEN if accept else LinkState.FAILING
    async with links(kind, GOOD, f"http://127.0.0.1:{free_port()}", accept=accept) as (north, noted, _):
        north.open(SOURCE, ("one",))
        assert ("cannot be asked" in (await state(noted, wanted)).reason) is not accept
    monkeypatch.setattr(http, "PATIENCE", 0.2)
    never = asyncio.Event()
    async with Liar(good_after(never)).running() as url, links(kind, GOOD, url, accept=accept) as (north, noted, _):
        north.open(SOURCE, ("one",))
        assert ("did not answer within" in (await state(noted, wanted)).reason) is not accept
        never.set()


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_passes_either_way_before_the_responder_has_answered(kind: str) -> None:
    may = asyncio.Event()
    liar = Liar(good_after(may))
    async with liar.running() as url, links(kind, GOOD, url) as (north, noted, peer):
        north.send(SOURCE, "one", request(1))
        await liar.asked.wait()
        if isinstance(peer, DtlsServer):
            ((who, _),) = peer.peers.items()
        else:
            await until(lambda: len(peer.connections) == 1 and bool(peer.connections[0].frames))
            who = peer.connections[0].who
        await peer.send(who, request(21))
        await peer.send(who, request(22))
        links_of = cast("Any", north)._dtls if kind == "dtls" else cast("Any", north)._streams
        await until(lambda: len(links_of.links[SOURCE, "one"].channel._user._held) == 2)
        assert (north.link(SOURCE, "one").state, noted.messages) == (LinkState.OPENING, [])
        may.set()
        assert content((await peer.receive())[1]) == content(request(1))
        await until(lambda: len(noted.messages) == 2)
        assert [content(message) for _, _, message in noted.messages] == [content(request(21)), content(request(22))]


async def test_a_server_that_sends_too_much_before_it_is_accepted_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "HELD", 3)
    may = asyncio.Event()
    liar = Liar(good_after(may))
    async with liar.running() as url, links("dtls", GOOD, url) as (north, noted, peer):
        north.open(SOURCE, ("one",))
        await liar.asked.wait()
        assert isinstance(peer, DtlsServer)
        for number in range(4):
            await peer.send(next(iter(peer.peers)), request(number))
        assert "too many messages" in (await state(noted, LinkState.FAILING)).reason
        assert noted.messages == []
        may.set()


async def test_a_link_that_is_closed_while_a_responder_is_asked_stays_closed() -> None:
    may = asyncio.Event()
    liar = Liar(good_after(may))
    async with liar.running() as url, links("dtls", GOOD, url) as (north, noted, _):
        north.open(SOURCE, ("one",))
        await liar.asked.wait()
        north.release(SOURCE)
        may.set()
        north.open(SOURCE + 1, ("one",))
        await until(lambda: north.link(SOURCE + 1, "one").state is LinkState.OPEN)
        assert north.link(SOURCE, "one").state is LinkState.CLOSED
        assert not [link for source, _, link in noted.links if source == SOURCE and link.state is LinkState.OPEN]


async def test_all_endpoints_of_a_server_wait_for_one_question() -> None:
    liar = Liar(lambda _question, nonce: body(vouches(ROOT, GOOD, nonce=nonce)))
    async with liar.running() as url, links("dtls", GOOD, url) as (north, _noted, _peer):
        for source in range(30):
            north.open(source, ("one",))
        await until(lambda: north.counters().opened == 30)
        assert len(liar.questions) == north.counters().ocsp_asked == 1
        assert north.counters().resumed == 0


async def test_the_certificate_names_the_responder_and_an_authority_can_be_revoked_as_well() -> None:
    def says(question: bytes, nonce: bytes) -> web.Response:
        about, issuer = (server, below) if len(liar.questions) == 1 else (below.certificate, ROOT)
        status = OCSPCertStatus.GOOD if issuer is below else OCSPCertStatus.REVOKED
        return body(vouches(issuer, about, status=status, nonce=nonce))

    liar = Liar(says)
    async with liar.running() as url:
        below = Authority("Test authority", of=ROOT, ocsp_url=url)
        server = below.issue("server", ocsp_url=url)
        async with links("dtls", server, "", accept=True) as (north, noted, _):
            north.open(SOURCE, ("one",))
            assert (
                "revoked, its OCSP responder says (at its authority 1)"
                in (await state(noted, LinkState.FAILING)).reason
            )


async def test_a_certificate_without_a_responder_is_refused_with_the_cure() -> None:
    async with links("dtls", GOOD, "") as (north, noted, _):
        north.open(SOURCE, ("one",))
        assert "set ocsp_responder" in (await state(noted, LinkState.FAILING)).reason


REVOKED = OCSPCertStatus.REVOKED
HOLD = x509.ReasonFlags.certificate_hold


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let answers be old after a moment."""
    monkeypatch.setattr(asking, "LONGEST", 0.05)
    monkeypatch.setattr(asking, "SHORTEST", 0.05)
    monkeypatch.setattr(asking, "AGAIN", 0.05)
    monkeypatch.setattr(chains, "LEAST", 0.05)


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize("kind", KINDS)
async def test_a_session_ends_when_its_servers_certificate_is_revoked_while_it_is_open(kind: str) -> None:
    status = OCSPCertStatus.GOOD
    liar = Liar(lambda _question, nonce: body(vouches(ROOT, GOOD, status=status, nonce=nonce)))
    async with liar.running() as url, links(kind, GOOD, url) as (north, noted, peer):
        north.send(SOURCE, "one", request(1))
        await peer.receive()
        await until(lambda: len(liar.questions) >= 3, why="nobody asks again")
        assert north.link(SOURCE, "one").state is LinkState.OPEN
        status = REVOKED
        assert "no longer accepted: it is revoked" in (await state(noted, LinkState.FAILING)).reason
        status = OCSPCertStatus.GOOD  # an old answer, or a mistake: a revocation is for good
        assert (north.counters().ocsp_closed, north.counters().ocsp_refused) == (1, 0)
        asked = len(liar.questions)
        north.open(SOURCE + 1, ("one",))
        await until(lambda: north.link(SOURCE + 1, "one").state is LinkState.FAILING)
        assert len(liar.questions) == asked


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize("accept", [False, True], ids=["refuse", "accept"])
async def test_a_responder_that_falls_silent_ends_an_open_session_after_an_hour_or_never(
    accept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [body(vouches(ROOT, GOOD))]
    liar = Liar(lambda _question, _nonce: answers.pop() if answers else body(b"", 500))
    async with liar.running() as url, links("dtls", GOOD, url, accept=accept) as (north, noted, _):
        north.open(SOURCE, ("one",))
        await state(noted, LinkState.OPEN)
        await until(lambda: len(liar.questions) >= 4, why="nobody asks again")
        assert north.link(SOURCE, "one").state is LinkState.OPEN
        monkeypatch.setattr(verifying, "GRACE", 0.0)
        asked = len(liar.questions)
        if accept:
            await until(lambda: len(liar.questions) >= asked + 3)
            assert north.link(SOURCE, "one").state is LinkState.OPEN
        else:
            assert "ocsp_unavailable = refuse" in (await state(noted, LinkState.FAILING)).reason


@pytest.mark.usefixtures("_soon")
async def test_a_session_that_ended_is_asked_about_no_more() -> None:
    liar = Liar(lambda _question, nonce: body(vouches(ROOT, GOOD, nonce=nonce)))
    async with liar.running() as url, links("dtls", GOOD, url) as (north, noted, _):
        north.open(SOURCE, ("one",))
        await state(noted, LinkState.OPEN)
        channel = weakref.ref(cast("Any", north)._dtls.links[SOURCE, "one"].channel._user)
        north.release(SOURCE)
        gc.collect()
        await until(lambda: channel() is None, why="a closed session stays in memory until it would be asked about")


def test_revoked_is_proven_by_every_answer_of_the_authority_however_old_it_is() -> None:
    old, later = (-3 * HOUR, -HOUR), (HOUR, 2 * HOUR)

    def standing(**answer: Any) -> ocsp.CertificateStatus:
        data = vouches(ROOT, GOOD, status=REVOKED, **answer)
        return ocsp.answer(data, GOOD.certificate, ROOT.certificate, ocsp.now(), b"mine").standing

    assert standing() is ocsp.CertificateStatus.REVOKED
    assert standing(valid=old) is ocsp.CertificateStatus.REVOKED
    assert standing(valid=later) is ocsp.CertificateStatus.REVOKED
    assert standing(nonce=b"another question") is ocsp.CertificateStatus.REVOKED
    assert standing(valid=old, signer=FOREIGN) is ocsp.CertificateStatus.UNPROVEN
    assert standing(reason=HOLD) is ocsp.CertificateStatus.REVOKED
    assert standing(reason=HOLD, valid=old) is ocsp.CertificateStatus.UNPROVEN


@pytest.mark.parametrize("reason", [None, HOLD], ids=["for good", "on hold"])
async def test_only_a_certificate_on_hold_becomes_good_again(reason: x509.ReasonFlags | None) -> None:
    said = [vouches(ROOT, GOOD), b"", vouches(ROOT, GOOD, status=REVOKED, reason=reason)]

    async def post(_url: str, _question: bytes) -> bytes:
        return said.pop()

    found = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SHORTEST", "LONGEST", "AGAIN"):
            patch.setattr(asking, name, 0.0)
        responders = Responders(bytes, lambda: 0.0, post)
        for _ in range(3):
            kept = await responders.standing("http://a.example", GOOD.certificate, ROOT.certificate)
            found.append(kept.answer.standing)
    later = (
        [ocsp.CertificateStatus.REVOKED] * 2
        if reason is None
        else [ocsp.CertificateStatus.UNPROVEN, ocsp.CertificateStatus.GOOD]
    )
    assert found == [ocsp.CertificateStatus.REVOKED, *later]


class TestKeptAnswers:
    async def ask(self, response: bytes, *, wall: float, **limits: float) -> list[int]:
        """Return how often the responder was asked after each of two questions."""
        asked, counts = 0, []

        async def post(_url: str, _question: bytes) -> bytes:
            nonlocal asked
            asked += 1
            return response

        responders = Responders(bytes, lambda: wall, post)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in limits.items():
                patch.setattr(asking, name, value)
            for _ in range(2):
                await responders.standing("http://a.example", GOOD.certificate, ROOT.certificate)
                counts.append(asked)
        return counts

    async def test_an_answer_is_kept_until_the_next_update(self) -> None:
        answer = vouches(ROOT, GOOD, valid=(-HOUR, HOUR))
        end = (GOOD.certificate.not_valid_before_utc + timedelta(days=365) + HOUR).timestamp()
        assert await self.ask(answer, wall=end - 60, SHORTEST=0.0) == [1, 1]
        assert await self.ask(answer, wall=end + 60, SHORTEST=0.0) == [1, 2]

    async def test_but_not_for_longer_than_a_day(self) -> None:
        assert await self.ask(vouches(ROOT, GOOD), wall=0.0, LONGEST=0.0, SHORTEST=0.0) == [1, 2]

    async def test_a_responder_that_proves_nothing_is_asked_again_later_and_not_by_each_link(self) -> None:
        assert await self.ask(b"", wall=0.0) == [1, 1]
        assert await self.ask(b"", wall=0.0, AGAIN=0.0) == [1, 2]
