"""What every library promises of sessions, crossed against each other at the far end."""

import os
import random
import re
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from bridge.errors import ConfigurationError
from bridge.tls.contract import Backend, Cause, Phase
from bridge.tls.credentials import CertificateKey, Credentials, PreSharedKey
from bridge.tls.openssl import OpenSsl
from bridge.tls.settings import CERTIFICATE_SUITES, PSK_SUITES, SessionSettings, Suite, Trust
from tests.tls.peers import LIBRARIES, MbedTlsPeer, OpenSslPeer, Peer, Talk, Wants, Wire, perfect
from tests.tls.pki import YEAR, Authority, Issued, self_signed

KEY = PreSharedKey(b"urn:dev:1", bytes(range(16)))
PSK = SessionSettings(PSK_SUITES)
HOST = "lwm2m.example"

ROOT = Authority()
BELOW = Authority("Test authority", of=ROOT)
SERVER = ROOT.issue("server", names=(HOST, "192.0.2.7"))
CLIENT = BELOW.issue("urn:dev:1")
TRUST = Trust(ROOT.pem, name=HOST)


def own(issued: Issued) -> CertificateKey:
    return CertificateKey(issued.pem, issued.key_pem)


def certificate(trust: Trust = TRUST, suites: tuple[Suite, ...] = CERTIFICATE_SUITES) -> SessionSettings:
    return SessionSettings(suites, trust)


@pytest.fixture(params=LIBRARIES)
def backend(request: pytest.FixtureRequest) -> Backend:
    made: Backend = request.param()
    return made


@pytest.fixture(params=[OpenSslPeer, MbedTlsPeer] if len(LIBRARIES) > 1 else [OpenSslPeer])
def peer(request: pytest.FixtureRequest) -> Callable[[Wants], Peer]:
    made: Callable[[Wants], Peer] = request.param
    return made


def shaken(
    backend: Backend, settings: SessionSettings, credentials: Credentials, server: Peer, seconds: float = 20.0
) -> Talk:
    talk = Talk(backend.client(settings, credentials), server)
    talk.shake(seconds)
    return talk


class TestHandshake:
    @pytest.mark.parametrize("suite", PSK_SUITES)
    def test_with_a_pre_shared_key_messages_pass_both_ways(
        self, backend: Backend, peer: Callable[[Wants], Peer], suite: Suite
    ) -> None:
        talk = shaken(backend, SessionSettings((suite,)), KEY, peer(Wants({KEY.identity: KEY.key})))
        assert (talk.client.phase, talk.client.suite, talk.client.failure) == (Phase.OPEN, suite.value, None)
        talk.client.send(b"up")
        talk.client.send(bytes(1400))
        talk.server.send(b"down")
        talk.quiet()
        assert (talk.at_server, talk.at_client) == ([b"up", bytes(1400)], [b"down"])

    @pytest.mark.parametrize("suite", CERTIFICATE_SUITES)
    def test_with_certificates_both_ends_are_validated(
        self, backend: Backend, peer: Callable[[Wants], Peer], suite: Suite
    ) -> None:
        talk = shaken(backend, certificate(suites=(suite,)), own(CLIENT), peer(Wants(own=SERVER, clients=ROOT.pem)))
        assert talk.client.failure is None
        assert (talk.client.phase, talk.client.suite) == (Phase.OPEN, suite.value)
        talk.client.send(b"up")
        talk.server.send(b"down")
        talk.quiet()
        assert (talk.at_server, talk.at_client) == ([b"up"], [b"down"])

    def test_the_longest_identity_and_key_that_must_be_supported_are(self, backend: Backend) -> None:
        key = PreSharedKey(b"i" * 128, b"k" * 64)
        if not isinstance(backend, OpenSsl):
            with pytest.raises(ConfigurationError, match="32 bytes"):
                backend.client(PSK, key)
            key = PreSharedKey(b"i" * 128, b"k" * 32)
        assert shaken(backend, PSK, key, OpenSslPeer(Wants({key.identity: key.key}))).client.phase is Phase.OPEN

    def test_a_server_that_ends_the_session_in_good_order_leaves_no_failure(
        self, backend: Backend, peer: Callable[[Wants], Peer]
    ) -> None:
        talk = shaken(backend, PSK, KEY, peer(Wants({KEY.identity: KEY.key})))
        talk.server.close()
        talk.quiet()
        assert (talk.client.phase, talk.client.failure) == (Phase.OVER, None)
        assert talk.client.receive(b"\x17\xfe\xfd") == []

    def test_closing_tells_the_server(self, backend: Backend) -> None:
        talk = shaken(backend, PSK, KEY, OpenSslPeer(Wants({KEY.identity: KEY.key})))
        talk.client.close()
        talk.client.close()
        talk.quiet()
        assert "ZeroReturn" in talk.server.broken

    def test_sni_names_the_server_that_is_meant(self, backend: Backend) -> None:
        server = OpenSslPeer(Wants(own=SERVER))
        settings = SessionSettings(CERTIFICATE_SUITES, TRUST, server_name=HOST)
        assert shaken(backend, settings, own(CLIENT), server).client.phase is Phase.OPEN
        assert server.name == HOST


