"""The far end of a session, straight on each library, and a wire between both ends that loses, repeats and reorders."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from cryptography.hazmat.bindings.openssl.binding import Binding
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import SSL, crypto

from bridge.tls.contract import Backend, Phase, Session
from bridge.tls.openssl import OpenSsl
from tests.tls.pki import Issued

LIBRARIES: list[type[Backend]] = [OpenSsl]
"""Those that this Python has: python-mbedtls has no wheels for Python 3.13 and later."""
try:
    from bridge.tls.mbedtls import MbedTls
except ModuleNotFoundError:
    pass
else:
    LIBRARIES.append(MbedTls)

ffi: Any = Binding().ffi
lib: Any = Binding().lib


@dataclass(frozen=True)
class Wants:
    """What a server is: its keys by identity, or its certificate and whom it trusts."""

    keys: Mapping[bytes, bytes] = field(default_factory=dict)
    own: Issued | None = None
    clients: bytes = b""  # PEM of authorities; empty: no client certificate is asked for
    suites: str = "PSK-AES128-CCM8:PSK-AES128-CBC-SHA256:ECDHE-ECDSA-AES128-CCM8:ECDHE-ECDSA-AES128-GCM-SHA256"
    mtu: int = 1200
    stream: bool = False
    staple: bytes = b""  # an OCSP response that goes with the certificate


class Peer(Protocol):
    """A server's side of one session."""

    opened: bool
    broken: str

    def receive(self, data: bytes) -> list[bytes]: ...

    def send(self, message: bytes) -> None: ...

    def close(self) -> None: ...

    def outgoing(self) -> list[bytes]: ...

    def expire(self) -> None: ...


class OpenSslPeer:
    """OpenSSL without the cookie exchange."""

    def __init__(self, wants: Wants) -> None:
        self.opened = False
        self.broken = ""
        self.name: str | None = None  # SNI
        self.identity = b""  # that the client showed
        self._stream = wants.stream
        self._mtu = wants.mtu
        context = SSL.Context(SSL.TLS_SERVER_METHOD if wants.stream else SSL.DTLS_SERVER_METHOD)
        context.set_cipher_list(f"{wants.suites}:@SECLEVEL=0".encode())
        context.set_options(SSL.OP_NO_QUERY_MTU)
        context.set_session_id(b"test")
        if wants.staple:
            context.set_ocsp_server_callback(lambda _connection, _data: wants.staple)
        if wants.own is not None:
            context.use_certificate(wants.own.certificate)
            context.use_privatekey(wants.own.key)
            for above in wants.own.above:
                context.add_extra_chain_cert(above)
        if wants.clients:
            store = context.get_cert_store()
            store.add_cert(crypto.load_certificate(crypto.FILETYPE_PEM, wants.clients))
            context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *a: bool(a[-1]))
        context.set_tlsext_servername_callback(self._named)
        self._callback = self._answering(wants.keys)
        if wants.keys:
            lib.SSL_CTX_set_psk_server_callback(context._context, self._callback)
        self.context = context
        self.connection = self._connect()

    def _connect(self) -> SSL.Connection:
        connection = SSL.Connection(self.context, None)
        connection.set_accept_state()
        if not self._stream:
            connection.set_ciphertext_mtu(self._mtu)
        return connection

    def _answering(self, keys: Mapping[bytes, bytes]) -> Any:
        @ffi.callback("unsigned int(SSL *, const char *, unsigned char *, unsigned int)")
        def answer(_ssl: Any, identity: Any, room: Any, _size: int) -> int:
            self.identity = ffi.string(identity)
            key = keys.get(self.identity, b"")
            ffi.memmove(room, key, len(key))
            return len(key)

        return answer

    def again(self) -> None:
        """Wait for another session, with the same memory of earlier ones."""
        self.connection = self._connect()
        self.opened = False

    def _named(self, connection: SSL.Connection) -> None:
        found = connection.get_servername()
        self.name = None if found is None else found.decode()

    def receive(self, data: bytes) -> list[bytes]:
        self.connection.bio_write(data)
        messages: list[bytes] = []
        try:
            if not self.opened:
                self.connection.do_handshake()
                self.opened = True
            while True:
                messages.append(self.connection.recv(20000))
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self.broken = repr(error)
        return messages

    def send(self, message: bytes) -> None:
        self.connection.send(message)

    def close(self) -> None:
        self.connection.shutdown()

    def outgoing(self) -> list[bytes]:
        data = b""
        try:
            while True:
                data += self.connection.bio_read(65536)
        except SSL.Error:
            pass
        return _parts(data, self._mtu) if not self._stream else [data] * bool(data)

    def expire(self) -> None:
        if not self._stream and not self.opened:
            self.connection.DTLSv1_handle_timeout()


