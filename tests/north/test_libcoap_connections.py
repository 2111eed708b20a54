"""Links with a real server: libcoap's on OpenSSL and on GnuTLS, over DTLS, TCP and TLS."""

import asyncio

import pytest

from bridge.coap import udp
from bridge.coap.message import ACK, CON
from bridge.coap.numbers import Code
from bridge.north.contract import LinkState
from tests.conftest import need_program
from tests.north.test_session_transports import combined
from tests.north.transport_contract import Noted
from tests.tls.test_libcoap import SERVERS, running
from tests.waiting import until

KEY = b"a-key-for-libcoap"


@pytest.mark.parametrize("program", SERVERS)
@pytest.mark.parametrize("kind", ["dtls", "tcp", "tls"])
async def test_a_request_is_answered_and_the_link_stays(program: str, kind: str) -> None:
    need_program(program)
    with running(program, "-k", KEY.decode()) as (_, secure_port):
        port = secure_port - (kind == "tcp")
        north, noted = await combined(kind, {"one": port}, key=KEY), Noted()
        await north.start(noted)
        try:
            north.open(7, ("one",))
            await until(lambda: north.link(7, "one").state is LinkState.OPEN, 20.0)  # it takes a while to start
            for number in (1, 2):
                north.send(7, "one", udp.frame(CON, Code.GET, number, bytes((number,)), b""))

                def answered(number: int = number) -> bool:
                    found = [udp.decode(message) for _, _, message in noted.messages]
                    return any(one.token == bytes((number,)) and b"libcoap" in one.payload for one in found)

                await until(answered, 20.0)
            assert north.counters().opened == 1
            if kind != "dtls":  # libcoap answers Pings
                north.send(7, "one", udp.frame(CON, Code.CONTENT, 77, b"\x09", b""))
                await until(lambda: udp.empty(ACK, 77) in [message for _, _, message in noted.messages], 10.0)
        finally:
            await north.stop()
            await asyncio.sleep(0)
