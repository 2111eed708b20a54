"""Every operation of LwM2M 1.1 on a NIDD device: server, bridge, SCEF and device as processes on real sockets."""

import pytest

from mock_network.lab import ApiError
from tests.e2e.kit import SetUp
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.requirement("LightweightM2M-LPW-1", "LightweightM2M-LPW-4")
async def test_a_device_known_by_its_external_identifier_registers_updates_and_deregisters(world: SetUp):
    made = await world.add_device("life", endpoint={}, device={})
    assert made["settings"]["external_id"] == "life@iot"
    client = await world.registered("life")
    assert client["address"].startswith("127.")
    assert client["address"].split(":")[0] != "127.0.0.1"  # an address of its own
    updated = await world.act("life", "update", lifetime=True)
    assert (updated["outcome"], updated["code"]) == ("response", "2.04")
    assert len(await world.seen("updated", "life")) == 1
    gone = await world.act("life", "deregister")
    assert gone["code"] == "2.02"
    assert len(await world.seen("deregistered", "life")) == 1
    notified = await world.notifications("life")
    assert notified
    assert all(one["accepted"] for one in notified)
    assert len(await world.air("life", "downlink")) == 3  # one answer for each request
    created = [r for r in world.proxies["nidd"].records if r["way"] == "api" and r["status"] == 201]
    assert any(r["request"].get("externalId") == "life@iot" for r in created)


async def test_a_device_known_by_its_msisdn_registers_too(world: SetUp):
    made = await world.add_ue("msisdn", external_id=None, msisdn="491700000001")
    await world.add_endpoint(name="msisdn", network="nidd", address="491700000001")
    await world.configured("msisdn")
    await world.devices.post("/devices", {"endpoint": "msisdn", "connect": "coap://{}:{}".format(*made["modem"])})
    await world.registered("msisdn")
    assert (await world.ask("msisdn", "read", "/3/0/1"))["values"] == {"/3/0/1": "Emulated device"}


@pytest.mark.requirement("LightweightM2M-LPW-4")
async def test_read_write_execute_and_discover(world: SetUp):
    await world.add_device("operations", endpoint={}, device={})
    ask = world.ask
    single = await ask("operations", "read", "/3/0/0")
    assert (single["code"], single["values"]) == ("2.05", {"/3/0/0": "LwM2M Non-IP bridge"})
    for form in ("tlv", "senml_json", "senml_cbor"):
        whole = await ask("operations", "read", "/3303/0", accept=form)
        assert whole["values"]["/3303/0/5700"] == 20.0, form
        assert whole["values"]["/3303/0/5701"] == "Cel", form
    assert (await ask("operations", "write", "/3/0/14", value="+02:00"))["code"] == "2.04"
    assert (await ask("operations", "read", "/3/0/14"))["values"] == {"/3/0/14": "+02:00"}
    assert (await ask("operations", "execute", "/3303/0/5605"))["code"] == "2.04"
    links = (await ask("operations", "discover", "/3"))["links"]
    assert "/3/0/14" in links
    refused = await ask("operations", "read", "/3/0/4711")
    assert refused["code"] == "4.04"
    executed = await world.devices.get("/devices/operations/operations")
    names = [one["operation"] for one in executed]
    assert names == ["Read"] * 4 + ["Write", "Read", "Execute", "Discover", "Read"]


@pytest.mark.requirement("LightweightM2M-ENC-1", "LightweightM2M-ENC-3")
async def test_sensor_data_travel_in_compact_and_in_standard_formats(world: SetUp):
    await world.add_device("formats", endpoint={}, device={})
    read = {
        form: await world.ask("formats", "read", "/3303/0", accept=form) for form in ("senml_json", "senml_cbor", "tlv")
    }
    values = [answer["values"] for answer in read.values()]
    assert values[0] == values[1] == values[2]
    assert values[0]["/3303/0/5700"] == 20.0
    size = {form: len(answer["payload"]) for form, answer in read.items()}
    assert size["tlv"] < size["senml_cbor"] < size["senml_json"]
    on_air = [bytes.fromhex(one["data"]) for one in await world.air("formats", "uplink")]
    assert any(bytes.fromhex(read["senml_cbor"]["payload"]) in data for data in on_air)  # as the device encoded it


