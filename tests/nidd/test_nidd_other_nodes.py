"""Notifications about the device of another node: they are passed on as they came, and change nothing here."""

import json

import msgspec
import pytest

from bindings.contract import DeviceState, Post
from bindings.nidd import provisioning
from bindings.nidd.notes import DeviceNote, State
from bridge.errors import StoreUnavailable
from tests.waiting import until

DEVICE = "dev1@iot.example"
SHARD = 7
SUBSCRIPTION = "http://scef.example/3gpp-monitoring-event/v1/as1/subscriptions/m1"


class Passing:
    """Keeps what is passed on; `fails` makes it fail."""

    def __init__(self):
        self.posts = []
        self.fails = False

    async def __call__(self, post, shard):
        if self.fails:
            raise StoreUnavailable("the inbox is full")
        self.posts.append((post, shard))


@pytest.fixture
async def binding(make, memory, side):
    """A node's instance that finds the device's notes, and does not serve the device."""
    one = await make(
        zero_touch={"allow": ("*",)}, reachability={"events": ("UE_REACHABILITY",)}, downlinks={"rds_timeout": 1.0}
    )
    await one.provision(DEVICE, {})
    await until(lambda: one.status()["configurations"]["active"] == 1)
    await memory.put("s/m1", DEVICE.encode(), DEVICE)
    side.elsewhere[DEVICE] = SHARD
    one.listener.pass_on = Passing()
    return one


def notifications(link):
    """Return each kind of notification about the device: what it is, the sub_path, the body, and the answer."""
    delivery = {"niddDownlinkDataTransfer": f"{link}/downlink-data-deliveries/7"}
    report = {"monitoringType": "UE_REACHABILITY", "externalId": DEVICE}
    return {
        "an uplink": ("", {"niddConfiguration": link, "externalId": DEVICE, "data": "AQ=="}, 204),
        "a report": ("", delivery | {"deliveryStatus": "SUCCESS"}, 204),
        "a report of one that cannot be reached": (
            "", delivery | {"deliveryStatus": "FAILURE_TEMPORARILY_NOT_REACHABLE"}, 204,
        ),
        "a report of one without RDS": ("", delivery | {"deliveryStatus": "FAILURE_RDS_DISABLED"}, 204),
        "the end of its configuration": (
            "", {"niddConfiguration": link, "externalId": DEVICE, "status": "TERMINATED"}, 204,
        ),
        "an uplink of a configuration that is not known here yet": (
            "", {"niddConfiguration": link + "9", "externalId": DEVICE, "data": "AQ=="}, 204,
        ),
        "a monitoring event": (
            "/reports", {"subscription": SUBSCRIPTION, "monitoringEventReports": [report]}, 204,
        ),
        "a trigger of its configuration": (
            "/trigger", {"afId": "as1", "nefId": "nef", "gpsi": f"extid-{DEVICE}", "suppFeat": "0"}, 200,
        ),
    }  # fmt: skip


KINDS = list(notifications(""))


@pytest.mark.parametrize("kind", KINDS)
async def test_it_is_passed_on_as_it_came_and_nothing_is_done_here(binding, scef, side, memory, kind):
    sub_path, said, status = notifications(scef.link(scef.name_of(DEVICE)))[kind]
    side.added[DEVICE] = ("dev1", {})
    notes, asked, delivered = dict(memory.notes), len(scef.requests), list(side.delivered)
    body = json.dumps(said).encode()
    async with scef.session.post(binding.listener.url + sub_path, data=body) as answer:
        assert answer.status == status
    assert binding.listener.pass_on.posts == [(Post(sub_path.strip("/"), "", body), SHARD)]
    assert (memory.notes, len(scef.requests), side.delivered) == (notes, asked, delivered)
    assert binding.status()["reachability"]["being_asked_for"] == 0, "a subscription is being made here"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "not known here" not in kind])
async def test_the_node_that_serves_the_device_takes_it_as_if_it_had_just_come(binding, scef, side, kind):
    sub_path, said, _ = notifications(scef.link(scef.name_of(DEVICE)))[kind]
    side.added[DEVICE] = ("dev1", {})
    body = json.dumps(said).encode()
    async with scef.session.post(binding.listener.url + sub_path, data=body):
        ((post, _),) = binding.listener.pass_on.posts
    side.elsewhere.clear()
    await binding.posts.commit_kept(post)


