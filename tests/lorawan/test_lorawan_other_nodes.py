"""A node's instance, and devices of another node: their events are passed on as they came, and change nothing here."""

import json
import time

import aiohttp
import pytest
from chirpstack_api import integration
from emulated_chirpstack import DEVICE, STRANGER
from google.protobuf.json_format import MessageToJson

from bindings.contract import Kind, Post, Report, Submission, UplinkMessage
from bindings.lorawan import LorawanBinding
from bindings.lorawan.notes import DeviceNotes
from bridge.errors import ConfigurationError, StoreUnavailable
from tests.waiting import until

SHARD = 7


class Passing:
    """Keeps what is passed on."""

    def __init__(self):
        self.posts = []

    async def __call__(self, post, shard):
        self.posts.append((post, shard))


@pytest.fixture
async def node(make, chirpstack, side):
    """A node's instance that served the device, until another node took it over."""
    chirpstack.memory.is_shared = True
    one = await make()
    chirpstack.up(b"first")
    await until(lambda: side.of(UplinkMessage))
    one.posts.pass_on = Passing()
    await hand_over(one, side)
    return one


async def hand_over(one, side):
    memory = one._records._memory
    side.elsewhere[DEVICE] = SHARD
    await one.devices_left([DEVICE])
    memory.held = lambda key: None if DEVICE in side.elsewhere else memory.notes.get(key)  # nor is its endpoint here


def events(chirpstack):
    """Return each kind of event about the device, and its body."""
    values = chirpstack.values
    up = chirpstack.up_message
    discarded = {"level": integration.ERROR, "code": "EXPIRED", "description": "d", "context": {"queue_item_id": "i"}}
    messages = {
        "an uplink": ("up", up(b"data", f_cnt=20)),
        "the first uplink of another session": ("up", up(b"data", f_cnt=0, dev_addr="0a0b0c0d")),
        "an uplink after a counter reset": ("up", up(b"data", f_cnt=0, at=time.time() + 60)),
        "a join": ("join", integration.JoinEvent(deduplication_id="j", dev_addr="0a0b0c0d", **values())),
        "a transmission": ("txack", integration.TxAckEvent(queue_item_id="i", **values())),
        "an acknowledgement": ("ack", integration.AckEvent(queue_item_id="i", acknowledged=True, **values())),
        "a discarded item": ("log", integration.LogEvent(**discarded, **values())),
    }
    return {name: (kind, MessageToJson(message).encode()) for name, (kind, message) in messages.items()}


KINDS = [
    "an uplink", "the first uplink of another session", "an uplink after a counter reset", "a join", "a transmission",
    "an acknowledgement", "a discarded item",
]  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
async def test_nor_while_the_device_is_being_let_go_and_its_endpoint_still_in_memory(make, chirpstack, side, name):
    chirpstack.memory.is_shared = True
    one = await make()
    chirpstack.up(b"first")
    await until(lambda: side.of(UplinkMessage))
    one.posts.pass_on = Passing()
    await one.submit(Submission(1, 1, DEVICE, b"request", Kind.REQUEST, time.time() + 60))
    await one._records.write()
    side.elsewhere[DEVICE] = SHARD
    kind, body = events(chirpstack)[name]
    notes, delivered = dict(chirpstack.memory.notes), list(side.delivered)
    assert (await post(one, kind, body)) == 200
    assert one.posts.pass_on.posts == [(Post("", f"event={kind}", body), SHARD)]
    assert side.delivered == delivered
    if name not in ("an uplink", "a transmission"):  # of which data rates and delays are learned
        await one._records.write()
        assert chirpstack.memory.notes == notes


async def post(node, kind, body):
    async with (
        aiohttp.ClientSession() as session,
        session.post(node.provider.http.url, params={"event": kind}, data=body) as answer,
    ):
        return answer.status


@pytest.mark.parametrize("name", KINDS)
async def test_it_is_passed_on_as_it_came_and_nothing_changes_here(node, chirpstack, side, name):
    kind, body = events(chirpstack)[name]
    notes, delivered, calls = dict(chirpstack.memory.notes), list(side.delivered), node.provider.client.calls
    assert (await post(node, kind, body)) == 200
    assert node.posts.pass_on.posts == [(Post("", f"event={kind}", body), SHARD)]
    await node._records.write()
    assert (chirpstack.memory.notes, side.delivered) == (notes, delivered)
    assert not node._records._kept, "a note of another node's device is kept: it gets old"
    assert node.provider.client.calls == calls


@pytest.mark.parametrize("name", KINDS)
async def test_the_node_that_serves_the_device_takes_it_as_if_it_had_just_come(node, chirpstack, side, name):
    kind, body = events(chirpstack)[name]
    await post(node, kind, body)
    ((passed, _),) = node.posts.pass_on.posts
    side.elsewhere.clear()
    before = len(side.delivered)
    await node.posts.commit_kept(passed)
    assert len(side.delivered) > before


