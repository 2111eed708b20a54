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
    """Any body is decoded to at most the limit, or NotificationError."""
    refusal(lambda: len(uncoded("gzip", data, LIMIT)) <= LIMIT or _fail(), NotificationError)


def _fail() -> bool:
    raise AssertionError("more than the limit")


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
SMS = Target("sms-notification", sms, lambda: [json.dumps(NOTIFICATION).encode(), DESTINATION])
CODING = Target(
    "content-coding", coding, lambda: [gzip.compress(b"body", mtime=0), gzip.compress(bytes(2000), mtime=0)]
)
CALL = Target("grpc-web-answer", call, lambda: [b"g" + ANSWER, b"g" + FAILED, b"x<html>"])