class MbedTlsPeer:
    """Mbed TLS, which always has a cookie brought back first."""

    def __init__(self, wants: Wants) -> None:
        from mbedtls import pk, tls, x509

        self.opened = False
        self.broken = ""
        self.cookies = 0
        self._mtu = wants.mtu
        chain = None
        if wants.own is not None:
            der = wants.own.key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
            ring = (wants.own.certificate, *wants.own.above)
            chain = (tuple(x509.CRT.from_DER(one.public_bytes(Encoding.DER)) for one in ring), pk.ECC.from_DER(der))
        self._tls = tls
        self._buffer = tls.ServerContext(
            tls.DTLSConfiguration(
                ciphers=tuple(_MBED[one] for one in wants.suites.split(":")),
                validate_certificates=bool(wants.clients),
                trust_store=tls.TrustStore([x509.CRT.from_PEM(wants.clients.decode())]) if wants.clients else None,
                certificate_chain=chain,
                pre_shared_key_store={identity.decode(): key for identity, key in wants.keys.items()},
            )
        ).wrap_buffers()
        self._buffer.setcookieparam(b"client")
        self._buffer.setmtu(wants.mtu)

    def receive(self, data: bytes) -> list[bytes]:
        return [message for record in _records(data) for message in self._receive(record)]

    def _receive(self, record: bytes) -> list[bytes]:
        self._buffer.receive_from_network(record)
        self.expire()
        messages: list[bytes] = []
        try:
            while self.opened and (message := self._buffer.read(20000)):
                messages.append(message)
        except self._tls.WantReadError:
            pass
        except Exception as error:  # noqa: BLE001
            self.broken = str(error)
        return messages

    def expire(self) -> None:
        try:
            while self._buffer._handshake_state.name != "HANDSHAKE_OVER":
                self._buffer.do_handshake()
            self.opened = True
        except self._tls.HelloVerifyRequest:
            self.cookies += 1
            self._buffer.setcookieparam(b"client")
        except (self._tls.WantReadError, self._tls.WantWriteError):
            pass
        except Exception as error:  # noqa: BLE001
            self.broken = str(error)

    def send(self, message: bytes) -> None:
        self._buffer.write(message)

    def close(self) -> None:
        self._buffer.shutdown()

    def outgoing(self) -> list[bytes]:
        data = self._buffer.peek_outgoing(65536)
        self._buffer.consume_outgoing(len(data))
        return _parts(data, self._mtu)


_MBED = {
    "PSK-AES128-CCM8": "TLS-PSK-WITH-AES-128-CCM-8",
    "PSK-AES128-CBC-SHA256": "TLS-PSK-WITH-AES-128-CBC-SHA256",
    "ECDHE-ECDSA-AES128-CCM8": "TLS-ECDHE-ECDSA-WITH-AES-128-CCM-8",
    "ECDHE-ECDSA-AES128-GCM-SHA256": "TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256",
}


def _parts(data: bytes, mtu: int) -> list[bytes]:
    """Each record as a datagram of its own: no end may depend on how records lie together."""
    out = list(_records(data))
    assert all(len(one) <= mtu or one[0] == 23 for one in out), "a handshake record larger than the MTU"
    return out


def _records(data: bytes) -> Iterator[bytes]:
    while data:
        end = 13 + int.from_bytes(data[11:13], "big")
        yield data[:end]
        data = data[end:]


Wire = Callable[[list[bytes]], list[bytes]]


def perfect(datagrams: list[bytes]) -> list[bytes]:
    return datagrams


@dataclass
class Talk:
    """A client and a server with a wire each way. Time is the system's: the libraries read it by themselves."""

    client: Session
    server: Peer
    up: Wire = perfect
    down: Wire = perfect
    at_client: list[bytes] = field(default_factory=list)
    at_server: list[bytes] = field(default_factory=list)
    largest: int = 0  # bytes of a datagram of the client

    def run(self, until: Callable[[], bool], seconds: float = 20.0) -> None:
        """Carry datagrams until a condition holds or time is up."""
        end = time.monotonic() + seconds
        while not until() and time.monotonic() < end:
            if not self.once():
                due = self.client.deadline()
                time.sleep(0.02 if due is None else min(due, 0.02))
                self.client.expire()
                self.server.expire()

    def once(self) -> bool:
        """Carry what both have to say now; return whether there was anything."""
        out = self.client.outgoing()
        self.largest = max([self.largest, *map(len, out)])
        for datagram in self.up(out):
            self.at_server += self.server.receive(datagram)
        back = self.server.outgoing()
        for datagram in self.down(back):
            self.at_client += self.client.receive(datagram)
        return bool(out or back)

    def quiet(self) -> None:
        while self.once():
            pass

    def shake(self, seconds: float = 20.0) -> None:
        """Run the handshake to its end, whichever."""
        self.run(
            lambda: self.client.phase is Phase.OVER or (self.client.phase is Phase.OPEN and self.server.opened), seconds
        )
        self.quiet()