async def test_an_event_of_nobodys_device_is_not_passed_on(node, chirpstack):
    message = chirpstack.up_message(b"data")
    message.device_info.dev_eui = STRANGER
    assert (await post(node, "up", MessageToJson(message).encode())) == 200
    assert (await post(node, "up", b"no JSON")) == 400
    assert node.posts.pass_on.posts == []


async def test_what_is_known_of_a_device_is_written_before_it_goes_and_read_anew_when_it_comes(make, chirpstack, side):
    """The other node finds the queue of ChirpStack as it is, and this one what the other has changed."""
    chirpstack.memory.is_shared = True
    one = await make()
    chirpstack.up(b"first")
    await until(lambda: side.of(UplinkMessage))
    accepted = await one.submit(Submission(1, 1, DEVICE, b"request", Kind.REQUEST, time.time() + 60))
    await hand_over(one, side)
    others = DeviceNotes(chirpstack.memory)
    note = await others.get(DEVICE)
    assert list(note.queued) == [accepted.handle]
    assert note.highest == 0
    note.queued.clear()
    note.record_uplink(5)
    await others.put(DEVICE, note)
    side.elsewhere.clear()
    one.device_came(DEVICE)
    await one.provision(DEVICE, {})
    assert (await one._records.get(DEVICE)).highest == 5
    assert not one._outstanding.of(DEVICE)


async def test_work_that_began_before_a_device_went_does_not_overwrite_what_the_other_node_wrote(node, side):
    side.elsewhere.clear()
    old = await node._records.get(DEVICE)
    await hand_over(node, side)
    side.elsewhere.clear()
    new = await node._records.get(DEVICE)
    assert new is not old
    node._records.changed(DEVICE, old)
    assert DEVICE not in node._records._changed
    with pytest.raises(StoreUnavailable, match="another node has served the device meanwhile"):
        await node._records.put(DEVICE, old)


async def test_the_clock_of_another_node_proves_nothing_about_receive_windows(make, chirpstack, side):
    """The note says that the device was heard an hour ago, by a clock that is an hour behind."""
    chirpstack.memory.is_shared = True
    one = await make()
    record = await one._records.get(DEVICE)
    record.dev_addr, record.highest, record.heard_at = chirpstack.dev_addr, 3, time.time() - 3600
    await one._records.put(DEVICE, record)
    await one.submit(Submission(1, 1, DEVICE, b"request", Kind.REQUEST, time.time() + 60))
    (queued,) = one._outstanding.of(DEVICE).values()
    assert not queued.before.quiet


async def test_the_history_of_a_device_that_comes_is_read(node, chirpstack, side):
    """The node that served it may have ended with an event that it had not committed."""
    chirpstack.fault("event_lost")
    chirpstack.up(b"lost", f_cnt=1)
    chirpstack.f_cnt = iter(range(2, 9))
    chirpstack.activate(f_cnt_up=2)
    assert side.of(UplinkMessage)[-1].payload == b"first"
    side.elsewhere.clear()
    node.device_came(DEVICE)
    await until(lambda: side.of(UplinkMessage)[-1].payload == b"lost", why="its history is not read")


async def test_a_late_event_of_another_node_does_not_set_the_clock(node, chirpstack, side):
    """The event waited in the ledger: how long, nobody knows."""
    side.elsewhere.clear()
    ahead = node.status()["clock_ahead"]
    stamped = integration.TxAckEvent(queue_item_id="i", **chirpstack.values(at=time.time() - 600))
    await node.posts.commit_kept(Post("", "event=txack", MessageToJson(stamped).encode()))
    assert node.status()["clock_ahead"] == ahead is None
    assert [one.handle for one in side.of(Report)] == ["i"]


async def test_a_self_check_is_proven_by_any_node_that_has_the_same_path(node, make, chirpstack):
    other = await make(http={"path": "another-path"}, memory=type(chirpstack.memory)())
    same, different = await post_probe(node), await post_probe(other)
    assert same == node.provider.http.proof("p")
    assert different != same


async def post_probe(node):
    async with (
        aiohttp.ClientSession() as session,
        session.post(node.provider.http.url, params={"event": "self-check", "probe": "p"}) as answer,
    ):
        return await answer.read()


def test_several_nodes_need_one_url_that_leads_to_all_of_them(chirpstack_settings):
    for http in ({}, {"public_url": "http://lb.example/"}, {"path": "chosen"}):
        with pytest.raises(ConfigurationError, match="http: on several nodes, set public_url"):
            LorawanBinding("net", chirpstack_settings(http)).check_for_nodes()
    LorawanBinding("net", chirpstack_settings({"public_url": "http://lb.example/", "path": "c"})).check_for_nodes()


@pytest.fixture
def chirpstack_settings():
    import msgspec

    def made(http):
        text = json.dumps({"api": {"server": "none:1", "key": "k"}, "http": http})
        return msgspec.json.decode(text, type=LorawanBinding.settings())

    return made
