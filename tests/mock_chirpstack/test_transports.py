"""Events and commands over a real broker, real HTTP and the gRPC stream; gateways over MQTT. Real time, loopback."""

import asyncio
import contextlib
import json
import logging
import uuid

import aiohttp
import pytest
from aiohttp import web
from chirpstack_api import api, gw, integration
from google.protobuf.json_format import MessageToJson, Parse
from mock_chirpstack_kit import DEV_EUI, GATEWAYS, Node, listening, provision

from mock_network.chirpstack.model import Settings
from mock_network.chirpstack.mqtt import BrokerAddress
from mock_network.faults import Fault
from tests.waiting import until

QUICK = Settings(deduplication_delay=0.02, get_downlink_data_delay=0.02, reorder_within=0.0)


def server_tenant(server):
    (tenant_id,) = server.driver.server.context.tables.tenants.rows
    return str(tenant_id)


def uplink(phy_payload, gateway_id=GATEWAYS[0]):
    lora = gw.LoraModulationInfo(bandwidth=125_000, spreading_factor=7, code_rate=gw.CR_4_5)
    return gw.UplinkFrame(
        phy_payload=phy_payload,
        tx_info=gw.UplinkTxInfo(frequency=868_100_000, modulation=gw.Modulation(lora=lora)),
        rx_info=gw.UplinkRxInfo(gateway_id=gateway_id, uplink_id=1, rssi=-50, snr=5, context=b"c"),
    )


@pytest.mark.parametrize("as_json", [True, False])
async def test_a_gateway_on_the_broker_joins_a_device_in_its_own_encoding(broker, serve, as_json):
    address = BrokerAddress.parse(broker.address)
    server, stubs = await serve(gateway_mqtt=address, mqtt=address, settings=QUICK, mqtt_json=as_json)
    await provision(stubs)
    node = Node()

    def encode(message):
        return MessageToJson(message).encode() if as_json else message.SerializeToString()

    async with listening(broker.address, "#") as client:

        def heard(suffix):
            return [payload for topic, payload in client.messages if topic.endswith(suffix)]

        topic = f"eu868/gateway/{GATEWAYS[0]}"
        registered = api.Gateway(gateway_id=GATEWAYS[0], name="g", tenant_id=server_tenant(server))
        await stubs.gateway.Create(api.CreateGatewayRequest(gateway=registered), metadata=stubs.auth)
        client.client.publish(f"{topic}/event/stats", encode(gw.GatewayStats(gateway_id=GATEWAYS[0])), qos=1)
        gateway = server.driver.server.context.tables.gateways.get(GATEWAYS[0])
        await until(lambda: gateway.last_seen_at)
        client.client.publish(f"{topic}/event/up", encode(uplink(node.join_request())), qos=1)
        (command,) = await until(lambda: heard("/command/down"))
        frame = Parse(command, gw.DownlinkFrame()) if as_json else gw.DownlinkFrame.FromString(command)
        node.joined(frame.items[0].phy_payload)
        await until(lambda: heard("/event/join"))

        await stubs.device.Enqueue(
            api.EnqueueDeviceQueueItemRequest(queue_item=api.DeviceQueueItem(dev_eui=DEV_EUI, f_port=5, data=b"hi")),
            metadata=stubs.auth,
        )
        client.messages.clear()
        client.client.publish(f"{topic}/event/up", encode(uplink(node.up(b"x", 10))), qos=1)
        (command,) = await until(lambda: heard("/command/down"))
        frame = Parse(command, gw.DownlinkFrame()) if as_json else gw.DownlinkFrame.FromString(command)
        assert node.down(frame.items[0].phy_payload).frm_payload == b"hi"
        ack = gw.DownlinkTxAck(
            gateway_id=frame.gateway_id, downlink_id=frame.downlink_id, items=[gw.DownlinkTxAckItem(status=gw.OK)]
        )
        client.client.publish(f"{topic}/event/ack", encode(ack), qos=1)
        (payload,) = await until(lambda: heard("/event/txack"))
        event = Parse(payload, integration.TxAckEvent()) if as_json else integration.TxAckEvent.FromString(payload)
        assert event.f_cnt_down == 0
        (payload,) = heard(f"{DEV_EUI}/event/up")
        event = Parse(payload, integration.UplinkEvent()) if as_json else integration.UplinkEvent.FromString(payload)
        assert event.data == b"x"
        assert server.driver.server.context.counters["event_up"] == 1


