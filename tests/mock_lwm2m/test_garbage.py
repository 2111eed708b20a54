"""Whatever bytes arrive, device and server continue."""

import asyncio
import logging
import random
import socket

import pytest
from lwm2m_pair import pair, virtual_time

EP = "urn:dev:os:test-1"
SEEDS = [
    bytes.fromhex("40010001b133013001 39"),  # GET /3/0/9
    bytes.fromhex("48010002aaaaaaaaaaaaaaaa60b133013001 39"),  # Observe
    bytes.fromhex("40030003b13301300231 34c0ff78"),  # PUT /3/0/14
    bytes.fromhex("40020004b2726404 65703d61ff3c2f333e"),  # POST /rd
    b"\x40\x02\x00\x0a\xb2rd\x11\x28\x34ep=x\x09lwm2m=1.1\xff</3/0>",
    b"\x40\x02\x00\x0b\xb2dp\x11\x70\xff\x81\xa2\x00\x66/3/0/9\x02\x18\x63",
    bytes.fromhex("40030005b1350130013011 2ad1010eff") + bytes(1024),  # PUT /5/0/0 with Block1
    bytes.fromhex("40050006c06e60ff5b5d"),  # FETCH
    bytes.fromhex("60000007"),
    bytes.fromhex("70000008"),
    bytes.fromhex("4845000955555555555555556101ff78"),  # a response that nobody asked for
]


def mutations(count):
    rng = random.Random(7)
    for number in range(count):
        data = bytearray(rng.choice(SEEDS))
        data[2:4] = number.to_bytes(2, "big")  # else most would be duplicates
        for _ in range(rng.randrange(4)):
            action = rng.randrange(3)
            where = rng.randrange(len(data)) if data else 0
            if action == 0 and data:
                data[where] = rng.randrange(256)
            elif action == 1 and data:
                del data[where:]
            else:
                data[where:where] = rng.randbytes(rng.randrange(6))
        yield bytes(data)


@pytest.mark.parametrize("target", ["device", "server"])
@virtual_time
async def test_no_bytes_stop_device_or_server(target, caplog):
    caplog.set_level(logging.ERROR)
    problems = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: problems.append(context))
    async with pair() as (device, server):
        address = device.address if target == "device" else server.address
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("127.0.0.1", 0))
            for data in mutations(700):
                sender.sendto(data, address)
                await asyncio.sleep(0.01)
            await asyncio.sleep(1)
        endpoint = device.endpoint if target == "device" else server.endpoint
        assert 30 < endpoint.unparsable < 500
        assert (await server.read(EP, "/3/0/2")).value == EP
        if target == "device":
            assert {"Read", "Observe", "Write", "Read-Composite"} <= {
                entry.operation for entry in device.operations.entries
            }
        else:
            assert len(server.seen.of("refused")) > 30
        assert (await device.update()).code == "2.04"
    assert problems == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
