"""What servers send over DTLS, TCP and TLS, and the files of keys that sessions are made with."""

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponseBuilder, OCSPResponseStatus

from bridge.coap import stream
from bridge.errors import ConfigurationError, MessageFormatError
from bridge.north.identities import EndpointNames, KeyTable
from bridge.north.tcp.acknowledging import Acknowledging
from bridge.relay import client_hello
from bridge.relay.handshake import Fitting, fragments_of, records_of
from bridge.tls import ocsp, records, stapling, verification
from bridge.tls.contract import Backend, Phase
from bridge.tls.credentials import PreSharedKey
from bridge.tls.openssl import OpenSsl
from bridge.tls.settings import PSK_SUITES, SessionSettings
from tests.fuzz.coap import GET
from tests.fuzz.target import Target, joined, pieces, refusal
from tests.tls.peers import LIBRARIES, OpenSslPeer, Talk, Wants
from tests.tls.pki import Authority, vouches

KEY = PreSharedKey(b"urn:dev:1", bytes(range(16)))
BACKENDS: tuple[Backend, ...] = tuple(library() for library in LIBRARIES)


def connection(data: bytes) -> None:
    """Whatever a server writes to a connection, in whatever pieces, is messages or ends the connection."""
    messages = Acknowledging(0.0)
    for piece in pieces(data):
        try:
            messages.receive(piece)
        except MessageFormatError:
            return
        if messages.ready:
            messages.send(GET)
        messages.arrived.clear()
        messages.outgoing()


def session(data: bytes) -> None:
    """Whatever datagrams come, a session raises nothing, and is not open without a server that has the key."""
    for backend in BACKENDS:
        made = backend.client(SessionSettings(PSK_SUITES), KEY)
        for piece in pieces(data):
            made.receive(piece)
            made.outgoing()
            made.expire()
        assert made.phase is not Phase.OPEN
        made.close()


def split(data: bytes) -> None:
    """DeviceNotes that lie in a row are cut into datagrams without a byte too many or too few."""
    assert b"".join(records.datagrams(data, 100)) == data
    records.types(data)


def handshake(data: bytes) -> None:
    """A handshake is cut so that all fits, and that of each message no byte is another, missing or there twice.

    The first piece says how large a datagram may be, the second is what waits already; a device's parts are joined.
    """
    size, waits, *datagrams = [*pieces(data), b"", b""]
    fitting = Fitting(int.from_bytes(size[:2], "big") % 1280, [waits])
    wanted: set[tuple[bytes, int, int]] = set()
    parts: list[client_hello.ClientHelloPart] = []
    for datagram in datagrams:
        found = records_of(datagram)
        if found is None:
            continue
        if not all(fitting.add(record) for record in found):
            return
        wanted |= _bytes_of(datagram)
        part = client_hello.part_of(datagram)
        if part is not None:
            client_hello.assembled(part, reversed(parts))
            parts.append(part)
    assert all(len(one) <= int.from_bytes(size[:2], "big") % 1280 for one in fitting.datagrams)
    made = {one for datagram in fitting.datagrams for one in _bytes_of(datagram)}
    assert made <= wanted
    assert wanted <= made | _bytes_of(waits)


def _bytes_of(datagram: bytes) -> set[tuple[bytes, int, int]]:
    """Return each byte of the handshake in a datagram: its message, where it is in it, and its value."""
    found = [record for record in records_of(datagram) or () if record.is_plain_handshake]
    fragments = [fragment for record in found for fragment in fragments_of(record) or ()]
    return {(one.message, at, byte) for one in fragments for at, byte in enumerate(one.content, one.start)}