async def test_a_command_on_the_broker_is_queued_under_the_callers_id(broker, serve, caplog):
    server, stubs = await serve(mqtt=BrokerAddress.parse(broker.address), settings=QUICK)
    device = await provision(stubs)
    tables = server.driver.server.context.tables
    topic = f"application/{device.application_id}/device/{DEV_EUI}/command/down"
    own = str(uuid.uuid4())
    async with listening(broker.address, "nothing") as client:
        with caplog.at_level(logging.WARNING):
            client.client.publish(topic, b"{not json", qos=1)
            client.client.publish(topic, json.dumps({"devEui": "0" * 16, "fPort": 1, "data": ""}), qos=1)
            client.client.publish(topic, json.dumps({"devEui": DEV_EUI, "fPort": 0, "data": "eA=="}), qos=1)
            body = {"id": own, "devEui": DEV_EUI, "fPort": 7, "confirmed": True, "data": "eA=="}
            client.client.publish(topic, json.dumps(body | {"expiresAt": "2030-01-01T00:00:00Z"}), qos=1)
            (item,) = await until(lambda: list(tables.queue.values()))
    assert (str(item.id), item.f_port, item.confirmed, item.data) == (own, 7, True, b"x")
    assert item.expires_at == 1_893_456_000
    assert len([record for record in caplog.records if "ignored" in record.message]) == 2
    assert server.driver.server.context.counters["command_refused"] == 1


