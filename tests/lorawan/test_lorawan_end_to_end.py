"""Payloads that only device and bridge can read: the network server cannot, and no key stream is used twice."""

import msgspec
import pytest
from mock_chirpstack_kit import APP_KEY, DEV_EUI, NWK_KEY, START, World
from virtual_network import Virtual

from bindings.contract import (
    Kind,
    NetworkState,
    Presence,
    Reachable,
    Refusal,
    Refused,
    Report,
    Submission,
    UplinkMessage,
)
from bindings.lorawan import LorawanBinding
from bindings.lorawan.app_s_key import ZEROS, Envelope, Keks, crypt
from bindings.lorawan.chirpstack import events as cs
from bindings.lorawan.notes import DeviceNote
from bindings.lorawan.settings import Api, EndToEnd, LorawanSettings
from bridge.errors import BindingError, CallFailed, CallTrouble, ConfigurationError, KeyUnavailable, NotificationError
from mock_network.chirpstack import device_queue, join
from mock_network.chirpstack.join_server import JoinServer, wrap
from mock_network.chirpstack.messages import to_json
from mock_network.chirpstack.model import DeviceKeys, Settings
from mock_network.lorawan.crypto import SessionKeys, crypt_frm_payload

KEK = bytes(range(32))
LABEL = "lwm2m"
SECRET = b"CoAP that nobody else shall read"


async def network(
    *, keks=None, required=False, known=True, session_key_id=False, mac_commands=False, profile=None, heard=1
):
    """Return a device that has joined by a Join Server outside, and was heard."""
    settings = Settings(mac_commands_disabled=not mac_commands, reorder_within=0.0)
    world = World({"rx1_delay": 1} | (profile or {}), settings)
    outside = JoinServer(LABEL, KEK, session_key_id=session_key_id)
    outside.keys[world.device.dev_eui] = DeviceKeys(NWK_KEY, APP_KEY, bytes(16), START, START)
    world.device.keys, world.server.context.join_server = None, outside
    keks = ({LABEL: KEK.hex()} if known else {}) if keks is None else keks
    one = Virtual(world, end_to_end=EndToEnd(keks=keks, required=required))
    await one.join()
    for _ in range(heard):
        await one.up()
    return one


def attempt(payload=SECRET, *, kind=Kind.REQUEST, deadline=None, number=1):
    return Submission(number, 1, DEV_EUI, payload, kind, deadline)


def arrived(one):
    """Return what the device gets of the downlinks with a payload, each with its frame counter."""
    got = []
    for frame in one.world.frames:
        if frame.items[0].phy_payload[0] >> 5 in (3, 5):
            data = one.world.node.down(frame.items[0].phy_payload)
            if data.f_port:
                got.append((data.f_cnt, data.frm_payload))
    return got


def seen_by_the_network_server(one):
    """Return all that the network server has or says of payloads, as bytes."""
    context = one.world.server.context
    items = [item.data for item in one.world.queue]
    events = [to_json(kept.event.message) for kept in context.history.get(DEV_EUI, ())]
    protobuf = [kept.event.message.SerializeToString() for kept in context.history.get(DEV_EUI, ())]
    return b"|".join([*items, *events, *protobuf, *(entry.payload for entry in context.air)])


# Keys


def test_payloads_are_encrypted_as_lorawan_says():
    """Vector: ChirpStack's lrwn, of which lora-packet's are the same."""
    key = bytes.fromhex("100f0e0d0c0b0a090807060504030201")
    found = crypt(key, bytes.fromhex("01020304"), uplink=True, dev_addr="01020304", f_cnt=0)
    assert found.hex() == "e264d4f7"


@pytest.mark.parametrize("uplink", [True, False])
@pytest.mark.parametrize("size", [0, 1, 16, 17, 242])
def test_another_implementation_encrypts_the_same(uplink, size):
    payload = bytes(range(size))
    where = {"uplink": uplink, "f_cnt": 0x01020304}
    ours = crypt(KEK[:16], payload, dev_addr="01020304", **where)
    assert ours == crypt_frm_payload(KEK[:16], payload, dev_addr=0x01020304, **where)


