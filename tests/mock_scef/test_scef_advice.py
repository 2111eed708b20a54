"""What an emulated SCEF prints to be pasted is accepted by it: T8 names a UE by its identity, not by its name."""

import json
import re

import pytest

from mock_network.scef.advice import advice
from mock_network.scef.options import Options

EXTERNAL = {"external_id": "m1@iot.example", "msisdn": None}
MSISDN = {"external_id": None, "msisdn": "491701234567"}


@pytest.mark.parametrize("ue", [{"name": "meter-1", **EXTERNAL}, EXTERNAL, {"name": "meter-1", **MSISDN}])
async def test_the_commands_that_it_prints_are_accepted(start, ue):
    scs_as = await start(ue=ue)
    text = advice(scs_as.service.ready(), Options(ues=(ue,)))
    configuration, downlink = (json.loads(body) for body in re.findall(r"\$T8\S* -d '(.*)'", text))
    status, answer, headers = await scs_as.ask("POST", scs_as.base, configuration)
    assert status == 201, answer
    status, answer, _ = await scs_as.ask("POST", f"{headers['Location']}/downlink-data-deliveries", downlink)
    assert status == 200, answer
    (name,) = set(re.findall(r"/ues/(\S+)/", text))
    status, _ = await scs_as.control("POST", f"/ues/{name}/sleep")
    assert status == 200
