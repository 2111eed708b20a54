"""What the emulated SCEF says of a client: once for each kind, with an example, and nothing of a good client."""

import pytest
from scef_kit import UE
from test_scef_nidd_http import walk

from mock_network.scef.findings import ABOUT
from tests.waiting import until


async def found(scs_as):
    return {one["kind"]: one for one in (await scs_as.control("GET", "/findings"))[1]}


async def test_a_client_that_does_everything_well_hears_nothing(start):
    scs_as = await start(ue={"t3412": 3600})
    await walk(scs_as)
    assert await found(scs_as) == {}


async def test_a_member_that_is_spelt_wrongly_is_told_and_otherwise_ignored(start):
    scs_as = await start()
    location, _ = await scs_as.configure(maximumlatency=5)
    await scs_as.post(location, maximumlatency=5)
    (told,) = (await found(scs_as)).values()
    assert (told["kind"], told["count"]) == ("unknown-member", 2)
    assert told["example"] == "POST NiddDownlinkDataTransfer: maximumlatency"
    assert told["about"] == ABOUT["unknown-member"]


async def test_a_cancellation_without_its_feature_works_and_is_told(start):
    scs_as = await start()
    location, _ = await scs_as.configure()
    await scs_as.control("POST", f"/ues/{UE}/sleep")
    _, kept, _ = await scs_as.post(location)
    assert (await scs_as.ask("DELETE", kept["self"]))[0] == 204
    assert set(await found(scs_as)) == {"feature-not-negotiated"}


@pytest.mark.parametrize("ue", [{"t3412": 3600, "buffering": False}, {"downlink_rate": 1}])
async def test_who_comes_again_before_the_time_that_was_named_is_told(start, ue):
    scs_as = await start(ue=ue)
    location, _ = await scs_as.configure()
    await scs_as.post(location, b"1")
    if "t3412" in ue:
        await scs_as.control("POST", f"/ues/{UE}/sleep")
    for _ in range(3):
        assert (await scs_as.post(location, b"2"))[0] in {429, 500}
    told = (await found(scs_as))["asked-too-early"]
    assert told["count"] == 2
    assert "s too early" in told["example"]


async def test_the_same_data_again_while_it_is_pending_is_told(start):
    scs_as = await start()
    location, _ = await scs_as.configure()
    await scs_as.control("POST", f"/ues/{UE}/sleep")
    for data in (b"a", b"b", b"a"):
        await scs_as.post(location, data)
    assert (await found(scs_as))["same-data-pending"]["count"] == 1


async def test_a_second_configuration_is_told(start):
    scs_as = await start()
    await scs_as.configure()
    await scs_as.configure()
    assert (await found(scs_as))["second-configuration"]["example"] == UE


async def test_answers_to_notifications_that_are_not_listed_or_slow_are_told(start):
    scs_as = await start(profile_changes={"notify_attempts": 1})
    scs_as.answers = [202]
    await scs_as.configure()
    await scs_as.control("POST", f"/ues/{UE}/uplink", {"data": "01"})
    await until(lambda: scs_as.service.findings.found)
    assert (await found(scs_as))["notification-answer"]["example"] == "uplink: 202"


async def test_a_token_that_is_asked_for_while_the_last_one_is_young_is_told(start):
    scs_as = await start(token="secret-1")
    form = {"grant_type": "client_credentials", "client_id": "scs-as", "client_secret": "secret-1"}
    for count in (0, 1):
        async with scs_as.session.post(scs_as.api("oauth2/token"), data=form) as response:
            assert response.status == 200
        assert len(await found(scs_as)) == count
