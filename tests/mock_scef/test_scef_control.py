"""The control API, and what the modems do."""

import asyncio
import base64
import json
import socket

from scef_kit import UE

from tests.waiting import until


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
