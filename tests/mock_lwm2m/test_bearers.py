"""Ways out of a device: pipes, APNs, preferred transport, SMS triggers; alternate paths; when it listens."""

import asyncio

import pytest
from lwm2m_pair import pair, served, uri, virtual_time

from mock_network.device.device import Device
from mock_network.device.options import BearerOptions, DeviceOptions, ServerOptions
from mock_network.device.parameters import bearer_options, server_options
from mock_network.lwm2m.endpoint import CoapEndpoint
from mock_network.lwm2m.formats import ContentFormat
from mock_network.lwm2m.messages import GET, POST, NoAnswer, Request, Response, Tuning
from mock_network.lwm2m.values import ObjectLink, Record

EP = "urn:dev:os:test-1"


@pytest.mark.requirement("LightweightM2M-BsR-009")
@virtual_time
async def test_a_server_designates_the_apn_over_which_it_is_reached():
    bearers = (BearerOptions(apn="iot.example"), BearerOptions(apn="firmware.example"))
    async with pair(more_bearers=bearers) as (device, server):
        first, _, firmware = (bearer.address for bearer in device.bearers.all)
        assert server.client(EP).address == first
        names = await server.read(EP, "/11", accept=ContentFormat.SENML_CBOR)
        assert Record((11, 1, 1), "firmware.example") in names.records
        assert (await server.write(EP, "/1/0/10", ObjectLink(11, 1))).code == "2.04"
        await device.update()
        assert server.client(EP).address == firmware
        assert (await server.read(EP, "/3/0/9")).code == "2.05"


@virtual_time
async def test_a_non_ip_device_switches_to_udp_when_the_server_prefers_it():
    """/1/x/22, with the registry's own example: a firmware update over UDP."""
    async with served() as server, served() as direct:
        # One server, seen through a modem's port and directly.
        device = Device(
            DeviceOptions(EP, uri(direct), pipe=server.address, binding="N", more_bearers=(BearerOptions("U"),))
        )
        await device.start()
        await server.wait_registered(EP, 60)
        assert (await server.write(EP, "/1/0/22", "U")).code == "2.04"
        await device.register()
        assert direct.client(EP).address == device.bearers.all[1].address
        assert device.tree.get((3, 0, 16)) == "NU"
        await device.stop()


@virtual_time
async def test_servers_are_reached_over_their_rds_ports():
    async with served() as first, served() as second:
        pipe = BearerOptions("N", pipe=first.address, rds_pipes=((5, second.address),))
        more = (ServerOptions(102, "coap+nidd://", rds_port=5),)
        options = DeviceOptions(EP, "coap+nidd://", pipe=first.address, more_servers=more, more_bearers=(pipe,))
        device = Device(options)
        device.bearers.all.pop(0)  # the bearer with the RDS ports is the only one
        await device.start()
        await first.wait_registered(EP, 60)
        await second.wait_registered(EP, 60)
        assert (await second.read(EP, "/1/1/0")).value == 102
        assert (await first.read(EP, "/1/1/0")).code == "4.01"
        await device.stop()


class Phone:
    """Sends short messages to the SMS port of a device; `answers` is what came back."""

    async def __aenter__(self):
        async def nothing(_request):
            return Response("4.04")

        self.answers = []
        tuning = Tuning(ack_timeout=1, max_retransmit=2)
        self.endpoint = await CoapEndpoint.create(nothing, tuning=tuning, tap=self._tap)
        return self

    def _tap(self, datagram):
        if not datagram.outgoing:
            self.answers.append(datagram)

    async def __aexit__(self, *_):
        await self.endpoint.shutdown()

    async def send(self, device, path, code=POST):
        request = Request(code, tuple(path.strip("/").split("/")), confirmable=False)
        with pytest.raises(NoAnswer):
            await self.endpoint.request(device.bearers.all[1].address, request, wait=5)


@virtual_time
async def test_a_trigger_by_sms_makes_an_update_and_is_not_answered():
    """Transport TS 1.1 §6.6."""
    async with pair(more_bearers=(BearerOptions("S"),)) as (device, server), Phone() as phone:
        await phone.send(device, "/1/0/8")
        assert len(server.seen.of("updated")) == 1
        for path, code in (("/3/0/4", POST), ("/3/0/9", GET), ("/1/7/8", POST)):
            await phone.send(device, path, code)
        assert phone.answers == []
        assert device.operations.times("Execute") == 1
        assert device.operations.times("Read") == 0


@virtual_time
async def test_a_trigger_reaches_a_device_that_sleeps():
    options = {"queue_mode": True, "awake_time": 93.0, "more_bearers": (BearerOptions("S"),)}
    async with pair(lifetime=0, **options) as (device, server), Phone() as phone:
        await asyncio.sleep(100)
        assert device.asleep
        await phone.send(device, "/1/0/8")
        assert len(server.seen.of("updated")) == 1
        assert not device.asleep


