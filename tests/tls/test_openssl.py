"""What only OpenSSL offers: TLS over connections, resumption, revocation lists, names that are addresses."""

import gc
from datetime import timedelta

import pytest
from OpenSSL import SSL

from bridge.errors import ConfigurationError
from bridge.tls import psk
from bridge.tls.contract import Cause, Phase
from bridge.tls.credentials import CertificateKey, PreSharedKey
from bridge.tls.openssl import CONTEXTS, OpenSsl
from bridge.tls.records import ALERT
from bridge.tls.settings import CERTIFICATE_SUITES, PSK_SUITES, SessionSettings, Trust
from tests.tls.peers import OpenSslPeer, Talk, Wants
from tests.tls.pki import Authority, Issued

KEY = PreSharedKey(b"urn:dev:1", bytes(range(16)))
KEYS = {KEY.identity: KEY.key}
PSK = SessionSettings(PSK_SUITES)
ROOT = Authority()
BELOW = Authority("Test authority", of=ROOT)
SERVER = BELOW.issue("server", names=("lwm2m.example", "192.0.2.7", "2001:db8::7"))
CLIENT = ROOT.issue("urn:dev:1")


def own(issued: Issued) -> CertificateKey:
    return CertificateKey(issued.pem, issued.key_pem)


def shaken(settings: SessionSettings, credentials: PreSharedKey | CertificateKey, server: OpenSslPeer) -> Talk:
    talk = Talk(OpenSsl().client(settings, credentials), server)
    talk.shake(3)
    return talk


@pytest.mark.parametrize("name", ["lwm2m.example", "192.0.2.7", "2001:db8::7", ""])
def test_a_certificate_is_for_a_name_or_an_address_or_any(name: str) -> None:
    settings = SessionSettings(CERTIFICATE_SUITES, Trust(ROOT.pem, name=name))
    assert shaken(settings, own(CLIENT), OpenSslPeer(Wants(own=SERVER))).client.failure is None


def test_a_certificate_for_another_address_is_refused() -> None:
    settings = SessionSettings(CERTIFICATE_SUITES, Trust(ROOT.pem, name="192.0.2.8"))
    failure = shaken(settings, own(CLIENT), OpenSslPeer(Wants(own=SERVER))).client.failure
    assert failure is not None
    assert "another IP address" in failure.text


DAY = timedelta(days=1)