def keys(data: bytes) -> None:
    """Any file is a table of keys, or ConfigurationError that shows none of them."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "keys.csv"
        path.write_bytes(data)
        table = KeyTable("{endpoint}", path)
        refusal(lambda: table.credentials(EndpointNames("a", "n", "d")), ConfigurationError)


def staple(data: bytes) -> None:
    """No bytes show that a certificate is good but what its authority has signed."""
    why = stapling.refusal(data, _SERVER.certificate, _ROOT.certificate, ocsp.now())
    assert bool(why) or data in (*_GOOD, _OF_ANOTHER_QUESTION)  # a stapled response answers no question of ours
    answer = ocsp.answer(data, _SERVER.certificate, _ROOT.certificate, ocsp.now(), bytes(ocsp.NONCE))
    assert answer.standing is not ocsp.CertificateStatus.GOOD or data in _GOOD
    assert answer.standing is not ocsp.CertificateStatus.REVOKED or data in _BAD


def pem(data: bytes) -> None:
    """Any text is certificates, keys and lists in PEM, or ConfigurationError."""
    refusal(lambda: verification.certificates(data, "ca_bundle"), ConfigurationError)
    refusal(lambda: verification.private_key(data), ConfigurationError)
    refusal(lambda: verification.revocation_lists(data), ConfigurationError)


_ROOT = Authority()
_SERVER = _ROOT.issue("server")
_DELEGATE = _ROOT.issue("responder", responder=True)
_GOOD = (
    vouches(_ROOT, _SERVER),
    vouches(_ROOT, _SERVER, nonce=bytes(ocsp.NONCE)),
    vouches(_ROOT, _SERVER, signer=_DELEGATE),
)
_OF_ANOTHER_QUESTION = vouches(_ROOT, _SERVER, nonce=b"another question")
_BAD = tuple(
    vouches(_ROOT, _SERVER, status=OCSPCertStatus.REVOKED, reason=reason)
    for reason in (None, x509.ReasonFlags.key_compromise, x509.ReasonFlags.certificate_hold)
)


def _responses() -> list[bytes]:
    """Return responses that come to each of the verdicts, and one that is none."""
    hour, day = timedelta(hours=1), timedelta(days=1)
    return [
        *_GOOD,
        *_BAD,
        vouches(_ROOT, _SERVER, status=OCSPCertStatus.UNKNOWN),
        vouches(_ROOT, _SERVER, valid=(-2 * day, -day)),
        vouches(_ROOT, _SERVER, valid=(hour, day)),
        _OF_ANOTHER_QUESTION,
        vouches(_ROOT, _SERVER, signer=_SERVER),
        vouches(_ROOT, _DELEGATE),
        OCSPResponseBuilder.build_unsuccessful(OCSPResponseStatus.TRY_LATER).public_bytes(Encoding.DER),
    ]


def _pems() -> list[bytes]:
    """Return each kind of file in PEM, whole, twice, cut, and with what does not belong there."""
    rsa_key = rsa.generate_private_key(65537, 2048)
    plain = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    locked = (Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    keys = [
        _SERVER.key_pem,
        rsa_key.private_bytes(*plain),
        rsa_key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        rsa_key.private_bytes(*locked),
        ed25519.Ed25519PrivateKey.generate().private_bytes(*plain),
    ]
    lists = [_ROOT.revokes(), _ROOT.revokes(_SERVER)]
    return [
        *keys,
        *lists,
        _SERVER.pem,
        _SERVER.pem + _ROOT.pem,
        _SERVER.pem + _SERVER.key_pem + _ROOT.revokes(),
        b"Bag Attributes\r\n" + _SERVER.pem.replace(b"\n", b"\r\n"),
        _SERVER.pem[:-30],
        _SERVER.pem.replace(b"CERTIFICATE", b"X509 CRL"),
    ]


def _flights() -> list[bytes]:
    """Return what a server says in a handshake."""
    said: list[bytes] = []

    def noted(datagrams: list[bytes]) -> list[bytes]:
        said.extend(datagrams)
        return datagrams

    talk = Talk(OpenSsl().client(SessionSettings(PSK_SUITES), KEY), OpenSslPeer(Wants({KEY.identity: KEY.key})))
    talk.down = noted
    talk.shake(5.0)
    return [joined(*(one for one in said if len(one) < 256))]  # bytes of a piece


def _handshakes() -> list[bytes]:
    """Return a server's flights for several sizes of a datagram, with and without what waits, and parts of a hello."""
    (said,) = _flights()
    flights = pieces(said)
    body = b"\x01\0\0\x20\0\0\0\0\0\0\0\x10" + bytes(16)
    part = b"\x16\xfe\xfd" + bytes(8) + len(body).to_bytes(2, "big") + body
    sizes = [size.to_bytes(2, "big") for size in (53, 100, 222)]
    return [joined(size, waits, *flights, part, part) for size in sizes for waits in (b"", flights[0])]


def _said() -> list[bytes]:
    answer = stream.frame(69, b"\1", b"\xffx")
    ping = stream.signal(stream.Signal.PING, [(stream.CUSTODY, b"")], token=b"\7")
    release = stream.signal(stream.Signal.RELEASE, [(stream.HOLD_OFF, b"\x3c")])
    abort = stream.signal(stream.Signal.ABORT, [(stream.BAD_CSM_OPTION, b"\2")], "no")
    greeting = stream.csm()
    return [
        joined(greeting, answer + ping, stream.signal(stream.Signal.PONG), release),
        joined(greeting[:2], greeting[2:], abort),
        joined(greeting, b"\xf0\0\0\0\1\1", b"\xe0\0\1\1"),
    ]


CONNECTION = Target("coap-connection", connection, _said)
SESSION = Target("dtls-session", session, _flights)
RECORDS = Target("dtls-records", split, _flights)
HANDSHAKE = Target("dtls-handshake", handshake, _handshakes)
KEYS = Target("key-table", keys, lambda: [b"endpoint,identity,key\na,,000102030405060708090a0b0c0d0e0f\n"])
STAPLE = Target("ocsp-response", staple, _responses)
PEM = Target("pem", pem, _pems)