async def test_create_and_delete_an_instance(world: SetUp):
    await world.add_device("instances", endpoint={}, device={})
    made = await world.ask("instances", "create", "/3303", values={"/3303/1/5750": "cellar"})
    assert (made["code"], made["location"]) == ("2.01", "/3303/1")
    assert (await world.ask("instances", "read", "/3303/1/5750"))["values"] == {"/3303/1/5750": "cellar"}
    assert (await world.ask("instances", "delete", "/3303/1"))["code"] == "2.02"
    assert (await world.ask("instances", "read", "/3303/1/5750"))["code"] == "4.04"


@pytest.mark.requirement("LightweightM2 M-DSE-001")
async def test_composite_operations_reach_several_objects_with_one_message(world: SetUp):
    await world.add_device("composite", endpoint={}, device={})
    before = len(await world.air("composite", "downlink"))
    read = await world.ask("composite", "read_composite", paths=["/3/0/0", "/3303/0/5700"])
    assert read["values"] == {"/3/0/0": "LwM2M Non-IP bridge", "/3303/0/5700": 20.0}
    written = await world.ask("composite", "write_composite", values={"/3/0/14": "+03:00", "/3303/0/5750": "attic"})
    assert written["code"] == "2.04"
    assert len(await world.air("composite", "downlink")) == before + 2
    read = await world.ask("composite", "read_composite", paths=["/3/0/14", "/3303/0/5750"])
    assert read["values"] == {"/3/0/14": "+03:00", "/3303/0/5750": "attic"}


async def test_a_single_instance_of_a_multiple_resource_is_read(world: SetUp):
    await world.add_device("resource-instance", endpoint={}, device={})
    read = await world.ask("resource-instance", "read", "/3/0/7/0", accept="senml_cbor")
    assert (read["code"], read["values"]) == ("2.05", {"/3/0/7/0": 3600})


async def _values(world: SetUp, endpoint: str) -> list[float]:
    observed = await world.server().get("/observations")
    return [
        value
        for one in observed
        if one["endpoint"] == endpoint
        for notification in one["notifications"]
        for value in (notification["values"] or {}).values()
    ]


@pytest.mark.requirement("LightweightM2M-LPW-4")
async def test_an_observation_is_notified_in_order_and_ended_by_a_cancel(world: SetUp):
    await world.add_device("observed", endpoint={}, device={})
    first = await world.ask("observed", "observe", "/3303/0/5700")
    assert first["values"] == {"/3303/0/5700": 20.0}
    for value in (21.5, 22.5, 23.5):
        await world.set_value("observed", "/3303/0/5700", value)
        await until(lambda value=value: _arrived(world, "observed", value), why=f"{value} is not notified")
    assert await _values(world, "observed") == [21.5, 22.5, 23.5]
    assert (await world.ask("observed", "cancel", "/3303/0/5700"))["code"] == "2.05"
    assert (await world.devices.get("/devices/observed"))["observed"] == []


async def _arrived(world: SetUp, endpoint: str, value: float) -> bool:
    return value in await _values(world, endpoint)


async def test_an_observation_that_the_server_forgot_ends_with_a_reset_of_the_next_notification(world: SetUp):
    await world.add_device("forgotten", endpoint={}, device={})
    await world.ask("forgotten", "observe", "/3303/0/5700")
    await world.ask("forgotten", "forget", "/3303/0/5700")
    await world.set_value("forgotten", "/3303/0/5700", 30.5)  # the server resets it; R19: the device's next one is, too

    async def reset() -> bool:
        return bool(await world.seen("rst sent", "forgotten"))

    await until(reset, why="the server did not reset the notification")
    await world.set_value("forgotten", "/3303/0/5700", 31.5)

    async def ended() -> bool:
        return (await world.devices.get("/devices/forgotten"))["observed"] == []

    await until(ended, why="the device still observes")
    notified = [e for e in await world.seen("notification") if e["endpoint"] == "forgotten"]
    assert not notified