def test_keys_are_wrapped_as_rfc_3394_says():
    """Vectors: RFC 3394 §4.1 to 4.3."""
    key = bytes.fromhex("00112233445566778899aabbccddeeff")
    keks = Keks({str(size): bytes(range(size)).hex() for size in (16, 24, 32)})
    for size, wrapped in (
        (16, "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"),
        (24, "96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d"),
        (32, "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7"),
    ):
        envelope = keks.wrap(str(size), key)
        assert envelope.wrapped.hex() == wrapped == wrap(bytes(range(size)), key).hex()
        assert keks.unwrap(envelope) == key
        assert Envelope.parse(str(envelope)) == envelope


def test_a_key_that_cannot_be_had_says_why():
    keks = Keks({LABEL: KEK.hex()})
    for envelope, why in (
        (Envelope(), "only an id"),
        (Envelope("other", bytes(24)), "end_to_end.keks"),
        (Envelope(LABEL, bytes(24)), "not under the KEK"),
    ):
        with pytest.raises(KeyUnavailable, match=why):
            keks.unwrap(envelope)
    with pytest.raises(KeyUnavailable, match="not a DevAddr"):
        crypt(ZEROS, b"x", uplink=True, dev_addr="none", f_cnt=0)


@pytest.mark.parametrize("digits", ["", "00", "zz" * 16, "00" * 15])
def test_a_kek_that_is_none_is_refused(digits):
    with pytest.raises(ConfigurationError, match=r"end_to_end\.keks"):
        LorawanBinding("n", LorawanSettings(api=Api(server="a:1", key="k"), end_to_end=EndToEnd(keks={"l": digits})))


def test_a_kek_is_never_shown():
    assert KEK.hex() not in repr(EndToEnd(keks={LABEL: KEK.hex()}))


# Both ways


@pytest.mark.requirement("LightweightM2 M-LPW-12")
async def test_the_network_server_never_sees_a_payload():
    one = await network()
    await one.up(payload=SECRET + b", up", f_port=10)
    handle = await one.submit(SECRET + b", down", ttl=None)
    await one.up()
    assert [event.payload for event in one.side.of(UplinkMessage)] == [SECRET + b", up"]
    assert [payload for _, payload in arrived(one)] == [SECRET + b", down"]
    assert one.reports(handle) == [NetworkState.SENT]
    assert SECRET[:4] not in seen_by_the_network_server(one)
    row = one.world.device
    assert row.session.keys.app_s_key == b""  # what it has is under a KEK that it has not
    assert KEK not in row.session.app_s_key.aes_key


@pytest.mark.parametrize("mac_version", [0, 4, 5], ids=["1.0.0", "1.0.4", "1.1.0"])
async def test_every_version_has_its_counter(mac_version):
    one = await network(profile={"mac_version": mac_version})
    for number in range(3):
        await one.submit(SECRET + bytes((number,)), ttl=None)
        await one.up()
    got = [payload for _, payload in arrived(one)]
    assert got == [SECRET + bytes((number,)) for number in range(3)]


async def test_two_downlinks_wait_in_the_queue_with_counters_of_their_own():
    one = await network()
    await one.submit(b"a request", ttl=None)
    await one.submit(b"an answer", ttl=None, kind=Kind.OPAQUE)
    await one.up()
    await one.up()
    assert [payload for _, payload in arrived(one)] == [b"a request", b"an answer"]


async def test_an_answer_passes_a_request_and_takes_another_counter():
    one = await network()
    await one.submit(b"a request", ttl=None)
    (request,) = one.world.queue
    await one.submit(b"an answer", ttl=None, kind=Kind.ANSWER)
    await one.up()
    assert arrived(one) == [(request.f_cnt_down + 1, b"an answer")]


# No key stream twice


async def counters_used(one, ending):
    """Return the counters of two downlinks of which the first never leaves."""
    first = await one.submit(b"first", ttl=60.0)
    used = [item.f_cnt_down for item in one.world.queue]
    await ending(first)
    assert one.world.queue == []
    await one.submit(b"second", ttl=60.0)
    return used + [item.f_cnt_down for item in one.world.queue]


async def test_a_downlink_that_was_taken_back_has_used_its_counter():
    """The network server's own next counter is the same again: the two cipher texts would show what differs."""
    one = await network()
    first, second = await counters_used(one, one.cancel)
    assert second > first


