"""DTLS of a class C device by certificates, in frames of 115 bytes: ChirpStack's region sends in RX2 at DR3.

Nobody polls: the device listens all the time, and ChirpStack sends one frame every five seconds.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from lorawan_kit import LorawanSetUp, device, lorawan_set_up

from mock_network.lab import Lab
from tests.tls.pki import Authority
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

FRAME, SMALLEST = 115, 51  # bytes, at EU868's DR3 and DR0
NAMES = {"told": "70b3d57ed0000051"}
SERVER = "s.example"
PATIENT = ("--ack-timeout", "150", "--max-retransmit", "6", "--block-size", "32")  # a flight takes a minute
OPERATOR = Authority("Operator")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fast(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LorawanSetUp]:
    async def more(lab: Lab) -> str:
        uri = lab.server_ready["coap"]
        lines = f'secure_port = {uri.rpartition(":")[2]}\nknown_as = ["{SERVER}"]\npatience = 86400.0\n'
        return f'[servers.secure]\nuri = "{uri}"\n{lines}[policy]\nhandshake_ttl = 3600.0\nrecord_ttl = 3600.0\n'

    async with lorawan_set_up(
        tmp_path_factory.mktemp("fast"),
        devices=[device(eui, data_rate=3, adr=False, device_class="C") for eui in NAMES.values()],
        endpoints=[
            {"name": name, "network": "lorawan", "address": eui, "servers": ["secure"]} for name, eui in NAMES.items()
        ],
        also=more,
        arguments=("--rx2-dr", "3"),
        server_arguments=PATIENT,
        lines="downlinks = { rx1_dr_offset = 0, rx2_dr = 3 }\n",
    ) as world:
        await world.joined()
        own = OPERATOR.issue("server", names=(SERVER,))
        shown = {"certificate": own.pem, "private_key": own.key_pem, "authorities": OPERATOR.pem}
        await world.server.ask("PUT", "/certificate", {name: pem.decode() for name, pem in shown.items()})
        yield world


async def test_a_class_c_device_has_its_session_and_is_managed_in_frames_of_rx2(fast: LorawanSetUp):
    name = "told"
    own = OPERATOR.issue(name)
    shown = {"certificate": own.pem, "private_key": own.key_pem, "server": OPERATOR.pem}
    modem = (await fast.device(name))["modem"]
    about: dict[str, Any] = {"endpoint": name, "connect": f"coaps://{SERVER}", "pipe": "{}:{}".format(*modem)}
    about |= {"certificate": {key: pem.decode() for key, pem in shown.items()}, "omit": ["root", "ver", "b"]}
    about |= {"ack_timeout": 150.0, "max_retransmit": 6}
    await fast.devices.post("/devices", {**about, "lifetime": 600, "largest_record": FRAME})

    async def registered() -> bool:
        return bool((await fast.devices.get(f"/devices/{name}"))["registered"])

    await until(registered, 120, f"it does not register; {fast.said()}", every=0.2)
    assert (await fast.ask("read", "/3/0/14", name))["code"] == "2.05"
    sizes = [len(frame["payload"]) // 2 for frame in await fast.air(name) if frame["payload"]]
    assert SMALLEST < max(sizes) <= FRAME
    immediately = [frame for frame in await fast.air(name) if frame["payload"] and _is_in_rx2_at_once(frame)]
    assert immediately
    assert (await fast.devices.get(f"/devices/{name}"))["session_failures"] == []


def _is_in_rx2_at_once(frame: dict[str, Any]) -> bool:
    return any(item.get("timing") == "immediately" for item in frame["items"])
