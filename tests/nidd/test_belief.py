"""What the binding believes of a configuration's end: the SCEF's own word, asked for again; nothing leaks."""

import asyncio

import msgspec
import pytest
from scripted_scef import HANG_UP, problem

from bindings.contract import Ambiguous, Flushed, Kind, Refusal, Submission, UplinkMessage
from bindings.nidd import provisioning
from bindings.nidd.notes import State
from tests.waiting import until

DEVICE = "dev1@iot.example"
ATTEMPT = Submission(1, 1, DEVICE, b"x", Kind.REQUEST)


@pytest.fixture
async def binding(make):
    one = await make()
    await one.provision(DEVICE, {})
    await until(lambda: one.status()["configurations"]["active"] == 1)
    return one


def state(binding):
    return binding.records.held(DEVICE).state


async def notify(scef, binding, status, **changes):
    link = scef.link(binding.records.held(DEVICE).configuration)
    body = {"niddConfiguration": link, "externalId": DEVICE, "status": status} | changes
    return await scef.notify(binding.listener.url, body)


@pytest.mark.parametrize("status", [404, 410, 403, 500, 502, 200])
async def test_a_proxys_page_to_a_downlink_does_not_end_a_configuration(binding, scef, side, status):
    scef.script["submit"].append((status, "<html>not found</html>"))
    assert isinstance(await binding.submit(ATTEMPT), Ambiguous)
    assert state(binding) is State.ACTIVE
    assert len(scef.configurations) == len(scef.made("create")) == 1
    assert not side.of(Flushed)


async def test_a_404_of_the_scef_is_asked_for_before_it_is_believed(binding, scef, side):
    scef.script["submit"].append((404, {"title": "Not Found", "status": 404}))
    assert (await binding.submit(ATTEMPT)).why is Refusal.UNREACHABLE
    assert scef.made("read")
    assert state(binding) is State.ACTIVE
    assert len(scef.configurations) == len(scef.made("create")) == 1
    assert not side.of(Flushed)
    assert side.counts["nidd_configurations_doubted_wrongly"] == 1


async def test_while_a_proxy_answers_nothing_is_made_again(binding, scef, side):
    """The SCEF says 404 once, then a proxy answers in its place: whether the configuration is there is not known."""
    scef.script["submit"].append((404, {"title": "Not Found"}))
    scef.script["read"].extend([(404, "<html>"), (502, "<html>"), (200, "<html>")])
    await binding.submit(ATTEMPT)
    assert state(binding) is State.DOUBTED
    for _ in range(10):
        side.offset += 4000
        if state(binding) is State.ACTIVE:
            break
        await asyncio.sleep(0.3)
    await until(lambda: state(binding) is State.ACTIVE)
    assert len(scef.made("create")) == 1


async def test_a_configuration_that_is_gone_is_made_again_once(binding, scef, side):
    scef.configurations.clear()
    await asyncio.gather(*(binding.submit(ATTEMPT) for _ in range(5)))
    await until(lambda: state(binding) is State.ACTIVE)
    assert len(scef.configurations) == 1
    assert len(side.of(Flushed)) == 1


async def test_terminated_is_asked_for_before_it_is_believed(binding, scef, side):
    assert await notify(scef, binding, "TERMINATED") == 204
    await until(lambda: side.counts["nidd_configurations_doubted_wrongly"])
    await until(lambda: state(binding) is State.ACTIVE)
    assert not side.of(Flushed)
    assert len(scef.made("create")) == 1


async def test_a_configuration_that_the_scef_shows_as_terminated_is_over(binding, scef, side):
    name = scef.name_of(DEVICE)
    scef.configurations[name]["status"] = "TERMINATED"
    scef.refuse_duplicates = None
    assert await notify(scef, binding, "TERMINATED") == 204
    await until(lambda: side.of(Flushed) and state(binding) is State.ACTIVE)
    assert binding.records.held(DEVICE).configuration != name


@pytest.mark.parametrize(
    "said", [{"externalId": "dev2@iot.example"}, {"externalId": "dev2@iot.example", "msisdn": "49170"}]
)
async def test_terminated_for_another_device_is_not_believed(binding, scef, side, said):
    scef.configurations.clear()  # so that nothing but the identity can hold it up
    assert await notify(scef, binding, "TERMINATED", **said) == 204
    assert state(binding) is State.ACTIVE
    assert side.counts["nidd_notifications_wrong_identity"] == 1
    assert not scef.made("read")
    assert not side.of(Flushed)


