"""3gpp-nidd over HTTP: a walk through the API, what is refused, credentials."""

import base64
import datetime as dt

import aiohttp
import pytest
from scef_kit import MERGE_PATCH, UE

from tests.waiting import until


def moment(text):
    return dt.datetime.fromisoformat(text)


async def walk(scs_as):
    """Use everything that the API has, with good and bad requests."""
    later = (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).isoformat()
    location, created = await scs_as.configure(
        supportedFeatures="FF", duration=later, rdsPorts=[{"portUE": 1, "portSCEF": 2}]
    )
    ask = scs_as.ask
    deliveries = f"{location}/downlink-data-deliveries"
    assert created["maximumPacketSize"] == 10_864
    assert created["supportedFeatures"] == "FE"
    assert (await ask("GET", scs_as.base))[1] == [created]
    assert (await ask("GET", location))[1] == created
    assert (await ask("PATCH", location, {"pdnEstablishmentOption": "INDICATE_ERROR"}, MERGE_PATCH))[0] == 204
    assert (await ask("GET", location))[1]["pdnEstablishmentOption"] == "INDICATE_ERROR"
    status, sent, _ = await scs_as.post(location, b"\x40\x01\x00\x01")
    assert (status, sent["deliveryStatus"]) == (200, "SUCCESS_NEXT_HOP_ACKNOWLEDGED")
    await scs_as.control("POST", f"/ues/{UE}/sleep")
    status, kept, headers = await scs_as.post(location, b"later", maximumLatency=600, priority=3)
    assert (status, kept["deliveryStatus"]) == (201, "BUFFERING_TEMPORARILY_NOT_REACHABLE")
    assert headers["Location"] == kept["self"]
    assert moment(kept["requestedRetransmissionTime"]) > dt.datetime.now(dt.UTC)
    assert (await ask("GET", deliveries))[1] == [kept]
    assert (await ask("GET", kept["self"]))[1] == kept
    assert (await ask("GET", location))[1]["niddDownlinkDataTransfers"][0]["data"] == kept["data"]
    replaced = {"externalId": UE, "data": base64.b64encode(b"other").decode()}
    assert (await ask("PUT", kept["self"], replaced))[0] == 204
    assert (await ask("PATCH", kept["self"], {"maximumLatency": 900}))[0] == 204
    assert (await ask("GET", kept["self"]))[1]["data"] == replaced["data"]
    assert (await ask("DELETE", kept["self"]))[0] == 204
    assert (await ask("DELETE", kept["self"]))[0] == 404
    assert (await ask("DELETE", sent["self"]))[0] == 409
    status, answer, _ = await scs_as.post(location, bytes(1359))
    assert (status, answer["cause"]) == (403, "DATA_TOO_LARGE")
    status, answer, _ = await scs_as.post(location, reliableDataService=True)
    assert (status, answer["problemDetail"]["cause"]) == (500, "RDS_DISABLED")
    status, answer, _ = await scs_as.post(location, maximumLatency=0)
    assert status == 500
    assert moment(answer["requestedRetransmissionTime"]) > dt.datetime.now(dt.UTC)
    await scs_as.control("POST", f"/ues/{UE}/pdn-release")
    assert (await scs_as.post(location))[0] == 500
    assert (await ask("DELETE", location))[0] == 204
    assert (await ask("GET", location))[0] == 404
    assert (await scs_as.post(location))[0] == 404


async def test_a_walk_through_the_api(start):
    scs_as = await start(ue={"t3412": 3600})
    await walk(scs_as)
    assert len(scs_as.seen) > 15