class Endpoint:
    """An HTTP endpoint that keeps what is posted and answers with `status`."""

    def __init__(self, status=200):
        self.status, self.posts = status, []

    async def handle(self, request):
        self.posts.append((request.query["event"], dict(request.headers), await request.read()))
        return web.Response(status=self.status)

    @contextlib.asynccontextmanager
    async def running(self):
        app = web.Application()
        app.router.add_post("/hook", self.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        finally:
            await runner.cleanup()


async def joined(server, stubs):
    """Join a device whose gateway needs no broker: frames go straight into the driver."""
    node = Node()
    server.driver.uplink(uplink(node.join_request()))
    context = server.driver.server.context
    (flight,) = await until(lambda: list(context.flights.values()))
    node.joined(flight.frame.items[0].phy_payload)
    return node


async def test_http_endpoints_get_one_post_each_even_when_the_first_refuses(serve):
    server, stubs = await serve(settings=QUICK)
    device = await provision(stubs)
    bad, good = Endpoint(500), Endpoint()
    async with bad.running() as first, good.running() as second:
        wanted = api.HttpIntegration(
            application_id=device.application_id,
            event_endpoint_url=f"{first},http://127.0.0.1:1/gone, {second}",
            headers={"X-Key": "k"},
        )
        request = api.CreateHttpIntegrationRequest(integration=wanted)
        await stubs.application.CreateHttpIntegration(request, metadata=stubs.auth)
        node = await joined(server, stubs)
        server.driver.uplink(uplink(node.up(b"x", 10)))
        await until(lambda: len(good.posts) == 2)
        assert len(bad.posts) == 2
        async with aiohttp.ClientSession(server.control_address) as session:
            posts = await (await session.get("/posts", params={"dev_eui": DEV_EUI})).json()
            history = await (await session.get(f"/history/{DEV_EUI}")).json()
    assert sorted((post["kind"], post["status"]) for post in posts) == [
        ("join", 0), ("join", 200), ("join", 500), ("up", 0), ("up", 200), ("up", 500)
    ]  # fmt: skip
    assert {(post["f_port"], post["data"]) for post in posts if post["kind"] == "up"} == {(10, b"x".hex())}
    assert [(one["kind"], one["event"].get("data")) for one in history] == [("join", None), ("up", "eA==")]
    kinds = [kind for kind, _, _ in good.posts]
    assert sorted(kinds) == ["join", "up"]
    _, headers, body = good.posts[kinds.index("up")]
    assert (headers["X-Key"], headers["Content-Type"]) == ("k", "application/json")
    assert json.loads(body)["data"] == "eA=="


async def test_an_event_may_be_lost_on_http_and_is_found_in_the_stream(serve):
    server, stubs = await serve(settings=QUICK)
    device = await provision(stubs)
    endpoint = Endpoint()
    async with endpoint.running() as url:
        wanted = api.HttpIntegration(
            application_id=device.application_id, event_endpoint_url=url, encoding=api.PROTOBUF
        )
        request = api.CreateHttpIntegrationRequest(integration=wanted)
        await stubs.application.CreateHttpIntegration(request, metadata=stubs.auth)
        faults = server.driver.server.context.faults
        faults.add(Fault("event_lost", count=1, where={"via": "http", "event": "up"}))
        faults.add(Fault("event_twice", count=1, where={"event": "up"}))
        node = await joined(server, stubs)
        for data in (b"lost", b"twice"):
            server.driver.uplink(uplink(node.up(data, 10)))
            await asyncio.sleep(0.1)
        await until(lambda: len(endpoint.posts) == 3)
    ups = [integration.UplinkEvent.FromString(body).data for kind, _, body in endpoint.posts if kind == "up"]
    assert ups == [b"twice", b"twice"]
    call = stubs.internal.StreamDeviceEvents(api.StreamDeviceEventsRequest(dev_eui=DEV_EUI), metadata=stubs.auth)
    items = [await call.read() for _ in range(3)]
    call.cancel()
    assert [item.description for item in items] == ["join", "up", "up"]
    assert [Parse(item.body, integration.UplinkEvent()).data for item in items[1:]] == [b"lost", b"twice"]


async def test_the_control_api_shows_state_and_air_and_sets_faults(serve):
    server, stubs = await serve(settings=QUICK)
    await provision(stubs)
    node = await joined(server, stubs)
    async with aiohttp.ClientSession(server.control_address) as session:
        refused = await session.post("/faults", json={"kind": "no such"})
        assert refused.status == 400
        assert (await session.post("/faults", data=b"[")).status == 400
        assert (await session.post("/faults", json={"kind": "tx_ack_lost", "count": 1})).status == 201
        assert len((await (await session.get("/faults")).json())["armed"]) == 1
        await stubs.device.Enqueue(
            api.EnqueueDeviceQueueItemRequest(queue_item=api.DeviceQueueItem(dev_eui=DEV_EUI, f_port=5, data=b"hi")),
            metadata=stubs.auth,
        )
        server.driver.uplink(uplink(node.up(b"x", 10)))
        await until(lambda: len(server.driver.server.context.air) == 2)
        air = await (await session.get("/air", params={"dev_eui": DEV_EUI})).json()
        assert [entry["kind"] for entry in air] == ["join accept", "data"]
        assert (air[1]["payload"], air[1]["status"]) == ("6869", "no tx ack")
        state = await (await session.get("/state")).json()
        assert [len(entry["queue"]) for entry in state["devices"]] == [1]
        assert (await (await session.post(f"/devices/{DEV_EUI}/flush")).json()) == {"flushed": 1}
        assert (await session.post(f"/radio/devices/{DEV_EUI}/rejoin")).status == 404
        assert (await session.delete("/faults")).status == 204
        assert (await session.post("/restart")).status == 204
        assert (await (await session.get("/faults")).json())["armed"] == []


async def test_a_broker_that_is_not_there_is_an_error_at_the_start(serve):
    with pytest.raises(OSError, match="refused"):
        await serve(mqtt=BrokerAddress("127.0.0.1", 1))