async def test_terminated_of_a_former_configuration_is_not_believed(binding, scef, side):
    former = scef.link(scef.name_of(DEVICE))
    scef.configurations.clear()
    await binding.submit(ATTEMPT)
    await until(lambda: state(binding) is State.ACTIVE)
    assert await notify(scef, binding, "TERMINATED", niddConfiguration=former) == 404
    assert state(binding) is State.ACTIVE
    assert len(side.of(Flushed)) == 1


async def test_a_scef_that_ends_each_configuration_is_not_asked_in_a_loop(binding, scef, side):
    for _ in range(6):
        scef.configurations.clear()
        await notify(scef, binding, "TERMINATED")
        await asyncio.sleep(0.2)
    assert len(scef.made("create")) <= 3
    assert state(binding) is State.LOST
    side.offset += 7200
    await until(lambda: state(binding) is State.ACTIVE)


async def test_an_uplink_over_a_second_configuration_is_taken_once_the_scef_confirms_it(binding, scef, side):
    mine = scef.name_of(DEVICE)
    other = scef.add(externalId=DEVICE, notificationDestination=binding.listener.url)
    body = {"niddConfiguration": scef.link(other), "externalId": DEVICE, "data": "AA=="}
    assert await scef.notify(binding.listener.url, body) == 204
    assert [event.payload for event in side.of(UplinkMessage)] == [b"\x00"]
    assert binding.records.held(DEVICE).configuration == other
    assert list(scef.configurations) == [other]  # the one that was ours did not leak
    assert mine != other
    assert len(side.of(Flushed)) == 1


@pytest.mark.parametrize("answer", [(200, "<html>"), (404, {"title": "x"}), (500, None)])
async def test_an_uplink_over_a_configuration_that_the_scef_does_not_confirm_is_404(binding, scef, side, answer):
    scef.script["read"].append(answer)
    body = {"niddConfiguration": scef.link("c99"), "externalId": DEVICE, "data": "AA=="}
    assert await scef.notify(binding.listener.url, body) == 404
    assert not side.of(UplinkMessage)


def second(binding, scef):
    """Return an uplink over a second configuration of the device."""
    other = scef.add(externalId=DEVICE, notificationDestination=binding.listener.url)
    return other, {"niddConfiguration": scef.link(other), "externalId": DEVICE, "data": "AA=="}


BUSY = (503, {"title": "busy", "status": 503})


@pytest.mark.parametrize(("name", "answer"), [("read", BUSY), ("read", HANG_UP), ("delete", BUSY), ("delete", HANG_UP)])
async def test_an_uplink_whose_configuration_cannot_be_checked_now_is_to_be_sent_again(
    binding, scef, side, name, answer
):
    """404 would be final, and the uplink lost."""
    other, body = second(binding, scef)
    scef.script[name].append(answer)
    assert await scef.notify(binding.listener.url, body) == 503
    assert await scef.notify(binding.listener.url, body) == 204
    assert [event.payload for event in side.of(UplinkMessage)] == [b"\x00"]
    assert (list(scef.configurations), len(side.of(Flushed))) == ([other], 1)


async def test_too_many_checks_at_a_time_are_no_refusal(binding, scef, side, monkeypatch):
    monkeypatch.setattr(provisioning, "_CLAIMS", 0)
    _, body = second(binding, scef)
    assert await scef.notify(binding.listener.url, body) == 503
    monkeypatch.undo()
    assert await scef.notify(binding.listener.url, body) == 204


async def test_what_the_replaced_configuration_held_is_told_though_the_store_fails_in_between(binding, scef, side):
    _, body = second(binding, scef)
    side.store_fails = True
    assert await scef.notify(binding.listener.url, body) == 503
    side.store_fails = False
    assert await scef.notify(binding.listener.url, body) == 204
    assert len(side.of(Flushed)) == 1


async def test_a_replaced_configuration_that_the_scef_keeps_has_dropped_nothing(binding, scef, side):
    _, body = second(binding, scef)
    scef.script["delete"].append((403, {"title": "no", "status": 403}))
    assert await scef.notify(binding.listener.url, body) == 204
    assert not side.of(Flushed)