async def test_after_a_restart_and_a_crash_too():
    one = await network()

    async def crash(_handle):
        device_queue.flush(one.world.server.context.tables, one.world.device.dev_eui)
        await one.restart(kept=False)

    first, second = await counters_used(one, crash)
    assert second > first


async def test_a_counter_that_is_not_committed_is_not_used():
    one = await network()
    one.memory.fails = True
    before = one.records.held(DEV_EUI).sealed.next_down
    refused = await one.downlinks.submit(attempt(), None)
    assert isinstance(refused, Refused)
    assert refused.why is Refusal.UNREACHABLE
    assert one.world.queue == []
    one.memory.fails = False
    await one.submit(ttl=None)
    assert one.world.queue[0].f_cnt_down > before + 1  # the other may have been committed


async def test_a_key_that_comes_again_goes_on_counting():
    record = DeviceNote()
    first, second = Envelope("a", bytes(24)), Envelope("b", bytes(24))
    assert record.seal(first)
    record.sealed.next_down = 7
    assert record.seal(second)
    assert record.sealed.next_down == 0
    assert not record.seal(second)
    assert record.seal(first)
    assert record.sealed.next_down == 7
    decoded = msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=DeviceNote)
    assert decoded.sealed == record.sealed
    assert decoded.former_keys == record.former_keys


def test_a_session_by_hand_goes_on_counting_under_another_kek():
    app_s_key, keks = bytes(16), Keks({"old": "00" * 16, "new": "11" * 16})
    record = DeviceNote()
    record.seal(keks.wrap("old", app_s_key), personal=True)
    record.sealed.next_down = 7
    assert record.seal(keks.wrap("new", app_s_key), personal=True)
    assert record.sealed.next_down == 7
    assert record.seal(Envelope("of a join", bytes(24)))
    assert record.sealed.next_down == 0


async def test_used_up_counters_are_refused():
    one = await network()
    one.records.held(DEV_EUI).sealed.next_down = 1 << 32
    refused = await one.downlinks.submit(attempt(), None)
    assert "used up" in refused.detail


# Counters that move, sessions that change


async def test_a_downlink_whose_counter_a_mac_frame_took_is_encrypted_again():
    one = await network(mac_commands=True, heard=5)
    await one.submit(ttl=None)
    await one.up()
    one.world.frames.clear()
    handle = await one.submit(ttl=None)
    one.world.fault("crowding", count=1, bytes=20)  # more than FOpts hold: a frame of their own, with this counter
    await one.up()
    await one.up()
    assert arrived(one) == []
    assert one.reports(handle) == [None]  # it may have been on the air with the first uplink, for all that is known
    await one.submit(SECRET, ttl=None)
    await one.up()
    assert [payload for _, payload in arrived(one)] == [SECRET]


async def test_what_is_encrypted_for_a_former_session_is_not_sent():
    one = await network()
    one.world.node.f_cnt_down = 0

    def joins():
        one.records.held(DEV_EUI).seal(Envelope(LABEL, bytes(24)))

    one.provider.when_counted = joins
    refused = await one.downlinks.submit(attempt(), None)
    assert isinstance(refused, Refused)
    assert "joined again" in refused.detail
    assert one.world.queue == []


async def test_after_a_join_the_new_key_is_used_and_what_was_queued_is_lost():
    one = await network()
    old = await one.submit(b"of the old session", ttl=None)
    await one.join()
    await one.up()
    assert old not in one.outstanding.of(DEV_EUI)
    one.world.frames.clear()
    device_queue.flush(one.world.server.context.tables, one.world.device.dev_eui)
    await one.submit(SECRET, ttl=None)
    await one.up(payload=SECRET, f_port=10)
    assert [payload for _, payload in arrived(one)] == [SECRET]
    assert [event.payload for event in one.side.of(UplinkMessage)] == [SECRET]


async def test_a_lost_answer_to_enqueue_is_looked_up_by_what_is_encrypted():
    one = await network()
    await one.submit(SECRET, ttl=None)
    (item,) = one.world.queue
    one.outstanding.drop_all(DEV_EUI)
    found = await one.downlinks.lookup(attempt())
    assert (found.presence, found.handle) == (Presence.PRESENT, str(item.id))
    one.outstanding.drop_all(DEV_EUI)
    other = await one.downlinks.lookup(attempt(b"something else"))
    assert other.presence is Presence.ABSENT


