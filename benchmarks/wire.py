"""The load side's own bytes: HTTP and CoAP by hand, cheap enough that the side under test is what is measured."""

import base64
import json
import socket
from dataclasses import dataclass, field


def http_response(status: str, body: bytes = b"", headers: str = "") -> bytes:
    """Return an HTTP/1.1 response with a JSON body."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def http_post(path: str, host: str, body: bytes) -> bytes:
    """Return an HTTP/1.1 POST of a JSON body."""
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


def notification(configuration: str, external_id: str, payload: bytes) -> bytes:
    """Return the body of a NiddUplinkDataNotification (TS 29.122 §5.6.2.1.5)."""
    data = base64.b64encode(payload).decode()
    return json.dumps({"niddConfiguration": configuration, "externalId": external_id, "data": data}).encode()


@dataclass(slots=True)
class HttpConnection:
    """One kept connection with the bytes that are not a whole message yet."""

    sock: socket.socket
    pending: bytearray = field(default_factory=bytearray)

    def messages(self) -> list[tuple[bytes, bytes]]:
        """Read what is there; give whole messages as (head, body). Raises ConnectionError at the end."""
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError
        self.pending += data
        found = []
        while (end := self.pending.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.pending[:end])
            at = head.lower().find(b"content-length:")
            length = 0
            if at >= 0:
                stop = head.find(b"\r\n", at)
                length = int(head[at + 15 : stop if stop >= 0 else len(head)])
            if len(self.pending) < end + 4 + length:
                break
            found.append((head, bytes(self.pending[end + 4 : end + 4 + length])))
            del self.pending[: end + 4 + length]
        return found


def coap(mtype: int, code: int, mid: int, token: bytes, rest: bytes = b"") -> bytes:
    """Return a CoAP message; `rest` is options and payload as on the wire."""
    return bytes((0x40 | mtype << 4 | len(token), code, mid >> 8, mid & 255)) + token + rest


GET = b"\xb1\x33\x01\x30\x01\x30"  # Uri-Path 3 / 0 / 0
OBSERVE = b"\x60\x51\x33\x01\x30\x01\x30"  # Observe 0, then the same path
CONTENT = b"\xc0\xff21.5"  # Content-Format 0, payload


def notify(sequence: int) -> bytes:
    """Return options and payload of a notification."""
    return bytes((0x61, sequence & 255)) + b"\x60\xff21.5"
