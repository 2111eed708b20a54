"""The emulated SCEF over real sockets."""

import asyncio
import base64
import datetime as dt
import json
import socket
import subprocess
import sys

import aiohttp
import pytest

from mock_network.clock import ClockControl, ClockThread
from mock_network.scef import PROFILES
from tests.waiting import until

UE = "meter-1@example.com"
MERGE = "application/merge-patch+json"


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
    assert (await ask("PATCH", location, {"pdnEstablishmentOption": "INDICATE_ERROR"}, MERGE))[0] == 204
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


# Notifications


async def test_a_refused_notification_is_sent_again_until_it_is_taken(start):
    scs_as = await start()
    scs_as.answers = [503, 500, 204]
    await scs_as.configure()
    await scs_as.control("POST", f"/ues/{UE}/uplink", {"data": "01"})
    await scs_as.control("POST", f"/ues/{UE}/uplink", {"data": "02"})
    await until(lambda: len(scs_as.notified) == 4)
    assert [body["data"] for body in scs_as.notified] == ["AQ==", "AQ==", "AQ==", "Ag=="]
    await until(lambda: len(scs_as.service.notifier.records) == 4)
    _, records = await scs_as.control("GET", "/notifications")
    assert [(r["attempt"], r["status"], r["accepted"]) for r in records] == [
        (1, 503, False),
        (2, 500, False),
        (3, 204, True),
        (1, 204, True),
    ]
    _, air = await scs_as.control("GET", "/air-log?what=uplink")
    assert [str(line["number"]) for line in air] == [records[0]["subject"], records[3]["subject"]]


async def test_a_notification_refused_for_good_is_given_up_and_may_release_the_connection(start):
    scs_as = await start(profile_changes={"refused_uplink_releases_pdn": True})
    scs_as.answers = [404]
    await scs_as.configure()
    await scs_as.control("POST", f"/ues/{UE}/uplink", {"data": "01"})
    ue = scs_as.service.core.subscribers.find(UE)
    await until(lambda: ue.state.value == "attached, no PDN connection")
    assert scs_as.service.notifier.counts["uplink given up"] == 1


async def test_nobody_at_the_destination_is_recorded_and_harms_nothing(start):
    scs_as = await start()
    await scs_as.configure(notificationDestination="http://127.0.0.1:9/notify")
    await scs_as.control("POST", f"/ues/{UE}/uplink", {"data": "01"})
    await until(lambda: scs_as.service.notifier.counts["uplink given up"] == 1)
    assert all("error" in record for record in scs_as.service.notifier.records)
    assert (await scs_as.ask("GET", scs_as.base))[0] == 200


async def test_the_test_notification_comes_when_it_is_asked_for(start):
    scs_as = await start()
    location, _ = await scs_as.configure(requestTestNotification=True)
    await until(lambda: scs_as.notified)
    assert scs_as.notified == [{"subscription": location}]


# Profiles


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
    assert (await scs_as.ask("PATCH", location, {"reliableDataService": False}, MERGE))[0] == 200
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


# Faults


async def test_a_connection_cut_after_the_post_leaves_the_downlink_on_its_way(start):
    scs_as = await start()
    location, _ = await scs_as.configure()
    await scs_as.control("POST", "/faults", {"kind": "cut_after_processing", "count": 1, "where": {"method": "POST"}})
    with pytest.raises(aiohttp.ClientError):
        await scs_as.post(location, b"once")
    _, air = await scs_as.control("GET", "/air-log?what=downlink")
    assert [line["data"] for line in air] == [b"once".hex()]
    _, requests = await scs_as.control("GET", "/requests")
    assert requests[-1]["cut"] is True
    assert (await scs_as.post(location))[0] == 200


async def test_a_connection_cut_before_the_post_leaves_nothing(start):
    scs_as = await start()
    location, _ = await scs_as.configure()
    await scs_as.control("POST", "/faults", {"kind": "cut_before_processing", "count": 1})
    with pytest.raises(aiohttp.ClientError):
        await scs_as.post(location)
    assert (await scs_as.control("GET", "/air-log?what=downlink"))[1] == []


@pytest.mark.parametrize(
    ("status", "params"), [(503, {}), (401, {}), (429, {"retry_after": 7}), (500, {"processed": True})]
)
async def test_a_burst_of_errors_has_its_length(start, status, params):
    scs_as = await start(judged=False)
    location, _ = await scs_as.configure()
    fault = {
        "kind": "http_error",
        "count": 2,
        "params": {"status": status, **params},
        "where": {"resource": "deliveries"},
    }
    await scs_as.control("POST", "/faults", fault)
    assert (await scs_as.ask("GET", location))[0] == 200
    for _ in range(2):
        answer, _, headers = await scs_as.post(location)
        assert answer == status
        assert headers.get("Retry-After") == ("7" if status == 429 else None)
    assert (await scs_as.post(location))[0] == 200
    assert len(scs_as.service.core.air_log.lines)
    assert scs_as.service.core.air_log.counts["downlink"] == (3 if status == 500 else 1)


