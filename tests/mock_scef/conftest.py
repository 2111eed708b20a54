"""A running SCEF and a SCS/AS that uses it."""

import dataclasses

import aiohttp
import pytest
from scef_emulation import Emulation
from scef_kit import UE, ScsAs

from mock_network.scef import PROFILES, Options, ScefService
from tests.conftest import need_openapi
from tests.t8.openapi import Official


@pytest.fixture
def net():
    """A core in virtual time, with a UE that can be reached and its NIDD configuration."""
    emulation = Emulation()
    emulation.ue()
    emulation.configure()
    return emulation


@pytest.fixture
async def start():
    """Return a function that starts a SCEF with one UE and returns its SCS/AS.

    What passes between them is as 3GPP's files have it, unless the test says `judged=False`.
    """
    running = []

    async def run(profile="strict-r17", ue=None, profile_changes=None, judged=True, **options):
        chosen = dataclasses.replace(PROFILES[profile], notify_interval=0.02, **(profile_changes or {}))
        settings = {"external_id": UE, "msisdn": "4915112345", "radio_latency": 0.01, "paging_latency": 0.0}
        ues = ({**settings, **(ue or {})}, *options.pop("ues", ()))
        service = ScefService(Options(profile=chosen, ues=ues, **options))
        session = aiohttp.ClientSession()
        running.append((service, session))
        await service.start()
        scs_as = ScsAs(service, session, judged=judged)
        await scs_as.listen()
        running[-1] = (service, session, scs_as)
        return scs_as

    yield run
    violations = []
    for service, session, *rest in running:
        for scs_as in rest:
            violations += scs_as.violations
            await scs_as.close()
        await session.close()
        await service.stop()
    assert violations == []


@pytest.fixture(scope="session")
def official():
    """3GPP's own files."""
    return Official(need_openapi())
