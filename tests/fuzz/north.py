"""What servers send over DTLS, TCP and TLS, and the files of keys that sessions are made with."""

from pathlib import Path
from tempfile import TemporaryDirectory

from bridge.coap import stream
from bridge.errors import ConfigurationError, MessageFormatError
from bridge.north.identities import KeyTable, Who
from bridge.north.tcp.acknowledging import Acknowledging
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
    """Records that lie in a row are cut into datagrams without a byte too many or too few."""
    assert b"".join(records.datagrams(data, 100)) == data
    records.types(data)


def keys(data: bytes) -> None:
    """Any file is a table of keys, or ConfigurationError that shows none of them."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "keys.csv"
        path.write_bytes(data)
        table = KeyTable("{endpoint}", path)
        refusal(lambda: table.credentials(Who("a", "n", "d")), ConfigurationError)


def staple(data: bytes) -> None:
    """No bytes show that a certificate is good but what its authority has signed."""
    why = stapling.refusal(data, _SERVER.certificate, _ROOT.certificate, ocsp.now())
    assert bool(why) or data == _GOOD
    answer = ocsp.answer(data, _SERVER.certificate, _ROOT.certificate, ocsp.now(), bytes(ocsp.NONCE))
    assert answer.standing is not ocsp.Standing.GOOD or data == _GOOD


def pem(data: bytes) -> None:
    """Any text is certificates, keys and lists in PEM, or ConfigurationError."""
    refusal(lambda: verification.certificates(data, "ca_bundle"), ConfigurationError)
    refusal(lambda: verification.private_key(data), ConfigurationError)
    refusal(lambda: verification.revocation_lists(data), ConfigurationError)


_ROOT = Authority()
_SERVER = _ROOT.issue("server")
_GOOD = vouches(_ROOT, _SERVER)


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
KEYS = Target("key-table", keys, lambda: [b"endpoint,identity,key\na,,000102030405060708090a0b0c0d0e0f\n"])
STAPLE = Target("ocsp-response", staple, lambda: [_GOOD])
PEM = Target("pem", pem, lambda: [_SERVER.pem, _SERVER.key_pem, _ROOT.revokes()])
