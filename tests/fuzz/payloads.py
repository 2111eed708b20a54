"""What devices and networks send inside messages: values in LwM2M's formats, SMS notifications, coded bodies, calls."""

import gzip
import json

from bindings.http.coding import decoded as uncoded
from bindings.http.exchange import Response
from bindings.lorawan.chirpstack import grpc_web
from bindings.lorawan.chirpstack.transport import GrpcFailed
from bindings.sms.destinations import read_destination
from bindings.sms.models import read_notification
from bridge.errors import NotificationError
from bridge.lwm2m import formats
from tests.fuzz.target import Target, refusal

FORMATS = (None, 0, 40, 42, 110, 112, 11542, 11543, 60)
PATHS = ((), (3,), (3, 0), (3, 0, 9), (3303, 0, 5700), (6, 0, 0), (3, 0, 7, 1), (65535, 1, 2))
LIMIT = 1000  # bytes of a body without its coding


def values(data: bytes) -> None:
    """Any answer of a device is values that JSON can carry, or nothing that the bridge can read."""
    if len(data) < 2:
        return
    found = formats.decoded(FORMATS[data[0] % len(FORMATS)], data[2:], PATHS[data[1] % len(PATHS)])
    for value in found or ():
        assert isinstance(value.value, bool | int | float | str | bytes)
        if not isinstance(value.value, bytes | float):
            json.dumps(value.value)


def sms(data: bytes) -> None:
    """Any body is a notification about an SMS, or NotificationError; any path has an attempt in it, or none."""
    assert refusal(lambda: read_notification(data), NotificationError) != ""
    read_destination(data.decode("utf-8", "replace"))


def coding(data: bytes) -> None:
    """Any body is decoded to at most the limit, and to what gzip makes of it, or NotificationError."""
    refusal(lambda: _same(uncoded("gzip", data, LIMIT), data), NotificationError)


def _same(plain: bytes, data: bytes) -> None:
    assert len(plain) <= LIMIT
    assert plain == gzip.decompress(data)


def call(data: bytes) -> None:
    """Any answer to a call is one message, or GrpcFailed with a reason."""
    headers = {"content-type": "application/grpc-web+proto"} if data[:1] == b"g" else {}
    answer = Response(200, headers, data[1:])
    assert refusal(lambda: grpc_web._message_of(answer), GrpcFailed) != ""  # nothing public reads bytes alone


TLV = bytes.fromhex("c8000b4f70656e204d6f62696c65c10964")
SENML = json.dumps([{"bn": "/3/0/", "n": "9", "v": 100}, {"n": "14", "vs": "+02:00"}]).encode()
CBOR = bytes.fromhex("82a3215a000000052f332f302f006139021864a20062313403662b30323a3030")
MESSAGES = [
    bytes((6, 2)) + TLV,
    bytes((4, 0)) + SENML,
    bytes((5, 0)) + CBOR,
    bytes((1, 3)) + b"100",
    bytes((3, 5)) + b"x",
]
NOTIFICATION = {"transaction": "http://scef/1", "result": "TRIGGERED", "sms": "AQ==", "externalId": "a@b"}
DESTINATION = b"http://a:1/YUBi.17.2/secret"
ANSWER = b"\0\0\0\0\2\x0a\x00\x80\0\0\0\x0fgrpc-status:0\r\n"
FAILED = b"\x80\0\0\0\x28grpc-status:5\r\ngrpc-message:not%20there\r\n"

VALUES = Target("lwm2m-values", values, lambda: MESSAGES)


def _notifications() -> list[bytes]:
    """Return reports, messages, and each kind of what is neither; paths of attempts, and of none."""
    report = {"transaction": "http://scef/1", "result": "SUCCESS"}
    message = {"subscription": "http://scef/2", "sms": "AQ==", "msisdn": "491700000001", "applicationPort": 5683}
    bodies = [NOTIFICATION, report, message, {**message, "sms": {"a": [1]}}, {**report, "result": 5}, {}, [report], 1]
    texts = [json.dumps(body).encode() for body in bodies]
    paths = [
        b"/YUBi.17.2/secret?x=1",
        b"/YQ.99999999999999999999.1/s",
        b"/gICA.1.1/s",
        b"/Y.1.1/s",
        b"/a",
        b"",
        b"/YUBi.1.1",
    ]
    return [*texts, b"\xef\xbb\xbf" + texts[0], texts[0].decode().encode("utf-16"), texts[0][:-1], DESTINATION, *paths]


def _coded() -> list[bytes]:
    """Return what gzip makes with each part of a header, and each way to be incomplete or too long."""
    body = gzip.compress(b'{"a": 1}', mtime=0)
    head, rest = body[:3], body[4:]
    named, extra, checked = b"name\0", b"\3\0abc", b"\0\0"
    with_name = head + b"\x08" + rest[:6] + named + rest[6:]
    with_extra = head + b"\x04" + rest[:6] + extra + rest[6:]
    with_checksum = head + b"\x02" + rest[:6] + checked + rest[6:]
    large = gzip.compress(bytes(2000), mtime=0)
    odd = [body[:-1], body[:9], body + b"\0", body + body, body + large, body[:-8] + bytes(8)]
    return [body, large, with_name, with_extra, with_checksum, gzip.compress(bytes(LIMIT), mtime=0), *odd]


SMS = Target("sms-notification", sms, _notifications)
CODING = Target("content-coding", coding, _coded)
CALL = Target("grpc-web-answer", call, lambda: [b"g" + ANSWER, b"g" + FAILED, b"x<html>"])