# Keys that are missing


async def test_an_uplink_without_its_kek_is_counted_and_the_device_is_reachable():
    one = await network(known=False)
    await one.up(payload=SECRET, f_port=10)
    assert one.side.of(UplinkMessage) == []
    assert one.side.of(Reachable)
    assert one.side.counts["lorawan_sealed_uplinks"] == 1


@pytest.mark.parametrize("options", [{"known": False}, {"session_key_id": True}], ids=["no KEK", "an id alone"])
async def test_without_the_key_nothing_goes_in_the_clear(options):
    one = await network(**options)
    refused = await one.downlinks.submit(attempt(), None)
    assert refused.why is Refusal.UNREACHABLE
    assert refused.retry_at > one.side.now()
    assert one.world.queue == []


async def plain_network(*, required):
    world = World({"rx1_delay": 1}, Settings(mac_commands_disabled=True, reorder_within=0.0))
    one = Virtual(world, end_to_end=EndToEnd(required=required))
    await one.join()
    await one.up(payload=SECRET, f_port=10)
    return one


async def test_where_it_is_required_a_readable_session_is_not_used():
    one = await plain_network(required=True)
    refused = await one.downlinks.submit(attempt(), None)
    assert refused.why is Refusal.UNREACHABLE
    assert one.world.queue == []
    assert one.side.of(UplinkMessage) == []
    assert one.side.counts["lorawan_unsealed_uplinks"] == 1


async def test_where_it_is_not_a_readable_session_is_used_as_ever():
    one = await plain_network(required=False)
    await one.submit(SECRET, ttl=None)
    assert [item.data for item in one.world.queue] == [SECRET]
    assert [event.payload for event in one.side.of(UplinkMessage)] == [SECRET]


# Sessions without a join


async def personalised(keks=None):
    """Return an ABP device, whose AppSKey the network server has not."""
    world = World(
        {"rx1_delay": 1, "supports_otaa": False, "abp_rx1_delay": 1},
        Settings(mac_commands_disabled=True, reorder_within=0.0),
    )
    network_key, app_s_key = KEK[:16], KEK[16:]
    one = Virtual(world, end_to_end=EndToEnd(keks={LABEL: KEK.hex()} if keks is None else keks))
    join.activate(world.server.context, world.device, 0x01020304, SessionKeys.of_1_0(network_key, ZEROS))
    world.node.keys, world.node.dev_addr = SessionKeys.of_1_0(network_key, app_s_key), 0x01020304
    record = DeviceNote()
    record.seal(Keks({LABEL: KEK.hex()}).wrap(LABEL, app_s_key), personal=True)
    one.records.changed(DEV_EUI, record)
    return one


async def test_abp_the_network_server_has_zeros_in_place_of_the_key():
    one = await personalised()
    refused = await one.downlinks.submit(attempt(), None)
    assert "no message of the device came yet" in refused.detail
    await one.up(payload=SECRET + b", up", f_port=10)
    assert [event.payload for event in one.side.of(UplinkMessage)] == [SECRET + b", up"]
    await one.submit(SECRET + b", down", ttl=None)
    await one.up()
    assert [payload for _, payload in arrived(one)] == [SECRET + b", down"]
    assert SECRET[:4] not in seen_by_the_network_server(one)


# Events


def test_a_wrapped_key_of_another_size_is_no_event():
    context = {"appSKey": {"kekLabel": LABEL, "aesKey": "AAAA"}}
    body = msgspec.json.encode({"deviceInfo": {"devEui": DEV_EUI}, "joinServerContext": context})
    with pytest.raises(NotificationError, match="wrapped"):
        cs.read("up", body)


async def test_what_is_encrypted_is_told_the_same_in_json_and_protobuf():
    one = await network()
    for kept in one.world.server.context.history[DEV_EUI]:
        message = kept.event.message
        json = cs.read(kept.event.kind, to_json(message)).event
        assert cs.read(kept.event.kind, message.SerializeToString()).event == json
        assert json.sealed
        assert json.app_s_key.kek_label == LABEL


