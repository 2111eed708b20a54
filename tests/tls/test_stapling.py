"""An OCSP response that the server brings along: only one that shows that its certificate is good opens the session."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPCertStatus
from hypothesis import given, settings as hypothesis_settings, strategies as st

from bridge.tls import ocsp, stapling
from bridge.tls.contract import Cause, Phase
from bridge.tls.credentials import CertificateKey
from bridge.tls.openssl import OpenSsl
from bridge.tls.settings import CERTIFICATE_SUITES, SessionSettings, Trust
from tests.tls.peers import OpenSslPeer, Talk, Wants
from tests.tls.pki import Authority, vouches

ROOT, OTHER = Authority(), Authority("Another root")
SERVER, CLIENT, ANOTHER = (ROOT.issue(name) for name in ("server", "urn:dev:1", "another"))
RESPONDER = ROOT.issue("responder", server=False, client=False, responder=True)
HOUR = timedelta(hours=1)
GOOD = vouches(ROOT, SERVER)


def shaken(staple: bytes) -> Talk:
    """Return a handshake that came to its end."""
    settings = SessionSettings(CERTIFICATE_SUITES, Trust(ROOT.pem, stapled=True), stream=True)
    session = OpenSsl().client(settings, CertificateKey(CLIENT.pem, CLIENT.key_pem))
    talk = Talk(session, OpenSslPeer(Wants(own=SERVER, clients=ROOT.pem, stream=True, staple=staple)))
    talk.shake(5.0)
    return talk


@pytest.mark.parametrize("staple", [GOOD, vouches(ROOT, SERVER, signer=RESPONDER)], ids=["authority", "delegate"])
def test_a_response_of_the_authority_or_its_delegate_that_it_is_good_opens_the_session(staple: bytes) -> None:
    talk = shaken(staple)
    assert (talk.client.failure, talk.client.phase) == (None, Phase.OPEN)


@pytest.mark.parametrize(
    ("staple", "why"),
    [
        (b"", "sent no OCSP response"),
        (b"\x30\x03\x0a\x01\x03", "could not say: try_later"),
        (GOOD[:-1] + bytes((GOOD[-1] ^ 1,)), "not signed by its authority"),
        (vouches(ROOT, SERVER, signer=ANOTHER), "not signed by its authority"),
        (vouches(ROOT, SERVER, signer=OTHER.issue("x", responder=True)), "not signed by its authority"),
        (vouches(ROOT, SERVER, status=OCSPCertStatus.REVOKED), "it is revoked"),
        (vouches(ROOT, SERVER, status=OCSPCertStatus.UNKNOWN), "does not know it"),
        (vouches(ROOT, SERVER, valid=(-3 * HOUR, -HOUR)), "too old"),
        (vouches(ROOT, SERVER, valid=(HOUR, 3 * HOUR)), "of a later time"),
    ],
)
def test_any_other_ends_it_with_the_reason(staple: bytes, why: str) -> None:
    talk = shaken(staple)
    assert talk.client.phase is Phase.OVER
    assert talk.client.failure is not None
    assert talk.client.failure.cause is Cause.CERTIFICATE
    assert why in talk.client.failure.text


@pytest.mark.parametrize(
    ("staple", "why"),
    [
        (GOOD[:-1], "cannot be read"),
        (vouches(ROOT, ANOTHER), "about another certificate"),
        (vouches(OTHER, SERVER), "about another certificate"),
    ],
)
def test_what_an_honest_library_would_not_even_send_is_refused(staple: bytes, why: str) -> None:
    assert why in stapling.refusal(staple, SERVER.certificate, ROOT.certificate, ocsp.now())


@hypothesis_settings(max_examples=200, deadline=None)
@given(at=st.integers(0, len(GOOD) - 1), bit=st.integers(0, 7), cut=st.integers(0, 3))
def test_no_response_that_was_changed_shows_anything(at: int, bit: int, cut: int) -> None:
    changed = bytearray(GOOD)
    changed[at] ^= 1 << bit
    data = bytes(changed[: len(changed) - cut])
    assert stapling.refusal(data, SERVER.certificate, ROOT.certificate, ocsp.now())


def test_a_certificate_with_an_extension_that_is_there_twice_names_no_responders() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(x509.Name([]), x509.Name([]), key.public_key(), 1, now, now + HOUR)
    for last in 5, 6:
        one = x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.3.4.{last}"), b"x")
        builder = builder.add_extension(one, critical=False)
    der = builder.sign(key, SHA256()).public_bytes(Encoding.DER)
    twice = x509.load_der_x509_certificate(der.replace(bytes([0x2A, 3, 4, 6]), bytes([0x2A, 3, 4, 5])))
    assert ocsp.responders(twice) == []