@pytest.mark.requirement("LightweightM2 M-PKI-001")
@pytest.mark.parametrize(
    ("revoked", "why"),
    [
        (ROOT.revokes() + BELOW.revokes(), ""),
        (ROOT.revokes() + BELOW.revokes(SERVER), "it is revoked"),
        (ROOT.revokes(), "no revocation list for one of its authorities"),
        (ROOT.revokes() + BELOW.revokes(valid=(-2 * DAY, -DAY)), "revocation list has expired"),
        (ROOT.revokes() + BELOW.revokes(valid=(DAY, 2 * DAY)), "revocation list is not valid yet"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_revoked_certificate_is_refused_and_so_is_one_of_which_nobody_says(
    revoked: bytes, why: str, stream: bool
) -> None:
    settings = SessionSettings(CERTIFICATE_SUITES, Trust(ROOT.pem, revoked=revoked), stream=stream)
    client = shaken(settings, own(CLIENT), OpenSslPeer(Wants(own=SERVER, stream=stream))).client
    assert (client.failure is None) is not bool(why)
    if client.failure is not None:
        assert client.failure.cause is Cause.CERTIFICATE
        assert why in client.failure.text


@pytest.mark.parametrize("bad", [b"nothing", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"])
def test_a_file_of_revocation_lists_that_cannot_be_read_is_refused(bad: bytes) -> None:
    with pytest.raises(ConfigurationError, match="revocation_lists"):
        OpenSsl().check(SessionSettings(CERTIFICATE_SUITES, Trust(ROOT.pem, revoked=bad)))


@pytest.mark.parametrize("stream", [False, True])
def test_a_session_is_resumed_without_credentials_being_shown_again(stream: bool) -> None:
    backend = OpenSsl()
    settings = SessionSettings(CERTIFICATE_SUITES, Trust(ROOT.pem), stream=stream)
    server = OpenSslPeer(Wants(own=SERVER, clients=ROOT.pem, stream=stream))
    first = Talk(backend.client(settings, own(CLIENT)), server)
    first.shake(3)
    assert (first.client.phase, first.client.resumed) == (Phase.OPEN, False)
    server.again()
    second = Talk(backend.client(settings, own(CLIENT), first.client.resumption()), server)
    second.shake(3)
    assert (second.client.phase, second.client.resumed) == (Phase.OPEN, True)
    second.client.send(b"up")
    second.quiet()
    assert second.at_server == [b"up"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_session_whose_certificate_is_asked_about_shows_its_chain_and_is_never_resumed(stream: bool) -> None:
    settings = SessionSettings(CERTIFICATE_SUITES, Trust(ROOT.pem, asked=True), stream=stream)
    client = shaken(settings, own(CLIENT), OpenSslPeer(Wants(own=SERVER, stream=stream))).client
    assert client.chain == (SERVER.certificate, BELOW.certificate, ROOT.certificate)
    assert client.resumption() is None


def test_what_cannot_be_resumed_begins_anew() -> None:
    first = shaken(PSK, KEY, OpenSslPeer(Wants(KEYS))).client.resumption()
    again = Talk(OpenSsl().client(PSK, KEY, first), OpenSslPeer(Wants(KEYS)))
    again.shake(3)
    assert (again.client.phase, again.client.resumed) == (Phase.OPEN, False)


@pytest.mark.parametrize("mode", ["psk", "certificate"])
def test_tls_carries_a_stream_whatever_its_pieces(mode: str) -> None:
    settings = SessionSettings(PSK_SUITES, stream=True)
    credentials: PreSharedKey | CertificateKey = KEY
    if mode == "certificate":
        settings = SessionSettings(CERTIFICATE_SUITES, Trust(ROOT.pem, name="lwm2m.example"), stream=True)
        credentials = own(CLIENT)
    talk = Talk(OpenSsl().client(settings, credentials), OpenSslPeer(Wants(KEYS, SERVER, stream=True)))
    talk.up = talk.down = lambda pieces: [bytes([byte]) for piece in pieces for byte in piece]
    talk.shake()
    assert talk.client.phase is Phase.OPEN
    talk.client.send(b"a message")
    talk.server.send(bytes(16000))
    talk.quiet()
    assert (b"".join(talk.at_server), b"".join(talk.at_client)) == (b"a message", bytes(16000))
    assert talk.client.deadline() is None


def test_tls_ends_a_stream_of_which_a_byte_was_changed() -> None:
    settings = SessionSettings(PSK_SUITES, stream=True)
    talk = shaken(settings, KEY, OpenSslPeer(Wants(KEYS, stream=True)))
    talk.server.send(b"a message")
    (piece,) = talk.server.outgoing()
    assert talk.client.receive(piece[:-1] + bytes([piece[-1] ^ 1])) == []
    assert talk.client.phase is Phase.OVER
    assert talk.client.failure is not None


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_wants_to_renegotiate_is_refused(stream: bool) -> None:
    talk = shaken(SessionSettings(PSK_SUITES, stream=stream), KEY, OpenSslPeer(Wants(KEYS, stream=stream)))
    talk.server.connection.renegotiate()
    talk.server.connection.do_handshake()
    hello_request = talk.server.outgoing()
    for record in hello_request:
        assert talk.client.receive(record) == []
    (refusal,) = talk.client.outgoing()
    assert refusal[0] == ALERT  # encrypted; OpenSSL's server ends the session for it
    talk.server.receive(refusal)
    assert "NO_RENEGOTIATION" in talk.server.broken.upper().replace(" ", "_")
    talk.client.send(b"as before")
    assert talk.client.phase is Phase.OPEN


def test_keys_are_kept_no_longer_than_a_handshake() -> None:
    before = psk.kept()
    open_one = shaken(PSK, KEY, OpenSslPeer(Wants(KEYS)))
    failed = shaken(PSK, KEY, OpenSslPeer(Wants({b"another": KEY.key})))
    closed = OpenSsl().client(PSK, KEY)
    closed.close()
    assert psk.kept() == before
    assert open_one.client.phase is Phase.OPEN
    assert failed.client.phase is closed.phase is Phase.OVER
    assert "0001" not in repr(KEY)


def test_sessions_of_one_server_share_a_context_and_contexts_are_bounded() -> None:
    backend = OpenSsl()
    for mtu in range(300, 300 + 2 * CONTEXTS):
        backend.check(SessionSettings(PSK_SUITES, mtu=mtu))
        backend.check(SessionSettings(PSK_SUITES, mtu=mtu))
    assert len(backend._contexts) == CONTEXTS
    gc.collect()
    assert sum(isinstance(one, SSL.Context) for one in gc.get_objects()) < 2 * CONTEXTS