class TestNetwork:
    """Datagrams that get lost, come twice, in another order or cut."""

    @pytest.mark.parametrize("lost", range(6))
    def test_a_lost_datagram_is_made_up_for(self, backend: Backend, peer: Callable[[Wants], Peer], lost: int) -> None:
        talk = Talk(backend.client(certificate(), own(CLIENT)), peer(Wants(own=SERVER, clients=ROOT.pem)))
        talk.up = losing(lost)
        talk.down = losing(lost)
        talk.shake()
        assert talk.client.phase is Phase.OPEN
        talk.up = talk.down = perfect
        talk.client.send(b"up")
        talk.quiet()
        assert talk.at_server == [b"up"]

    @pytest.mark.parametrize("seed", range(3))
    def test_reordered_and_repeated_datagrams_do_no_harm(
        self, backend: Backend, peer: Callable[[Wants], Peer], seed: int
    ) -> None:
        draw = random.Random(seed)

        def shuffled(datagrams: list[bytes]) -> list[bytes]:
            twice = datagrams * 2
            draw.shuffle(twice)
            return twice

        talk = Talk(backend.client(PSK, KEY), peer(Wants({KEY.identity: KEY.key})), up=shuffled, down=shuffled)
        talk.shake()
        assert talk.client.phase is Phase.OPEN
        for n in range(8):
            talk.client.send(bytes([n]))
            talk.server.send(bytes([n]))
        talk.quiet()
        assert sorted(talk.at_client) == sorted(talk.at_server) == [bytes([n]) for n in range(8)]

    def test_a_small_mtu_is_kept_by_splitting_the_handshake(self, backend: Backend) -> None:
        settings = SessionSettings(CERTIFICATE_SUITES, TRUST, mtu=256)
        talk = shaken(backend, settings, own(CLIENT), OpenSslPeer(Wants(own=SERVER, clients=ROOT.pem, mtu=256)))
        assert talk.client.phase is Phase.OPEN
        assert talk.largest <= 256

    def test_a_record_is_accepted_once(self, backend: Backend, peer: Callable[[Wants], Peer]) -> None:
        talk = shaken(backend, PSK, KEY, peer(Wants({KEY.identity: KEY.key})))
        talk.server.send(b"once")
        (record,) = talk.server.outgoing()
        assert [talk.client.receive(record) for _ in range(3)] == [[b"once"], [], []]

    def test_what_is_cut_changed_or_of_another_epoch_is_dropped_and_the_session_goes_on(
        self, backend: Backend, peer: Callable[[Wants], Peer]
    ) -> None:
        talk = shaken(backend, PSK, KEY, peer(Wants({KEY.identity: KEY.key})))
        talk.server.send(b"one")
        (record,) = talk.server.outgoing()
        changed = record[:-1] + bytes([record[-1] ^ 1])
        for epoch in (0, 2, 65535):
            assert talk.client.receive(record[:3] + epoch.to_bytes(2) + record[5:]) == []
        for bad in (record[:-1], record[:13], record[:5], changed, b"\x17", bytes(100), b"\xff" * 2000):
            assert talk.client.receive(bad) == []
        alert = b"\x15\xfe\xfd" + bytes(8) + b"\x00\x02\x02\x28"  # a plain fatal alert that anybody can send
        assert talk.client.receive(alert) == []
        assert talk.client.phase is Phase.OPEN
        assert talk.client.receive(record) == [b"one"]

    def test_two_records_in_a_datagram_are_two_messages(self, backend: Backend) -> None:
        talk = shaken(backend, PSK, KEY, OpenSslPeer(Wants({KEY.identity: KEY.key})))
        talk.server.send(b"one")
        talk.server.send(b"two")
        assert talk.client.receive(b"".join(talk.server.outgoing())) == [b"one", b"two"]

    def test_noise_during_the_handshake_does_not_end_it(self, backend: Backend) -> None:
        draw = random.Random(1)

        def noisy(datagrams: list[bytes]) -> list[bytes]:
            return [
                part for one in datagrams for part in (draw.randbytes(60), one[:9], b"\x16\xfe\xfd" + bytes(9), one)
            ]

        talk = Talk(backend.client(PSK, KEY), OpenSslPeer(Wants({KEY.identity: KEY.key})), down=noisy)
        talk.shake()
        assert talk.client.phase is Phase.OPEN

    def test_a_flood_of_records_takes_no_memory_and_does_not_end_the_handshake(self, backend: Backend) -> None:
        session = backend.client(PSK, KEY)
        hello = session.outgoing()
        draw = random.Random(1)
        before = resident()
        for number in range(4000):
            for kind in (20, 22, 23, 24):  # of a later epoch, which may be kept until its keys are there
                session.receive(record(kind, epoch=1, number=number, body=draw.randbytes(200)))
            session.receive(draw.randbytes(200))
            session.outgoing()
        assert resident() - before < 2 * 1024 * 1024  # 4 MB were received
        assert session.phase is Phase.HANDSHAKE
        talk = Talk(session, OpenSslPeer(Wants({KEY.identity: KEY.key})))
        for datagram in hello:
            talk.server.receive(datagram)
        talk.shake()
        assert session.phase is Phase.OPEN

    @pytest.mark.parametrize("length", [0x20000, 0xFFFFFF])
    def test_a_handshake_message_of_absurd_length_is_not_collected(self, backend: Backend, length: int) -> None:
        session = backend.client(PSK, KEY)
        before = resident()
        for at in range(0, 10_000 * 64, 64):
            session.receive(fragment(length=length, at=at % length, message=0))
        assert resident() - before < 1024 * 1024
        assert session.phase is not Phase.OPEN
        session.close()

    @pytest.mark.parametrize("contradict", [False, True], ids=["the same bytes", "other bytes"])
    def test_fragments_that_overlap_are_put_together_and_those_that_contradict_open_nothing(
        self, backend: Backend, contradict: bool
    ) -> None:
        """RFC 6347 §4.2.3: ranges of fragments may overlap. Who forges one gains nothing but a handshake that fails."""

        def overlapping(datagrams: list[bytes]) -> list[bytes]:
            return [part for one in datagrams for part in _overlapping(one, contradict=contradict)]

        talk = Talk(backend.client(PSK, KEY), OpenSslPeer(Wants({KEY.identity: KEY.key})), down=overlapping)
        talk.run(lambda: talk.client.phase is not Phase.HANDSHAKE or talk.server.opened, 1.0 if contradict else 20.0)
        talk.quiet()
        assert (talk.client.phase is Phase.OPEN) is not contradict
        assert talk.server.opened is not contradict

    def test_a_server_that_never_answers_is_asked_again_and_nothing_was_heard(self, backend: Backend) -> None:
        session = backend.client(PSK, KEY)
        assert session.outgoing()
        begin = time.monotonic()
        while not (again := session.outgoing()) and time.monotonic() < begin + 5:
            due = session.deadline()
            assert due is not None
            time.sleep(min(due, 0.1))
            session.expire()
        assert again
        assert (session.phase, session.heard, session.proven) == (Phase.HANDSHAKE, False, False)
        session.close()