@virtual_time
async def test_bootstrap_is_triggered_by_sms():
    async with served() as bootstrap:
        options = {"bootstrap_uri": uri(bootstrap), "more_bearers": (BearerOptions("S"),)}
        async with pair(**options) as (device, _), Phone() as phone:
            await phone.send(device, "/1/0/9")
            assert device.lifecycle.bootstrap_failures == ["4.00"]  # it was asked, and has no plan


@virtual_time
async def test_requests_over_sms_are_answered_while_that_is_the_binding():
    async with served() as server:
        options = DeviceOptions(EP, uri(server), binding="S")
        device = Device(options)
        await device.start()
        await server.wait_registered(EP, 60)
        assert (await server.read(EP, "/3/0/9")).value == 100
        await device.stop()


@virtual_time
async def test_in_queue_mode_the_device_listens_a_while_after_each_message():
    async with pair(queue_mode=True, awake_time=93.0, lifetime=1000) as (device, server):
        await asyncio.sleep(60)
        assert (await server.read(EP, "/3/0/9")).code == "2.05"
        await asyncio.sleep(60)
        assert not device.asleep
        await asyncio.sleep(60)
        assert device.asleep
        with pytest.raises(NoAnswer):
            await server.read(EP, "/3/0/9", wait=20)
        await server.wait_until(lambda: len(server.seen.of("updated")) == 1, 1000)
        assert (await server.read(EP, "/3/0/9")).code == "2.05"


@pytest.mark.parametrize("root", ["lwm2m", "a/b"])
@virtual_time
async def test_all_objects_are_below_an_alternate_path(root):
    """§6.2.1: the link with rt="oma.lwm2m" says where."""
    async with pair(root=root) as (device, server):
        links = {link.target: link.attributes for link in server.client(EP).links}
        assert links[f"/{root}"]["rt"] == "oma.lwm2m"
        assert f"/{root}/3303/0" in links
        for accept in (None, ContentFormat.TLV, ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR, ContentFormat.JSON):
            assert (await server.read(EP, "/3303/0/5700", accept=accept)).value == 20.0
        written = await server.write(EP, "/3/0/14", "+05:00", content_format=ContentFormat.SENML_CBOR)
        assert (written.code, device.tree.get((3, 0, 14))) == ("2.04", "+05:00")
        composite = await server.read_composite(EP, ["/3/0/9"], content_format=ContentFormat.SENML_JSON)
        assert composite.value == 100
        assert f'"/{root}/3/0/9"'.encode() in composite.response.payload
        await device.send(["/3/0/9"])
        assert server.sends[0][1] == [Record((3, 0, 9), 100)]
        created = await server.create(EP, "/3303")
        assert created.response.location == (*root.split("/"), "3303", "1")
        outside = (await server.endpoint.request(device.address, Request(GET, ("3", "0", "9")), wait=5)).response
        assert outside.code == "4.04"


@pytest.mark.requirement("LightweightM2M-BsR-008")
@virtual_time
async def test_values_go_out_directly_after_registering():
    """LwM2M 1.1 has no values in Register: a Send follows the 2.01."""
    async with pair(send_at_register=("/3/0/9", "/3303/0/5700")) as (device, server):
        await server.wait_until(lambda: len(server.sends) == 1, 5)
        assert server.sends[0][1] == [Record((3, 0, 9), 100), Record((3303, 0, 5700), 20.0)]
        outgoing = [datagram.code for datagram in device.wire if datagram.outgoing]
        assert outgoing == ["0.02", "0.02"]


def test_accounts_and_bearers_are_written_as_words():
    server = server_options("id=2,uri=coap://a,lifetime=60,order=1,block=true,rds=5")
    assert (server.server_id, server.uri, server.lifetime, server.order) == (2, "coap://a", 60, 1)
    assert (server.failure_block, server.rds_port) == (True, 5)
    bearer = bearer_options("binding=N,pipe=127.0.0.1:8021,apn=iot,rds.5=127.0.0.1:8025")
    assert (bearer.binding, bearer.pipe, bearer.apn) == ("N", ("127.0.0.1", 8021), "iot")
    assert bearer.rds_pipes == ((5, ("127.0.0.1", 8025)),)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("id=1", "needs id and uri"),
        ("id=x,uri=a", "id: "),
        ("id=1,uri=a,block=maybe", "block: "),
        ("colour=2", "colour"),
    ],
)
def test_words_that_mean_nothing_are_refused(words, reason):
    with pytest.raises(ValueError, match=reason):
        server_options(words)