async def test_what_cannot_be_passed_on_is_not_acknowledged(binding, scef, side):
    binding.listener.pass_on.fails = True
    link = scef.link(scef.name_of(DEVICE))
    said = {"niddConfiguration": link, "externalId": DEVICE, "data": "AQ=="}
    async with scef.session.post(binding.listener.url, data=json.dumps(said)) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert side.counts["nidd_notifications_store_unavailable"] == 1


async def test_what_no_node_knows_is_refused_and_not_passed_on(binding, scef):
    said = {"niddConfiguration": scef.link("strange"), "externalId": "nobody@iot.example", "data": "AQ=="}
    assert await scef.notify(binding.listener.url, said) == 404
    assert await scef.notify(binding.listener.url, {}) == 400
    assert binding.listener.pass_on.posts == []


async def test_a_configuration_of_an_endpoint_whose_owner_died_after_it_was_removed_is_deleted(make, scef, memory):
    """No endpoint tells the next holder of the device: its note does, which is in the shard that comes."""
    one, next_holder = await make(), await make()
    await one.provision(DEVICE, {})
    await until(lambda: one.status()["configurations"]["active"] == 1)
    assert (await next_holder.records.get(DEVICE)).state is State.ACTIVE  # it remembers what is not true any more
    await one.stop()  # it dies after this commit:
    record = msgspec.msgpack.decode(memory.notes["d/" + DEVICE], type=DeviceNote)
    removing = msgspec.structs.replace(record, state=State.REMOVING, due=0)
    memory.notes["d/" + DEVICE] = msgspec.msgpack.encode(removing)
    assert scef.name_of(DEVICE)
    next_holder.shards_came()
    await until(lambda: scef.name_of(DEVICE) is None)


async def test_what_was_reported_to_another_node_is_known_when_the_device_comes(make, scef, memory, side):
    other, one = await make(), await make()
    await other._watch._lost.lost(DEVICE, DeviceState(side.now(), "lost"))
    assert one.device_state(DEVICE) is None
    one.device_came(DEVICE)
    one.shards_came()
    await until(lambda: one.device_state(DEVICE) is not None)
    other._watch.heard(DEVICE, other._now())  # at the other node, which has it by then
    await until(lambda: "l/" + DEVICE not in memory.notes)
    one.device_came(DEVICE)
    one.shards_came()
    assert one.device_state(DEVICE) is None, "what was known is not kept"


async def test_of_a_device_that_left_nothing_stays_in_memory_and_its_notes_stay_in_the_store(make, memory, side):
    one = await make(reachability={"events": ("LOSS_OF_CONNECTIVITY",)})
    await one._watch._lost.lost(DEVICE, DeviceState(side.now(), "lost"))
    await one.devices_left([DEVICE])
    assert one.device_state(DEVICE) is None
    assert one.status()["reachability"]["reported_unreachable"] == 0
    assert "l/" + DEVICE in memory.notes


async def test_what_is_being_read_of_a_device_that_leaves_is_not_kept(make, memory, side):
    other, one = await make(), await make()
    await other._watch._lost.lost(DEVICE, DeviceState(side.now(), "lost"))
    items = memory.items

    async def left_meanwhile(prefix):
        async for key, value in items(prefix):
            await one.devices_left([DEVICE])
            yield key, value

    memory.items = left_meanwhile
    await one._watch._lost.load()
    assert one.device_state(DEVICE) is None


async def test_a_node_compares_the_devices_of_its_first_shards_with_the_scefs_list(make, scef, memory, monkeypatch):
    """The node sees no notes when it starts; configurations that the SCEF has lost are found nevertheless, once."""
    monkeypatch.setattr(provisioning, "TOGETHER", 0.01)
    first = await make()
    await first.provision(DEVICE, {})
    await until(lambda: first.status()["configurations"]["active"] == 1)
    port = first.listener.address[1]
    await first.stop()
    lost = scef.name_of(DEVICE)
    del scef.configurations[lost]
    items, lists = memory.items, len(scef.made("list"))
    memory.items = lambda _prefix: items("of no shard")
    node = await make(callbacks={"port": port})
    memory.items = items
    for _ in range(3):
        node.device_came(DEVICE)
    await until(lambda: len(scef.configurations) == 1, why="the configuration that is gone is not created again")
    node.device_came(DEVICE)
    assert scef.name_of(DEVICE) != lost
    assert not scef.made("patch")
    assert len(scef.made("list")) - lists <= 2, "one list to compare with, and one before a configuration is created"
