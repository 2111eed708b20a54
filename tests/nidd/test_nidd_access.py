"""Access as an operator wants it, against an emulated SCEF of its own process: TLS and credentials both ways."""

import asyncio
import re
from contextlib import asynccontextmanager

import pytest

from bindings.contract import Accepted, Kind, Refusal, Submission, UplinkMessage
from bindings.nidd import NiddBinding, NiddSettings
from bindings.nidd.settings import Configurations
from bindings.t8.settings import Callbacks, Credentials, Http
from mock_network.scef.testing import EmulatedScef
from tests.bindings.bridge_side import BridgeSide, DictMemory
from tests.waiting import until

UE = "meter-1@iot.example"


@asynccontextmanager
async def binding_at(scef, **parts):
    side = BridgeSide()
    parts = {"callbacks": Callbacks(port=0), "configurations": Configurations(retry_min=0.5), **parts}
    binding = NiddBinding("n", NiddSettings(api_root=scef.url, scs_as_id="as1", **parts))
    await binding.start(side, DictMemory())
    try:
        await binding.provision(UE, {})
        yield binding, side
    finally:
        await binding.stop()


async def submit(binding, number, data=b"x"):
    return await binding.submit(Submission(number, 1, UE, data, Kind.REQUEST))


def quick(scef):
    scef.ue(UE).set(radio_latency=0.01, paging_latency=0.0, t3324=3600.0)


def active(binding):
    return binding.status()["configurations"]["active"] == 1


async def test_mutual_tls_both_ways_with_oauth2_and_callback_credentials(certificate):
    arguments = ("--certificate", certificate, "--client-ca", certificate, "--credentials", "oauth2")
    callbacks = ("--callback-ca", certificate, "--callback-certificate", certificate)
    shown = ("--callback-authorization", "Bearer of the SCEF", "--token-lifetime", "60")
    with EmulatedScef(*arguments, *callbacks, *shown, ues=[UE]) as scef:
        quick(scef)
        assert scef.url.startswith("https://")
        credentials = Credentials(
            kind="oauth2", token_url=f"{scef.url}/oauth2/token", client_id="scs-as", client_secret=scef.token
        )
        listener = Callbacks(port=0, certificate=certificate, client_ca=certificate, kind="bearer", token="of the SCEF")
        http = Http(ca_bundle=certificate, client_certificate=certificate)
        async with binding_at(scef, credentials=credentials, http=http, callbacks=listener) as (binding, side):
            await until(lambda: active(binding))
            assert isinstance(await submit(binding, 1), Accepted)
            await asyncio.to_thread(scef.ue(UE).send, b"up")
            await until(lambda: [one.payload for one in side.of(UplinkMessage)] == [b"up"])


@pytest.mark.parametrize(
    ("http", "reason"),
    [({}, "certificate verify failed"), ({"trusting": True}, "certificate required|no answer|closed|reset|alert")],
)
async def test_a_certificate_that_is_missing_is_said_and_nothing_was_taken(certificate, http, reason):
    """Which side misses it is told by the reason; a downlink is certainly not out, and waits for the operator."""
    with EmulatedScef("--certificate", certificate, "--client-ca", certificate, ues=[UE]) as scef:
        trust = Http(ca_bundle=certificate) if http else Http()
        async with binding_at(scef, credentials=Credentials(kind="bearer", token=scef.token), http=trust) as (one, _):
            await until(lambda: one.status()["client"]["last_error"])
            assert re.search(reason, one.status()["client"]["last_error"])
            result = await submit(one, 1)
            assert result.why in {Refusal.NETWORK_UNAVAILABLE, Refusal.UNREACHABLE}


async def test_tokens_that_end_in_mid_stream_cost_nothing():
    ues = [f"meter-{number}@iot.example" for number in range(10)]
    with EmulatedScef("--credentials", "oauth2", ues=ues) as scef:
        for one in ues:
            scef.ue(one).set(radio_latency=0.01, paging_latency=0.0, t3324=3600.0)
        credentials = Credentials(
            kind="oauth2", token_url=f"{scef.url}/oauth2/token", client_id="scs-as", client_secret=scef.token
        )
        async with binding_at(scef, credentials=credentials) as (binding, _):
            for one in ues:
                await binding.provision(one, {})
            await until(lambda: binding.status()["configurations"]["active"] == 10)
            await asyncio.to_thread(scef.fault, "tokens_revoked", count=1, after=3)
            calls = [
                binding.submit(Submission(number * 10 + place, 1, one, b"%d" % number, Kind.REQUEST))
                for number in range(3)
                for place, one in enumerate(ues)
            ]
            assert all(isinstance(one, Accepted) for one in await asyncio.gather(*calls))
            for one in ues:
                received = await asyncio.to_thread(scef.ue(one).received, wait=5)
                assert sorted(received) == [b"0", b"1", b"2"]
            happened = await asyncio.to_thread(scef.ask, "GET", "/faults")
            assert happened["happened"] == {"tokens_revoked": 1}