async def test_the_status_comes_before_the_201(start):
    scs_as = await start()
    location, _ = await scs_as.configure()
    await scs_as.control("POST", "/faults", {"kind": "status_before_answer", "count": 1})
    status, body, _ = await scs_as.post(location)
    assert (status, body["deliveryStatus"]) == (201, "SENDING")
    assert scs_as.notified == [
        {"niddDownlinkDataTransfer": body["self"], "deliveryStatus": "SUCCESS_NEXT_HOP_ACKNOWLEDGED"}
    ]


async def test_notifications_twice_out_of_order_late_and_never(start):
    scs_as = await start()
    location, _ = await scs_as.configure()

    async def uplink(data):
        await scs_as.control("POST", f"/ues/{UE}/uplink", {"data": data})

    await scs_as.control("POST", "/faults", {"kind": "notification_duplicate", "count": 1})
    await uplink("00")
    await until(lambda: len(scs_as.notified) == 2)
    assert scs_as.notified[0] == scs_as.notified[1]
    await scs_as.control("POST", "/faults", {"kind": "notification_reorder", "count": 1, "params": {"seconds": 0.3}})
    await uplink("01")
    await uplink("02")
    await until(lambda: len(scs_as.notified) == 4)
    assert [body["data"] for body in scs_as.notified[2:]] == ["Ag==", "AQ=="]
    await scs_as.control("POST", "/faults", {"kind": "notification_slow", "count": 1, "params": {"seconds": 0.2}})
    await uplink("03")
    await until(lambda: len(scs_as.notified) == 5)
    await scs_as.control("POST", "/faults", {"kind": "final_status_lost", "count": 1})
    await scs_as.control("POST", f"/ues/{UE}/sleep")
    await scs_as.post(location)
    await scs_as.control("POST", f"/ues/{UE}/wake")
    counts = scs_as.service.core.air_log.counts
    await until(lambda: counts["downlink"] == 1)
    assert scs_as.service.notifier.records[-1]["lost"] == "by fault final_status_lost"
    _, faults = await scs_as.control("GET", "/faults")
    assert faults["armed"] == []
    assert faults["happened"]["notification_reorder"] == 1


async def test_a_slow_answer_is_slow(start):
    scs_as = await start()
    location, _ = await scs_as.configure()
    await scs_as.control("POST", "/faults", {"kind": "slow_answer", "count": 1, "params": {"seconds": 30}})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await scs_as.post(location)
    assert (await scs_as.post(location))[0] == 200


async def test_a_fault_that_is_unknown_or_ill_described_is_refused(start):
    scs_as = await start()
    for body in ({"kind": "earthquake"}, {}, {"kind": "http_error", "probability": 2}, {"kind": "http_error", "x": 1}):
        assert (await scs_as.control("POST", "/faults", body))[0] == 400
    assert (await scs_as.control("DELETE", "/faults/99"))[0] == 404


# Control


async def test_the_control_api_makes_changes_and_takes_away_ues(start):
    scs_as = await start()
    status, ue = await scs_as.control("POST", "/ues", {"msisdn": "491701", "name": "second", "t3324": 5})
    assert (status, ue["name"], ue["state"]) == (201, "second", "connected")
    assert ue["modem"][1] > 0
    assert (await scs_as.control("POST", "/ues", {"msisdn": "491701"}))[0] == 400
    assert (await scs_as.control("POST", "/ues", {"msisdn": "491702", "port": ue["modem"][1]}))[0] == 409
    assert (await scs_as.control("PATCH", "/ues/491701", {"t3324": 7}))[1]["settings"]["t3324"] == 7
    assert (await scs_as.control("PATCH", "/ues/second", {"t3324": "x"}))[0] == 400
    assert (await scs_as.control("PATCH", "/ues/second", {"msisdn": "1"}))[0] == 400
    assert (await scs_as.control("POST", "/ues/second/fly"))[0] == 404
    assert (await scs_as.control("POST", "/ues/second/detach"))[1]["state"] == "detached"
    assert [u["name"] for u in (await scs_as.control("GET", "/ues"))[1]] == [UE, "second"]
    assert (await scs_as.control("DELETE", "/ues/second"))[0] == 204
    assert (await scs_as.control("GET", "/ues/second"))[0] == 404
    assert (await scs_as.control("GET", "/statistics"))[1]["ues"] == 1
    _, lines = await scs_as.control("GET", f"/air-log?format=lines&ue={UE}")
    assert [json.loads(line)["ue"] for line in lines.splitlines()] == [UE] * len(lines.splitlines())


