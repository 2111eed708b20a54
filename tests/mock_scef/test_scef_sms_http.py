"""SMS over T8: device triggers to a UE's application, SMS of a UE to the SCS/AS."""

import asyncio
import base64
import socket

import pytest
from scef_kit import UE

from tests.waiting import until


def trigger(scs_as, payload=b"wake", **members):
    return {
        "externalId": UE,
        "validityPeriod": 600,
        "priority": "NO_PRIORITY",
        "applicationPortId": 5683,
        "triggerPayload": base64.b64encode(payload).decode(),
        "notificationDestination": scs_as.destination,
        **members,
    }


async def created(scs_as, *arguments, **members):
    url = scs_as.api("3gpp-device-triggering/v1/as1/transactions")
    status, body, headers = await scs_as.ask("POST", url, trigger(scs_as, *arguments, **members))
    assert status == 201, body
    assert headers["Location"] == body["self"]
    return body


@pytest.fixture
def application():
    """The application on the UE, at the modem's port for SMS."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        yield client


async def receive(client):
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 2000), 5)


async def test_a_trigger_reaches_the_application_at_the_ports_for_sms_and_success_is_reported(start, application):
    scs_as = await start(ue={"sms_udp_port": 0}, mo_sms_url=None)
    application.connect(scs_as.service.ready()["sms"][UE])
    application.send(b"hello")
    await until(lambda: scs_as.service.core.air_log.counts["mo-sms"] == 1)
    body = await created(scs_as, b"wake up")
    assert body["deliveryResult"] == "TRIGGERED"
    assert await receive(application) == b"wake up"
    assert await scs_as.told() == {"transaction": body["self"], "result": "SUCCESS"}
    assert (await scs_as.ask("GET", body["self"]))[1]["deliveryResult"] == "SUCCESS"


async def test_an_sms_of_a_ue_is_posted_to_the_scs_as(start, application):
    scs_as = await start(ue={"sms_udp_port": 0, "sms_port": 5683})
    await scs_as.control("PATCH", "/settings", {"mo_sms_url": f"{scs_as.root}/mo-sms"})
    application.connect(scs_as.service.modems.address(UE, "sms"))
    application.send(b"\x44\x02")
    await until(lambda: scs_as.mo_sms)
    sms = base64.b64encode(b"\x44\x02").decode()
    assert scs_as.mo_sms == [{"supportedFeatures": "0", "sms": sms, "externalId": UE, "applicationPort": 5683}]


async def test_a_pending_trigger_can_be_read_replaced_and_recalled(start):
    scs_as = await start()
    await scs_as.control("POST", f"/ues/{UE}/sleep")
    body = await created(scs_as)
    collection = body["self"].rpartition("/")[0]
    assert (await scs_as.ask("GET", collection))[1] == [body]
    replaced = trigger(scs_as, b"other", priority="PRIORITY")
    assert (await scs_as.ask("PUT", body["self"], replaced))[0] == 204
    assert (await scs_as.ask("PATCH", body["self"], {"validityPeriod": 60}))[0] == 204
    now = (await scs_as.ask("GET", body["self"]))[1]
    assert (now["triggerPayload"], now["validityPeriod"]) == (replaced["triggerPayload"], 60)
    assert now["deliveryResult"] == "REPLACED"
    assert (await scs_as.ask("DELETE", body["self"]))[0] == 204
    assert (await scs_as.ask("GET", body["self"]))[0] == 404
    await scs_as.control("POST", f"/ues/{UE}/wake")
    assert await scs_as.air("sms") == []
    assert scs_as.notified == []


async def test_a_trigger_that_was_delivered_cannot_be_recalled(start):
    scs_as = await start()
    body = await created(scs_as)
    await scs_as.told()
    status, answer, _ = await scs_as.ask("DELETE", body["self"])
    assert (status, answer["cause"]) == (404, "ALREADY_DELIVERED")


@pytest.mark.parametrize(
    ("ue", "change", "status"),
    [
        ({"sms": False}, {}, 403),
        ({}, {"externalId": "nobody@example.com"}, 404),
        ({}, {"msisdn": "4915112345"}, 400),
        ({}, {"triggerPayload": base64.b64encode(bytes(134)).decode()}, 403),
        ({}, {"triggerPayload": "no base64"}, 400),
        ({}, {"validityPeriod": -1}, 400),
        ({}, {"applicationPortId": 65536}, 400),
        ({}, {"notificationDestination": "nowhere"}, 400),
        ({}, {"deliveryResult": "SUCCESS"}, 400),
    ],
)
async def test_a_trigger_that_is_wrong_is_refused(start, ue, change, status):
    scs_as = await start(ue=ue)
    url = scs_as.api("3gpp-device-triggering/v1/as1/transactions")
    assert (await scs_as.ask("POST", url, trigger(scs_as, **change)))[0] == status
    assert (await scs_as.ask("GET", url))[1] == []


async def test_a_ue_without_configuration_is_told_once_a_minute(start):
    scs_as = await start()
    await scs_as.control("PATCH", "/settings", {"nidd_trigger_url": f"{scs_as.root}/nidd-trigger"})
    for _ in range(3):
        await scs_as.control("POST", f"/ues/{UE}/uplink", {"data": "01"})
    await until(lambda: scs_as.nidd_triggers)
    told = scs_as.nidd_triggers[0]
    assert (told["gpsi"], told["afId"], told["nefId"]) == (f"extid-{UE}", "scs-as", "mock-nef")
    await until(lambda: scs_as.service.core.air_log.counts["uplink-discarded"] == 3)
    assert len(scs_as.nidd_triggers) == 1


async def test_the_delivery_report_may_come_before_the_201(start):
    scs_as = await start()
    await scs_as.fault("status_before_answer", where={"resource": "transactions"})
    body = await created(scs_as)
    assert scs_as.notified == [{"transaction": body["self"], "result": "SUCCESS"}]
    assert body["deliveryResult"] == "TRIGGERED"


async def test_an_sms_of_a_subscriber_that_nobody_knows(start):
    scs_as = await start()
    await scs_as.control("PATCH", "/settings", {"mo_sms_url": f"{scs_as.root}/mo-sms"})
    await scs_as.fault("notification_unknown_identity", where={"kind": "mo-sms", "ue": UE})
    await scs_as.control("POST", f"/ues/{UE}/sms", {"data": "01"})
    await until(lambda: scs_as.mo_sms)
    assert scs_as.mo_sms[0]["externalId"] == "nobody@unknown.example"
