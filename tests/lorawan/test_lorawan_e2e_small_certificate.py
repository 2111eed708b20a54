"""DTLS sessions by certificates over LoRaWAN, class A, in frames of 115 bytes (EU868's DR3), to the first request.

A message within a session is one record, which nobody can cut: the device's Register must be small.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio
from lorawan_kit import WINDOWS, LorawanSetUp, device, lorawan_set_up

from mock_network.lab import Lab
from tests.tls.pki import Authority
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

FRAME = 115  # bytes
EUIS = {"brief": "70b3d57ed0000041", "wordy": "70b3d57ed0000042"}
SERVER = "s.example"  # a short name, for it is in Register
SMALL = ("root", "ver", "b")  # what Register can do without
LIKE_LORAWAN = ("--ack-timeout", "30", "--max-retransmit", "6", "--block-size", "32")
OPERATOR = Authority("Operator")
RADIO = "downlinks = { rx1_dr_offset = 0, rx2_dr = 0 }\n"  # without it the bridge takes the smallest frames at first


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LorawanSetUp]:
    async def more(lab: Lab) -> str:
        uri = lab.server_ready["coap"]
        lines = f'secure_port = {uri.rpartition(":")[2]}\nknown_as = ["{SERVER}"]\npatience = 86400.0\n'
        return f'[servers.secure]\nuri = "{uri}"\n{lines}[policy]\nhandshake_ttl = 3600.0\nrecord_ttl = 3600.0\n'

    async with lorawan_set_up(
        tmp_path_factory.mktemp("small"),
        devices=[device(eui, data_rate=3, adr=False) for eui in EUIS.values()],
        endpoints=[
            {"name": name, "network": "lorawan", "address": eui, "servers": ["secure"]} for name, eui in EUIS.items()
        ],
        also=more,
        server_arguments=LIKE_LORAWAN,
        lines=RADIO,
    ) as world:
        await world.joined()
        own = OPERATOR.issue("server", names=(SERVER,))
        shown = {"certificate": own.pem, "private_key": own.key_pem, "authorities": OPERATOR.pem}
        await world.server.ask("PUT", "/certificate", {name: pem.decode() for name, pem in shown.items()})
        yield world


async def start(world: LorawanSetUp, name: str, *omit: str) -> None:
    own = OPERATOR.issue(name)
    shown = {"certificate": own.pem, "private_key": own.key_pem, "server": OPERATOR.pem}
    modem = (await world.device(name))["modem"]
    about: dict[str, Any] = {"endpoint": name, "connect": f"coaps://{SERVER}", "pipe": "{}:{}".format(*modem)}
    about |= {"certificate": {key: pem.decode() for key, pem in shown.items()}, "omit": list(omit)}
    await world.devices.post("/devices", {**about, "lifetime": 600, "largest_record": FRAME})


@contextlib.asynccontextmanager
async def polled(world: LorawanSetUp, name: str) -> AsyncIterator[None]:
    """Have a device open its windows again and again while inside."""

    async def poll() -> None:
        while True:
            await world.act("poll", name)
            await asyncio.sleep(WINDOWS / world.rate)

    polling = asyncio.create_task(poll())
    try:
        yield
    finally:
        polling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await polling


async def dropped(world: LorawanSetUp, name: str) -> Sequence[str]:
    """Return why the modem of a device did not send something."""
    return [one["detail"] for one in await world.heard(name) if one["what"] == "dropped"]


async def test_a_device_whose_register_fits_is_managed(small: LorawanSetUp):
    name = "brief"
    await start(small, name, *SMALL)

    async def registered() -> bool:
        return bool((await small.devices.get(f"/devices/{name}"))["registered"])

    async with polled(small, name):
        await until(registered, 60, "it does not register", every=0.2)
        assert (await small.ask("read", "/3/0/14", name))["code"] == "2.05"
    assert not await dropped(small, name)  # each flight was sent once, so that the modem's queue held all of it
    sent = [one for one in await small.heard(name) if one["what"] == "sent" and one["payload"]]
    certificates = [one for one in sent if one["payload"].startswith("16") and one["payload"][26:28] == "0b"]
    assert len(certificates) == len({one["payload"][34:50] for one in certificates})
    assert (await small.devices.get(f"/devices/{name}"))["session_failures"] == []


async def test_a_device_whose_register_does_not_fit_says_so_and_names_the_cure(small: LorawanSetUp):
    await start(small, "wordy")

    async def said() -> Any:
        return (await small.devices.get("/devices/wordy"))["session_failures"]

    async with polled(small, "wordy"):
        (why,) = await until(said, 60, "it says nothing", every=0.2)
    assert f"more than the {FRAME} of --largest-record" in why
    assert "--omit root --omit ver" in why
    assert all(f"DR3 carries {FRAME}" in one for one in await dropped(small, "wordy"))