async def test_a_doubted_configuration_that_is_replaced_has_dropped_what_it_held(binding, scef, side):
    _, body = second(binding, scef)
    record = await binding.records.get(DEVICE)
    doubted = {"state": State.DOUBTED, "due": int(side.now()) + 3600}
    await binding.records.put(DEVICE, msgspec.structs.replace(record, **doubted))
    assert await scef.notify(binding.listener.url, body) == 204
    assert len(side.of(Flushed)) == 1


async def test_a_configuration_of_another_device_cannot_be_claimed(binding, scef, side):
    other = scef.add(externalId="dev2@iot.example", notificationDestination=binding.listener.url)
    body = {"niddConfiguration": scef.link(other), "externalId": DEVICE, "data": "AA=="}
    assert await scef.notify(binding.listener.url, body) == 404
    assert not side.of(UplinkMessage)


@pytest.mark.parametrize("answer", [(404, "<html>"), (405, None), (500, "<html>"), (200, "<html>"), (200, '[{"self":')])
async def test_a_proxys_page_is_no_empty_list(make, scef, side, answer):
    """Believed, it would have a second configuration made beside the one that is there."""
    name = scef.add(externalId=DEVICE, notificationDestination="http://old.example/x")
    scef.refuse_duplicates = None
    scef.script["list"].append(answer)
    binding = await make(configurations={"retry_min": 0.01})
    await binding.provision(DEVICE, {})
    await until(lambda: side.counts["nidd_configuration_failures"])
    side.offset += 10
    await until(lambda: binding.status()["configurations"]["active"] == 1)
    assert list(scef.configurations) == [name]
    assert not scef.made("create")


async def test_what_the_scef_lost_while_we_were_away_is_found_at_start(make, scef, side, memory):
    first = await make()
    for number in range(3):
        await first.provision(f"dev{number}@iot.example", {})
    await until(lambda: first.status()["configurations"]["active"] == 3)
    port = first.listener.address[1]
    await first.stop()
    del scef.configurations[scef.name_of(DEVICE)]
    await make(callbacks={"port": port})
    await until(lambda: scef.name_of(DEVICE), why="made again")
    assert [event.device for event in side.of(Flushed)] == [DEVICE]
    assert len(scef.configurations) == 3


async def test_a_list_that_leaves_out_what_is_there_is_not_used(make, scef, side, caplog):
    first = await make()
    for number in range(12):
        await first.provision(f"dev{number}@iot.example", {})
    await until(lambda: first.status()["configurations"]["active"] == 12)
    port = first.listener.address[1]
    await first.stop()
    scef.script["list"].append((200, [next(iter(scef.configurations.values()))]))
    second = await make(callbacks={"port": port})
    await until(lambda: "list of configurations is incomplete" in caplog.text)
    assert second.status()["configurations"]["doubted"] == 0
    assert not side.of(Flushed)


async def test_a_second_configuration_that_the_list_shows_is_counted(make, scef):
    scef.add(externalId=DEVICE, notificationDestination="http://127.0.0.1:1/p")
    scef.add(externalId=DEVICE, notificationDestination="http://127.0.0.1:1/p")
    binding = await make(callbacks={"public_url": "http://127.0.0.1:1", "path": "p"})
    await binding.provision(DEVICE, {})
    await until(lambda: binding.status()["configurations"]["active"] == 1)
    assert binding.status()["configurations"]["surplus"] == 1
    assert "second configuration" in " ".join(finding.detail for finding in await binding.check())


async def test_where_single_configurations_cannot_be_read_the_list_decides(make, scef, side):
    async def not_offered(_request):
        return problem(405)

    scef.script["read"].extend([not_offered] * 20)
    binding = await make()
    await binding.provision(DEVICE, {})
    await until(lambda: binding.status()["configurations"]["active"] == 1)
    scef.script["submit"].append((404, {"title": "x"}))
    await binding.submit(ATTEMPT)
    assert state(binding) is State.ACTIVE
    side.offset += 100
    binding._provisioning.life.inventory.doubt()
    scef.configurations.clear()
    await binding.submit(ATTEMPT)
    await until(lambda: side.of(Flushed))
    await until(lambda: scef.name_of(DEVICE))