class TestFailures:
    def test_a_wrong_key_is_silence_after_our_proof_or_an_alert(
        self, backend: Backend, peer: Callable[[Wants], Peer]
    ) -> None:
        talk = shaken(backend, PSK, KEY, peer(Wants({KEY.identity: b"another key 16 b"})), seconds=0.5)
        assert talk.client.phase is not Phase.OPEN
        if talk.client.failure is None:
            assert (talk.client.heard, talk.client.proven) == (True, True)
        else:
            assert talk.client.failure.cause is Cause.CREDENTIALS

    def test_an_identity_that_the_server_does_not_know(self, backend: Backend) -> None:
        talk = shaken(backend, PSK, KEY, OpenSslPeer(Wants({b"somebody else": KEY.key})), seconds=2)
        assert talk.client.failure is not None
        assert talk.client.failure.cause is Cause.CREDENTIALS
        assert "unknown_psk_identity" in talk.client.failure.text
        assert talk.client.alert is not None
        assert (talk.client.alert.description, talk.client.alert.received) == (115, True)

    def test_no_suite_in_common(self, backend: Backend) -> None:
        settings = SessionSettings((Suite.PSK_CBC,))
        server = OpenSslPeer(Wants({KEY.identity: KEY.key}, suites="PSK-AES128-CCM8"))
        talk = shaken(backend, settings, KEY, server, seconds=2)
        assert talk.client.failure is not None
        assert talk.client.failure.cause is Cause.AGREEMENT

    @pytest.mark.parametrize(
        ("server", "trust", "why"),
        [
            (SERVER, Trust(ROOT.pem, name="other.example"), "for another name"),
            (SERVER, Trust(Authority("Another root").pem, name=HOST), "is unknown"),
            (ROOT.issue("s", names=(HOST,), valid=(-YEAR, -timedelta(days=1))), TRUST, "expired"),
            (ROOT.issue("s", names=(HOST,), valid=(timedelta(days=1), YEAR)), TRUST, "not valid yet"),
            (ROOT.issue("s", names=(HOST,), server=False), TRUST, "not made for servers"),
            (self_signed(HOST), TRUST, "signed itself"),
            (BELOW.issue("s", names=(HOST,)), Trust(ROOT.pem, frozenset({SERVER.fingerprint}), HOST), "pinned"),
            (self_signed(HOST), Trust(None, frozenset({SERVER.fingerprint})), "pinned"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_a_certificate_that_is_not_accepted_says_why(
        self, backend: Backend, server: Issued, trust: Trust, why: str
    ) -> None:
        talk = shaken(backend, certificate(trust), own(CLIENT), OpenSslPeer(Wants(own=server)), seconds=2)
        assert talk.client.phase is Phase.OVER
        assert talk.client.failure is not None
        assert talk.client.failure.cause is Cause.CERTIFICATE
        if isinstance(backend, OpenSsl):  # python-mbedtls tells nobody why
            assert why in talk.client.failure.text
            assert talk.client.alert is not None
            assert not talk.client.alert.received

    @pytest.mark.parametrize("valid", [(-YEAR, -timedelta(days=1)), (timedelta(days=1), YEAR)], ids=["old", "future"])
    def test_a_certificate_refused_for_its_time_names_its_times_and_the_clock(
        self, backend: Backend, valid: tuple[timedelta, timedelta]
    ) -> None:
        now = datetime.now(UTC)
        server = ROOT.issue("s", names=(HOST,), valid=valid)
        talk = shaken(backend, certificate(TRUST), own(CLIENT), OpenSslPeer(Wants(own=server)), seconds=2)
        assert talk.client.failure is not None
        if isinstance(backend, OpenSsl):  # python-mbedtls tells nobody why
            first, last, clock = re.findall(r"\d{4}-\d\d-\d\d", talk.client.failure.text)
            assert abs(date.fromisoformat(clock) - now.date()) <= timedelta(days=1)
            for said, offset in zip((first, last), valid, strict=True):
                assert abs(date.fromisoformat(said) - (now + offset).date()) <= timedelta(days=1)

    def test_a_pinned_certificate_needs_no_authority(self, backend: Backend) -> None:
        server = self_signed("anything")
        trust = Trust(None, frozenset({server.fingerprint}))
        talk = shaken(backend, certificate(trust), own(CLIENT), OpenSslPeer(Wants(own=server)))
        assert (talk.client.phase, talk.client.failure) == (Phase.OPEN, None)

    def test_a_client_certificate_of_an_unknown_authority(
        self, backend: Backend, peer: Callable[[Wants], Peer]
    ) -> None:
        stranger = Authority("Another root").issue("urn:dev:1")
        talk = shaken(backend, certificate(), own(stranger), peer(Wants(own=SERVER, clients=ROOT.pem)), seconds=2)
        assert talk.client.failure is not None
        assert talk.client.failure.cause in {Cause.CREDENTIALS, Cause.CUT_OFF}
        if isinstance(backend, OpenSsl):
            assert talk.client.alert is not None
            assert talk.client.alert.received

    @pytest.mark.parametrize(
        "unusable",
        [
            CertificateKey(b"no certificate", CLIENT.key_pem),
            CertificateKey(CLIENT.pem, b"no key"),
            CertificateKey(CLIENT.pem, SERVER.key_pem),
        ],
    )
    def test_credentials_that_cannot_be_used_are_refused(self, backend: Backend, unusable: CertificateKey) -> None:
        with pytest.raises(ConfigurationError, match=r"certificate|private_key"):
            backend.client(certificate(), unusable)

    def test_what_a_library_cannot_ask_is_refused_with_the_cure(self, backend: Backend) -> None:
        settings = certificate(Trust(ROOT.pem, asked=True))
        if isinstance(backend, OpenSsl):
            backend.check(settings)
        else:
            with pytest.raises(ConfigurationError, match=r'revocation = ocsp needs; use dtls = "openssl"'):
                backend.check(settings)

    def test_an_authority_file_without_certificates_is_refused(self, backend: Backend) -> None:
        with pytest.raises(ConfigurationError, match="ca_bundle"):
            backend.check(certificate(Trust(b"nothing in here")))


def record(kind: int, epoch: int, number: int, body: bytes) -> bytes:
    return (
        bytes([kind])
        + b"\xfe\xfd"
        + epoch.to_bytes(2, "big")
        + number.to_bytes(6, "big")
        + len(body).to_bytes(2, "big")
        + body
    )


def fragment(length: int, at: int, message: int) -> bytes:
    """Return a record with one byte of a handshake message (RFC 6347 §4.2.2) that has many."""
    three = partial(int.to_bytes, length=3, byteorder="big")
    body = b"\x02" + three(length) + message.to_bytes(2, "big") + three(at) + three(1) + b"x"
    return record(22, 0, at, body)


def resident() -> int:
    """Return the bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def losing(number: int) -> Wire:
    """Lose one datagram: the one of this number."""
    seen = 0

    def wire(datagrams: list[bytes]) -> list[bytes]:
        nonlocal seen
        kept = []
        for datagram in datagrams:
            if seen != number:
                kept.append(datagram)
            seen += 1
        return kept

    return wire


def _overlapping(datagram: bytes, *, contradict: bool) -> list[bytes]:
    """Return a datagram as it is, or the parts of each handshake message of epoch 0 in it, each record by itself.

    The first part has the first two thirds of a message, the other one the last two thirds; `contradict`: with another
    byte in the middle.
    """
    parts, number = [], 0
    while datagram:
        size = 13 + int.from_bytes(datagram[11:13], "big")
        head, body, datagram = datagram[:13], datagram[13:size], datagram[size:]
        length = int.from_bytes(body[9:12], "big") if head[0] == 22 and head[3:5] == b"\0\0" else 0
        if length < 6:
            parts.append(head + body)
            continue
        message, third = body[12:], length // 3
        for begin, end in ((0, 2 * third), (third, length)):
            data = bytearray(message[begin:end])
            if contradict and begin:
                data[0] ^= 0xFF
            fragmented = body[:6] + begin.to_bytes(3, "big") + (end - begin).to_bytes(3, "big") + bytes(data)
            sequence = (int.from_bytes(head[5:11], "big") * 4 + number).to_bytes(6, "big")
            parts.append(head[:5] + sequence + len(fragmented).to_bytes(2, "big") + fragmented)
            number += 1
    return parts