async def test_the_operator_ends_a_configuration(start):
    scs_as = await start()
    location, _ = await scs_as.configure()
    _, configurations = await scs_as.control("GET", "/configurations")
    assert (await scs_as.control("POST", f"/configurations/{configurations[0]['id']}/terminate"))[0] == 204
    await until(lambda: scs_as.notified)
    assert scs_as.notified == [{"niddConfiguration": location, "externalId": UE, "status": "TERMINATED"}]
    assert (await scs_as.ask("GET", location))[0] == 404


async def test_a_ue_that_is_removed_has_its_configurations_terminated(start):
    scs_as = await start()
    await scs_as.configure()
    await scs_as.control("DELETE", f"/ues/{UE}")
    await until(lambda: scs_as.notified)
    assert scs_as.notified[0]["status"] == "TERMINATED"


# Modem


async def test_datagrams_of_any_client_are_uplinks_and_downlinks_come_back_to_where_it_last_sent_from(start):
    scs_as = await start()
    location, _ = await scs_as.configure()
    assert (await scs_as.post(location, b"nobody yet"))[0] == 200
    assert scs_as.service.core.air_log.counts["no-application"] == 1
    loop = asyncio.get_running_loop()
    for payload in (b"one", b"two"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            await loop.sock_connect(client, scs_as.service.modems.address(UE))
            await loop.sock_sendall(client, payload)
            await until(
                lambda payload=payload: (
                    scs_as.notified and scs_as.notified[-1]["data"] == base64.b64encode(payload).decode()
                )
            )
            await scs_as.post(location, b"answer to " + payload)
            assert await asyncio.wait_for(loop.sock_recv(client, 2000), 5) == b"answer to " + payload


async def test_a_datagram_above_the_uplink_size_is_dropped_and_counted(start):
    scs_as = await start(ue={"uplink_packet_size": 80})
    await scs_as.configure()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(bytes(11), scs_as.service.modems.address(UE))
        client.sendto(bytes(10), scs_as.service.modems.address(UE))
    await until(lambda: scs_as.notified)
    assert base64.b64decode(scs_as.notified[0]["data"]) == bytes(10)
    assert scs_as.service.core.air_log.counts["uplink-dropped"] == 1


# Process


def test_the_process_follows_the_clock_and_prints_where_it_is(tmp_path):
    ues = tmp_path / "ues.toml"
    ues.write_text(f'[[ue]]\nexternal_id = "{UE}"\nt3324 = 10\nt3412 = 3600\n')
    with ClockThread(rate=0) as clock:
        child = subprocess.Popen(
            [sys.executable, "-m", "mock_network.scef", "--ues", str(ues), "--clock", clock.url, "--token", "t"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            ready = json.loads(child.stdout.readline())
            assert ready["ues"][UE][1] > 0
            control = ClockControl(clock.url)

            async def states():
                seen = []
                async with aiohttp.ClientSession() as session:
                    for step in (0, 25, 10, 3590):
                        await asyncio.to_thread(control.step, step)
                        async with session.get(f"{ready['control']}/ues/{UE}") as response:
                            seen.append((await response.json())["state"])
                    async with session.get(f"{ready['control']}/clock") as response:
                        assert (await response.json())["wall"] == pytest.approx(control.wall(), abs=1e-3)
                return seen

            assert asyncio.run(states()) == ["connected", "idle, listening", "power saving mode", "idle, listening"]
        finally:
            child.terminate()
            _, errors = child.communicate(timeout=10)
        assert child.returncode == 0, errors
        assert "TEST CLOCK" in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--control", "0.0.0.0:0"], "loopback"),
        (["--listen", "nowhere"], "ADDRESS:PORT"),
        (["--clock", "http://192.0.2.1:1"], "loopback"),
        (["--profile", "unheard-of"], "strict-r17"),
    ],
)
def test_wrong_options_are_refused(arguments, message):
    done = subprocess.run(
        [sys.executable, "-m", "mock_network.scef", *arguments], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.parametrize("text", ["[[ue]]\nname = 'x'\n", "x = 1\n", "[[ue", "[[ue]]\nmsisdn = '1'\ncolour = 'red'\n"])
def test_a_wrong_file_of_ues_is_refused(tmp_path, text):
    ues = tmp_path / "ues.toml"
    ues.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "mock_network.scef", "--ues", str(ues)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode != 0
    assert "Error" in done.stderr
    assert "Traceback" not in done.stderr