async def test_uplink_delivery_status_and_end_are_notified(start):
    scs_as = await start(ue={"t3412": 3600})
    location, _ = await scs_as.configure()
    await scs_as.control("POST", f"/ues/{UE}/sleep")
    await scs_as.post(location)
    await scs_as.control("POST", f"/ues/{UE}/uplink", {"data": "6045"})
    await until(lambda: len(scs_as.notified) == 2)
    await scs_as.control("PATCH", f"/ues/{UE}", {"authorised": False})
    await until(lambda: len(scs_as.notified) == 3)
    uplink, status, ended = sorted(scs_as.notified, key=lambda body: ("status" in body, "deliveryStatus" in body))
    assert (uplink["data"], uplink["niddConfiguration"]) == ("YEU=", location)
    assert status["niddDownlinkDataTransfer"].startswith(location)
    assert ended["status"] == "TERMINATED_UE_NOT_AUTHORIZED"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"externalId": None}, "/externalId"),
        ({"msisdn": "123"}, "/externalId"),
        ({"externalId": "no-domain"}, "/externalId"),
        ({"notificationDestination": None}, "/notificationDestination"),
        ({"notificationDestination": "/relative"}, "/notificationDestination"),
        ({"notificationDestination": 7}, "/notificationDestination"),
        ({"duration": "tomorrow"}, "/duration"),
        ({"duration": "2030-01-01T00:00:00"}, "/duration"),
        ({"maximumPacketSize": 100}, "/maximumPacketSize"),
        ({"supportedFeatures": "xyz"}, "/supportedFeatures"),
        ({"rdsPorts": []}, "/rdsPorts"),
        ({"rdsPorts": [{"portUE": 16, "portSCEF": 0}]}, "/rdsPorts/0/portUE"),
        ({"niddDownlinkDataTransfers": [{"externalId": UE}]}, "/niddDownlinkDataTransfers/0/data"),
    ],
)
async def test_a_bad_configuration_names_the_member(start, change, param):
    scs_as = await start()
    body = {"externalId": UE, "notificationDestination": scs_as.destination, **change}
    body = {name: value for name, value in body.items() if value is not None}
    status, answer, _ = await scs_as.ask("POST", scs_as.base, body)
    assert status == 400
    assert answer["invalidParams"][0]["param"] == param


async def test_bad_requests_are_answered_with_problem_details(start):
    scs_as = await start()
    location, _ = await scs_as.configure()
    url = f"{location}/downlink-data-deliveries"
    for body, param in (
        ({"externalId": UE, "data": "no base64!"}, "/data"),
        ({"externalId": UE}, "/data"),
        ({"data": "AA=="}, "/externalId"),
        ({"externalId": UE, "data": "AA==", "maximumLatency": -1}, "/maximumLatency"),
        ({"externalId": UE, "data": "AA==", "priority": True}, "/priority"),
        ([], "/"),
    ):
        status, answer, _ = await scs_as.ask("POST", url, body)
        assert (status, answer["invalidParams"][0]["param"]) == (400, param)
    assert (await scs_as.ask("POST", url, {}, "text/plain"))[0] == 415
    assert (await scs_as.ask("PATCH", location, {}, "application/json"))[0] == 415
    assert (await scs_as.ask("PUT", location, {}))[0] == 405
    assert (await scs_as.ask("GET", f"{location}/rds-ports"))[0] == 403
    assert (await scs_as.post(location, bytes(100_000)))[0] == 413
    assert (await scs_as.post(location, externalId="other@example.com"))[0] == 403
    assert (await scs_as.ask("POST", scs_as.base, {"externalId": "x@y", "notificationDestination": "http://a"}))[
        0
    ] == 404
    statuses = {status for _, _, status in scs_as.seen}
    assert {400, 403, 404, 405, 413, 415} <= statuses


async def test_one_scs_as_does_not_see_the_configurations_of_another(start):
    scs_as = await start()
    location, _ = await scs_as.configure()
    other = location.replace("/as1/", "/as2/")
    assert (await scs_as.ask("GET", other))[0] == 404
    assert (await scs_as.ask("GET", scs_as.base.replace("/as1/", "/as2/")))[1] == []
    assert (await scs_as.post(other))[0] == 404


async def test_credentials_are_wanted_and_each_kind_of_them_works(start):
    scs_as = await start(token="secret-1", token_lifetime=1000.0)
    for header in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": "Basic ?"},
    ):
        scs_as.headers = header
        status, _, headers = await scs_as.ask("GET", scs_as.base)
        assert status == 401
        assert headers["WWW-Authenticate"] == "Bearer"
    scs_as.headers = (
        {"Authorization": aiohttp.encode_basic_auth("scs-as", "secret-1")}
        if hasattr(aiohttp, "encode_basic_auth")
        else {"Authorization": "Basic " + base64.b64encode(b"scs-as:secret-1").decode()}
    )
    assert (await scs_as.ask("GET", scs_as.base))[0] == 200
    url = scs_as.service.ready()["token_url"]
    form = {"grant_type": "client_credentials", "client_id": "scs-as", "client_secret": "secret-1"}
    async with scs_as.session.post(url, data={**form, "client_secret": "wrong"}) as response:
        assert response.status == 401
    async with scs_as.session.post(url, data={**form, "grant_type": "password"}) as response:
        assert response.status == 400
    async with scs_as.session.post(url, data=form) as response:
        token = await response.json()
    assert token["expires_in"] == 1000
    scs_as.headers = {"Authorization": f"Bearer {token['access_token']}"}
    assert (await scs_as.ask("GET", scs_as.base))[0] == 200
    assert (await scs_as.control("POST", "/tokens/revoke"))[1] == {"revoked": 1}
    assert (await scs_as.ask("GET", scs_as.base))[0] == 401