async def test_confirmable_notifications_are_acknowledged_to_the_device_and_forwarded_once(world: SetUp):
    await world.add_device("confirmable", endpoint={}, device={"confirmable_notifications": True})
    attributes = await world.ask("confirmable", "write_attributes", "/3303/0/5700", attributes={"pmin": 0})
    assert attributes["code"] == "2.04"
    await world.ask("confirmable", "observe", "/3303/0/5700")
    for value in (25.0, 26.0):
        before = len(await world.air("confirmable", "downlink"))
        await world.set_value("confirmable", "/3303/0/5700", value)
        await until(lambda value=value: _arrived(world, "confirmable", value))

        async def acknowledged(before: int = before) -> bool:
            return len(await world.air("confirmable", "downlink")) > before

        await until(acknowledged, why="no ACK reached the device")
        ack = bytes.fromhex((await world.air("confirmable", "downlink"))[-1]["data"])
        assert (ack[0], ack[1]) == (0x60, 0)  # an Empty ACK (RFC 7252 §4.2)
    assert await _values(world, "confirmable") == [25.0, 26.0]


@pytest.mark.requirement("LightweightM2 M-DSE-003", "LightweightM2 M-DSE-005")
async def test_send_reports_data_that_nobody_observes_and_is_answered(world: SetUp):
    await world.add_device("sender", endpoint={}, device={})
    answer = await world.act("sender", "send", paths=["/3303/0/5700", "/3/0/9"])
    assert (answer["outcome"], answer["code"]) == ("response", "2.04")
    sends = [one for one in await world.server().get("/sends") if one["endpoint"] == "sender"]
    assert [{r["path"]: r["value"] for r in one["records"]} for one in sends] == [{"/3303/0/5700": 20.0, "/3/0/9": 100}]
    quiet = await world.act("sender", "send", paths=["/3/0/10"], confirmable=False, format="senml_json")
    assert (quiet["outcome"], quiet["code"]) == ("response", "2.04")

    async def both() -> bool:
        return len([one for one in await world.server().get("/sends") if one["endpoint"] == "sender"]) == 2

    await until(both)


async def test_the_server_mutes_send_on_the_device(world: SetUp):
    await world.add_device("muted", endpoint={}, device={})
    assert (await world.ask("muted", "write", "/1/0/23", value=True))["code"] == "2.04"
    with pytest.raises(ApiError, match="muted"):
        await world.act("muted", "send", paths=["/3/0/9"])
    assert (await world.ask("muted", "write", "/1/0/23", value=False))["code"] == "2.04"
    assert (await world.act("muted", "send", paths=["/3/0/9"]))["code"] == "2.04"


async def test_large_writes_and_reads_go_block_wise_from_the_server_to_the_device(world: SetUp):
    await world.add_device("large", endpoint={}, device={})
    text = "".join(chr(97 + n % 26) for n in range(3000))
    before = len(await world.air("large", "downlink"))
    assert (await world.ask("large", "write", "/3303/0/5750", value=text))["code"] == "2.04"
    blocks = len(await world.air("large", "downlink")) - before
    assert blocks == 3  # 1024 bytes each
    read = await world.ask("large", "read", "/3303/0/5750")
    assert read["values"] == {"/3303/0/5750": text}
    sizes = [len(bytes.fromhex(one["data"])) for one in await world.air("large", "downlink")]
    assert max(sizes) <= 1358  # the UE's maximum packet size
    executed = await world.devices.get("/devices/large/operations")
    assert [one["operation"] for one in executed] == ["Write", "Read"]
