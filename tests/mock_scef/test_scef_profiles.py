"""SCEFs of the field: how each profile differs."""

import datetime as dt

import pytest
from scef_kit import MERGE_PATCH, UE

from mock_network.scef import PROFILES
from mock_network.scef.core import Refusal, SettingsError
from mock_network.scef.own_profile import own_profile
from tests.waiting import until


def moment(text):
    return dt.datetime.fromisoformat(text)


async def test_relative_links_and_the_other_names(start):
    scs_as = await start("relative-links", judged=False)
    location, created = await scs_as.configure(supportedFeatures="FF")
    assert location == created["self"] == "/3gpp-nidd/v1/as1/configurations/1"
    assert "supportedFeatures" not in created
    url = scs_as.service.url + location
    status, body, _ = await scs_as.post(url)
    assert (status, body["status"]) == (200, "SUCCESS")
    assert "deliveryStatus" not in body
    await scs_as.control("POST", f"/ues/{UE}/sleep")
    _, body, headers = await scs_as.post(url)
    assert headers["Location"] == "/3gpp-nidd/v1/as1/configurations/1/downlink-data-deliveries/3"
    await scs_as.control("POST", f"/ues/{UE}/wake")
    await until(lambda: scs_as.notified)
    assert scs_as.notified == [{"niddDownlinkDataTransfer": body["self"], "status": "SUCCESS"}]


async def test_both_identities_and_an_escaped_padding(start):
    scs_as = await start("both-ids", judged=False)
    assert "/SCEF/3gpp-nidd/v1/" in scs_as.base
    await scs_as.configure()
    await scs_as.control("POST", f"/ues/{UE}/uplink", {"data": "01"})
    await until(lambda: scs_as.notified)
    assert (scs_as.notified[0]["externalId"], scs_as.notified[0]["msisdn"]) == (UE, "4915112345")
    assert scs_as.notified[0]["data"] == "AQ=="


async def test_rel_15_knows_no_patch_of_a_delivery_and_no_204_for_a_change(start):
    scs_as = await start("strict-r15")
    location, _ = await scs_as.configure()
    assert (await scs_as.ask("PATCH", location, {"reliableDataService": False}, MERGE_PATCH))[0] == 200
    await scs_as.control("POST", f"/ues/{UE}/sleep")
    _, kept, _ = await scs_as.post(location)
    assert (await scs_as.ask("PATCH", kept["self"], {"priority": 1}))[0] == 405
    assert (await scs_as.ask("PUT", kept["self"], {"externalId": UE, "data": "AA=="}))[0] == 200


async def test_a_small_apn_with_problem_details_for_everything(start):
    scs_as = await start("small-apn", judged=False)
    location, created = await scs_as.configure()
    assert created["maximumPacketSize"] == 800
    status, answer, _ = await scs_as.post(location, reliableDataService=True)
    assert (status, answer["status"]) == (500, 500)
    assert answer["detail"].startswith("SCEF-ERR-")
    body = {"externalId": UE, "notificationDestination": scs_as.destination}
    assert (await scs_as.ask("POST", scs_as.base, body))[0] == 409
    assert len((await scs_as.ask("GET", scs_as.base))[1]) == 1


async def test_no_buffer_says_when(start):
    scs_as = await start("no-buffer", ue={"t3412": 600})
    location, _ = await scs_as.configure()
    await scs_as.control("POST", f"/ues/{UE}/sleep")
    status, answer, _ = await scs_as.post(location)
    assert status == 500
    assert moment(answer["requestedRetransmissionTime"]) > dt.datetime.now(dt.UTC)


def test_every_profile_of_the_field_is_there():
    assert set(PROFILES) == {
        "strict-r17",
        "strict-r15",
        "relative-links",
        "both-ids",
        "small-apn",
        "no-buffer",
        "conflict",
        "no-cancel",
        "lossy",
    }


def test_a_profile_of_ones_own_changes_one_of_those_that_ship():
    table = {
        "base": "relative-links",
        "maximum_packet_size": 4096,
        "over_rate": "delay",
        "default_latency": "none",
        "refusals": {"QUEUE_FULL": [503, "CONGESTION"]},
    }
    profile = own_profile(table, "strict-r17")
    assert (profile.relative_links, profile.maximum_packet_size, profile.default_latency) == (True, 4096, None)
    assert profile.refusal(Refusal.QUEUE_FULL) == (503, "CONGESTION")
    assert profile.refusal(Refusal.ALREADY_SENT) == (404, "DELIVERY_NOT_FOUND")
    assert own_profile({}, "conflict").one_configuration


@pytest.mark.parametrize(
    "table",
    [
        {"base": "unheard-of"},
        {"colour": "red"},
        {"maximum_packet_size": "large"},
        {"over_rate": "ignore"},
        {"refusals": {"NO_SUCH": [500, ""]}},
        {"refusals": {"QUEUE_FULL": 500}},
        {"faults": []},
    ],
)
def test_a_wrong_profile_is_refused_by_name(table):
    with pytest.raises(SettingsError, match=f"profile: .*({'|'.join(table)}|no )"):
        own_profile(table, "strict-r17")