async def test_reports_name_no_payload():
    one = await network()
    handle = await one.submit(ttl=None)
    await one.up()
    assert [report.handle for report in one.side.of(Report)] == [handle]


# Endpoints and devices with a session by hand

PERSONAL = {"dev_addr": "01020304", "nwk_s_key": "11" * 16, "app_s_key": "22" * 16, "kek": LABEL}


async def made(binding, **values):
    settings = msgspec.convert(PERSONAL | values, binding.device_settings())
    return await binding.make_device("70b3d57ed0000002", "", settings)


async def test_device_add_keeps_the_key_back_and_gives_the_endpoint_its_envelope(make, chirpstack):
    binding = await make(end_to_end={"keks": {LABEL: KEK.hex()}})
    found = await made(binding)
    session = chirpstack.row("70b3d57ed0000002").session
    assert session.keys.app_s_key == ZEROS
    binding.check_options(found.options)
    assert Keks({LABEL: KEK.hex()}).unwrap(Envelope.parse(found.options["app_s_key"])).hex() == "22" * 16
    await binding.provision("70b3d57ed0000002", found.options)
    record = binding._records.held("70b3d57ed0000002")
    assert record.sealed.personal
    await binding.provision("70b3d57ed0000002", {})
    assert record.sealed is None


async def test_device_add_refuses_a_kek_that_makes_no_sense(make):
    binding = await make(end_to_end={"keks": {LABEL: KEK.hex()}})
    with pytest.raises(ConfigurationError, match=r"end_to_end\.keks"):
        await made(binding, kek="other")
    settings = msgspec.convert({"app_key": "33" * 16, "kek": LABEL}, binding.device_settings())
    with pytest.raises(ConfigurationError, match="Join Server"):
        await binding.make_device("70b3d57ed0000002", "", settings)


@pytest.mark.parametrize("value", ["", "lwm2m", "lwm2m:00", "other:" + "00" * 24, "lwm2m:" + "00" * 24])
async def test_an_option_without_a_key_is_refused(make, value):
    binding = await make(end_to_end={"keks": {LABEL: KEK.hex()}})
    with pytest.raises(ConfigurationError, match="app_s_key"):
        binding.check_options({"app_s_key": value})


async def test_a_device_of_a_join_server_is_made_without_keys(make, chirpstack):
    binding = await make()
    settings = msgspec.convert({"join_server": True, "join_eui": "0807060504030201"}, binding.device_settings())
    first = await binding.make_device("70b3d57ed0000002", "", settings)
    assert not [change for change in first.changes if "keys" in change]
    row = chirpstack.row("70b3d57ed0000002")
    assert (row.keys, row.message.join_eui) == (None, "0807060504030201")
    assert (await binding.make_device("70b3d57ed0000002", "", settings)).changes == ()
    with pytest.raises(BindingError, match="delete them there first"):
        await binding.make_device(DEV_EUI, "", settings)


@pytest.mark.parametrize("given", [{"app_key": "33" * 16}, PERSONAL | {"kek": ""}])
async def test_keys_beside_a_join_server_are_refused(make, given):
    binding = await make()
    settings = msgspec.convert({"join_server": True} | given, binding.device_settings())
    with pytest.raises(ConfigurationError, match="join_server"):
        await binding.make_device("70b3d57ed0000002", "", settings)


@pytest.mark.parametrize("unsure", [True, False])
async def test_a_counter_that_is_not_told_leaves_nothing_in_doubt(unsure):
    one = await network()

    def fails():
        raise CallFailed(CallTrouble.OUT_OF_REACH, "away", unsure=unsure)

    one.provider.when_counted = fails
    refused = await one.downlinks.submit(attempt(), None)
    assert (type(refused), refused.why) == (Refused, Refusal.NETWORK_UNAVAILABLE)
    assert one.world.queue == []
    assert one.side.counts["lorawan_submit_errors"] == 1


async def test_without_its_kek_a_session_by_hand_is_not_read():
    one = await personalised(keks={})
    await one.up(payload=SECRET, f_port=10)
    assert one.side.of(UplinkMessage) == []
    assert one.side.counts["lorawan_sealed_uplinks"] == 1
