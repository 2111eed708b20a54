"""Configurations: made, adopted, renewed, made again, removed; paced, resumed, and never a reason for start to wait."""

import asyncio
import logging
import socket

import msgspec
import pytest
from scripted_scef import HANG_UP

from bindings.contract import Flushed
from bindings.nidd.life_cycle import read_features
from bindings.provisioning import ProvisioningState
from bindings.t8.times import format_time
from bridge.errors import ConfigurationError, StoreUnavailable
from bridge.logging import SAMPLE_BURST, Sampler
from tests.bindings.bridge_side import BridgeSide
from tests.waiting import until

DEVICE = "dev1@iot.example"


def counts(binding):
    return binding.status()["configurations"]


async def active(binding, number=1):
    await until(lambda: counts(binding)["active"] == number, why=f"{number} active configurations")


async def test_made_by_external_identifier(make, scef):
    binding = await make()
    await binding.provision("Dev1@IoT.Example", {})
    await active(binding)
    _, headers, body = scef.made("create")[0]
    assert body["externalId"] == "Dev1@iot.example"  # the domain knows no case, the local part does
    assert body["notificationDestination"] == binding.listener.url
    assert body["pdnEstablishmentOption"] == "WAIT_FOR_UE"
    assert not {"maximumPacketSize", "status", "msisdn", "self"} & body.keys()
    assert headers["Content-Type"] == "application/json"
    assert binding.south_profile("Dev1@iot.example").max_downlink == 10864 // 8


async def test_made_by_msisdn_with_all_that_may_be_asked_for(make, scef):
    binding = await make(
        configurations={"request_test_notification": True, "mtc_provider_id": "m", "duration": 7200},
        downlinks={"reliable_data_service": True},
    )
    await binding.provision("+491700000001", {"pdn_establishment_option": "SEND_TRIGGER"})
    await active(binding)
    body = scef.made("create")[0][2]
    assert body["msisdn"] == "491700000001"
    assert body["supportedFeatures"] == "6"
    assert body["requestTestNotification"] is True
    assert body["reliableDataService"] is True
    assert body["mtcProviderId"] == "m"
    assert body["pdnEstablishmentOption"] == "SEND_TRIGGER"
    assert body["duration"].endswith("Z")


async def test_start_does_not_wait_for_the_scef(make, scef, memory):
    first = await make()
    await first.provision(DEVICE, {})
    await active(first)
    await first.stop()
    release = asyncio.Event()

    async def slowly(request):
        await release.wait()
        return scef._create(request, {})

    scef.script["list"].append(slowly)
    second = await make()
    await second.provision("dev2@iot.example", {})
    await until(lambda: counts(second)["wanted"] == 1)
    release.set()


async def test_provision_twice_makes_one(make, scef):
    binding = await make()
    await binding.provision(DEVICE, {})
    await binding.provision(DEVICE, {})
    await active(binding)
    await binding.provision(DEVICE, {})
    assert len(scef.made("create")) == 1


async def test_progress_survives_a_restart(make, scef):
    first = await make()
    for number in range(5):
        await first.provision(f"dev{number}@iot.example", {})
    await active(first, 5)
    path = first.listener.url.rsplit("/", 1)[1]
    port = first.listener.address[1]
    await first.stop()
    second = await make(callbacks={"port": port})
    for number in range(5):
        await second.provision(f"dev{number}@iot.example", {})
    await active(second, 5)
    assert second.listener.url.rsplit("/", 1)[1] == path  # the unguessable path is kept
    assert len(scef.made("create")) == 5
    assert not scef.made("patch")
    assert not scef.made("delete")  # configurations stay when the bridge stops


async def test_an_existing_one_is_adopted(make, scef):
    binding = await make(callbacks={"public_url": "http://127.0.0.1:1/p", "path": "secret"})
    name = scef.add(externalId="dev1@IOT.example", notificationDestination="http://127.0.0.1:1/p/secret")
    await binding.provision(DEVICE, {})
    await active(binding)
    assert binding.records.held(DEVICE).configuration == name
    assert not scef.made("create")
    assert not scef.made("patch")


async def test_an_adopted_one_that_points_elsewhere_is_patched(make, scef):
    name = scef.add(externalId=DEVICE, notificationDestination="http://old.example/x")
    binding = await make()
    await binding.provision(DEVICE, {})
    await active(binding)
    _, headers, body = scef.made("patch")[0]
    assert headers["Content-Type"] == "application/merge-patch+json"
    assert body == {"notificationDestination": binding.listener.url}
    assert list(scef.configurations) == [name]


async def test_where_patch_is_not_known_it_is_replaced(make, scef):
    scef.patchable = False
    name = scef.add(externalId=DEVICE, notificationDestination="http://old.example/x")
    binding = await make()
    await binding.provision(DEVICE, {})
    await active(binding)
    assert name not in scef.configurations
    assert scef.callback_of(DEVICE) == binding.listener.url


async def test_a_patch_that_is_taken_and_ignored_is_noticed(make, scef):
    name = scef.add(externalId=DEVICE, notificationDestination="http://old.example/x")
    scef.script["patch"].append((200, dict(scef.configurations[name])))  # Rel-15: the member is not known
    binding = await make()
    await binding.provision(DEVICE, {})
    await active(binding)
    assert scef.callback_of(DEVICE) == binding.listener.url
    assert name not in scef.configurations


@pytest.mark.parametrize("status", [400, 403, 409, 500])
async def test_a_post_that_conflicts_leads_to_the_existing_one(make, scef, status):
    scef.refuse_duplicates = status
    binding = await make()
    await binding.provision("first@iot.example", {})
    await active(binding)
    binding._provisioning.life.inventory._read_at -= 100
    scef.add(externalId=DEVICE, notificationDestination="http://old.example/x")  # after the list was taken
    await binding.provision(DEVICE, {})
    await active(binding, 2)
    assert len(scef.configurations) == 2


async def test_both_identities_in_the_list(make, scef):
    name = scef.add(externalId="other@iot.example", msisdn="491700000001")
    binding = await make()
    await binding.provision("491700000001", {})
    await active(binding)
    assert binding.records.held("491700000001").configuration == name


async def test_a_list_that_is_not_offered_is_an_empty_one(make, scef):
    scef.script["list"].append((404, {"title": "none"}))
    binding = await make()
    await binding.provision(DEVICE, {})
    await active(binding)


async def test_while_the_list_fails_nothing_is_made_blindly(make, scef, side):
    scef.script["list"].extend([(500, None), HANG_UP])
    binding = await make(configurations={"retry_min": 0.01})
    await binding.provision(DEVICE, {})
    await until(lambda: side.counts["nidd_configuration_failures"])
    assert not scef.made("create")
    side.offset += 10
    await active(binding)


async def test_after_a_lost_answer_to_the_post_it_is_looked_for(make, scef, side):
    async def made_but_cut(request):
        scef._create(request, await request.json())
        request.transport.abort()
        await asyncio.sleep(0)

    scef.refuse_duplicates = None  # this SCEF would make a second one
    scef.script["create"].append(made_but_cut)
    binding = await make(configurations={"retry_min": 0.01})
    await binding.provision(DEVICE, {})
    await until(lambda: side.counts["nidd_configuration_failures"])
    side.offset += 10
    await active(binding)
    assert len(scef.configurations) == 1


async def test_201_that_names_nothing_is_looked_up(make, scef):
    async def nameless(request):
        scef._create(request, await request.json())
        return scef_answer()

    def scef_answer():
        from aiohttp import web

        return web.json_response({}, status=201)

    scef.script["create"].append(nameless)
    binding = await make()
    await binding.provision(DEVICE, {})
    await active(binding)
    assert binding.records.held(DEVICE).configuration == scef.name_of(DEVICE)


async def test_renewed_before_its_end(make, scef, side):
    binding = await make(configurations={"duration": 7200, "renewal_margin": 600.0})
    await binding.provision(DEVICE, {})
    await active(binding)
    assert not scef.made("patch")
    side.offset += 6700
    await until(lambda: scef.made("patch"))
    assert scef.made("patch")[0][2]["duration"] >= format_time(side.now() + 7190)
    await until(lambda: binding.records.held(DEVICE).due > side.now() + 6000)


async def test_a_duration_that_the_scef_shortened_counts(make, scef, side):
    async def shortened(request):
        body = await request.json()
        return scef._create(request, body | {"duration": format_time(side.now() + 1000)})

    scef.script["create"].append(shortened)
    binding = await make(configurations={"renewal_margin": 3600.0})
    await binding.provision(DEVICE, {})
    await active(binding)
    record = binding.records.held(DEVICE)
    assert record.due == pytest.approx(side.now() + 500, abs=5)  # half of its time, as the margin is longer
    side.offset += 600
    await until(lambda: scef.made("patch"))


async def test_gone_at_renewal_it_is_made_again(make, scef, side):
    binding = await make(configurations={"duration": 7200, "renewal_margin": 600.0})
    await binding.provision(DEVICE, {})
    await active(binding)
    scef.configurations.clear()
    side.offset += 7000
    await until(lambda: len(scef.made("create")) == 2)
    await until(lambda: side.of(Flushed))
    await active(binding)


async def test_terminated_is_flushed_and_made_again(make, scef, side, memory):
    binding = await make()
    await binding.provision(DEVICE, {})
    await active(binding)
    url, name = scef.callback_of(DEVICE), scef.name_of(DEVICE)
    link = scef.link(name)
    del scef.configurations[name]
    body = {"niddConfiguration": link, "externalId": DEVICE, "status": "TERMINATED"}
    assert await scef.notify(url, body) == 204
    await until(lambda: scef.name_of(DEVICE))
    assert [event.device for event in side.of(Flushed)] == [DEVICE]
    await active(binding)
    await until(lambda: [key for key in memory.notes if key.startswith("c/")] == [f"c/{scef.name_of(DEVICE)}"])


async def test_a_configuration_withdrawn_by_the_hss_is_not_asked_for_at_once(make, scef, side):
    binding = await make()
    await binding.provision(DEVICE, {})
    await active(binding)
    url, name = scef.callback_of(DEVICE), scef.name_of(DEVICE)
    del scef.configurations[name]
    body = {"niddConfiguration": scef.link(name), "externalId": DEVICE, "status": "TERMINATED_UE_NOT_AUTHORIZED"}
    assert await scef.notify(url, body) == 204
    await until(lambda: counts(binding)["lost"] == 1)
    assert binding.records.held(DEVICE).due == pytest.approx(side.now() + 600, abs=5)


async def test_failures_are_tried_again_with_growing_pauses(make, scef, side):
    scef.script["create"].extend([(403, {"cause": "NOT_AUTHORISED"})] * 3)
    binding = await make(configurations={"retry_min": 100.0, "retry_max": 150.0})
    await binding.provision(DEVICE, {})
    pauses = []
    for failures in (1, 2, 3):
        await until(lambda wanted=failures: getattr(binding.records.held(DEVICE), "failures", 0) == wanted)
        pauses.append(binding.records.held(DEVICE).due - side.now())
        side.offset += 200
    assert pauses == pytest.approx([100, 150, 150], abs=3)
    await active(binding)
    assert binding.records.held(DEVICE).failures == 0
    assert "NOT_AUTHORISED" in counts(binding)["last_error"]


async def test_people_are_told_whether_a_device_is_provisioned_and_why_not(make, scef, side):
    scef.script["create"].append((403, {"cause": "NOT_AUTHORISED"}))
    binding = await make(configurations={"retry_min": 0.5})
    await binding.provision(DEVICE, {})
    await active(binding)
    pending, failed, *_, ready = side.provisioning[DEVICE]
    assert pending.state is ProvisioningState.PENDING
    assert failed.state is ProvisioningState.FAILED
    assert "NOT_AUTHORISED" in failed.reason
    assert failed.retry_at > side.now() - 5
    assert (ready.state, ready.reason, ready.retry_at) == (ProvisioningState.READY, "", None)
    told = len(side.provisioning[DEVICE])
    await binding.provision(DEVICE, {})
    assert [one.state for one in side.provisioning[DEVICE][told:]] == [ProvisioningState.READY], "again after a restart"


async def test_of_a_device_that_is_removed_nothing_is_told(make, scef, side):
    binding = await make()
    await binding.provision(DEVICE, {})
    await active(binding)
    told = len(side.provisioning[DEVICE])
    await binding.deprovision(DEVICE)
    await until(lambda: not scef.configurations)
    assert len(side.provisioning[DEVICE]) == told


async def test_a_failing_store_is_survived(make, scef, side, memory):
    binding = await make(configurations={"retry_min": 0.3})
    await binding.provision(DEVICE, {})

    async def then_fail(request):
        answer = scef._create(request, await request.json())
        memory.fails = True
        return answer

    scef.script["create"].append(then_fail)
    await until(lambda: side.counts["nidd_configuration_failures"])
    asked = len(scef.requests)
    await asyncio.sleep(0.1)
    assert len(scef.requests) <= asked + 1  # paused although the pause cannot be noted
    memory.fails = False
    await active(binding)
    assert len(scef.configurations) == 1


async def test_deprovision_deletes_and_forgets(make, scef, memory):
    binding = await make()
    await binding.provision(DEVICE, {})
    await active(binding)
    scef.script["delete"].append((500, None))
    await binding.deprovision(DEVICE)
    await until(lambda: counts(binding)["last_error"])
    await until(lambda: not [key for key in memory.notes if key != "path"])
    assert not scef.configurations


async def test_wanted_again_while_being_removed(make, scef):
    binding = await make()
    await binding.provision(DEVICE, {})
    await active(binding)
    release = asyncio.Event()

    async def slowly(request):
        await release.wait()
        return scef._delete(request, None)

    scef.script["delete"].append(slowly)
    await binding.deprovision(DEVICE)
    await until(lambda: scef.made("delete"))
    await binding.provision(DEVICE, {})
    release.set()
    await active(binding)
    assert scef.name_of(DEVICE)


async def test_a_changed_callback_url_is_told_to_the_scef(make, scef):
    first = await make()
    await first.provision(DEVICE, {})
    await active(first)
    await first.stop()
    second = await make(callbacks={"path": "another"})
    await until(lambda: scef.callback_of(DEVICE).endswith("/another"))
    assert scef.callback_of(DEVICE) == second.listener.url


async def test_paced(make, scef):
    binding = await make(configurations={"pace": 50.0, "parallelism": 2})
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(11):
        await binding.provision(f"dev{number}@iot.example", {})
    await active(binding, 11)
    assert loop.time() - began >= 10 / 50


async def test_a_device_that_is_added_does_not_wait_for_the_others(make, scef):
    binding = await make(configurations={"pace": 20.0})
    for number in range(200):  # ten seconds of work
        await binding.provision(f"dev{number}@iot.example", {})
    await until(lambda: counts(binding)["active"])
    await binding.stop()
    again = await make(configurations={"pace": 20.0})
    await until(lambda: counts(again)["done"])
    await again.provision("new@iot.example", {})
    await until(lambda: scef.name_of("new@iot.example"))
    assert counts(again)["active"] < 150


async def test_no_more_at_the_same_time_than_configured(make, scef):
    going = most = 0

    async def watched(request):
        nonlocal going, most
        going += 1
        most = max(most, going)
        await asyncio.sleep(0.01)
        going -= 1
        return scef._create(request, await request.json())

    scef.script["create"].extend([watched] * 12)
    binding = await make(configurations={"parallelism": 3})
    for number in range(12):
        await binding.provision(f"dev{number}@iot.example", {})
    await active(binding, 12)
    assert most <= 3


async def test_the_endpoints_own_packet_size(make, scef):
    binding = await make(downlinks={"max_packet_size": 1000})
    await binding.provision(DEVICE, {"max_packet_size": "512"})
    await active(binding)
    assert binding.south_profile(DEVICE).max_downlink == 512
    assert binding.south_profile(DEVICE).max_uplink == 512
    await binding.provision(DEVICE, {})
    assert binding.south_profile(DEVICE).max_downlink == 1000
    assert binding.south_profile(DEVICE).max_uplink == 1000


async def test_the_option_that_a_device_knows_no_block2_is_the_bridges(make, scef):
    binding = await make()
    await binding.provision(DEVICE, {"block2": "false"})
    with pytest.raises(ConfigurationError, match="block2 'no' must be true or false"):
        await binding.provision(DEVICE, {"block2": "no"})


async def test_packet_size_in_bytes_only_when_told_so_and_never_silently(make, scef, caplog):
    scef.maximum_packet_size = 1358
    binding = await make()
    await binding.provision(DEVICE, {})
    await active(binding)
    assert binding.south_profile(DEVICE).max_downlink == 169
    assert "looks like bytes" in caplog.text


async def test_packet_size_in_bytes(make, scef):
    scef.maximum_packet_size = 1358
    binding = await make(downlinks={"packet_size_unit": "bytes"})
    await binding.provision(DEVICE, {})
    await active(binding)
    assert binding.south_profile(DEVICE).max_downlink == 1358


@pytest.mark.parametrize("bad", ["", "@", "a@b@c", "a b@c", "12", "1234567890123456", "dev1", "4917x"])
async def test_what_is_no_device_address(make, bad):
    binding = await make()
    with pytest.raises(ConfigurationError, match="local@domain"):
        binding.canonical_device(bad)


@pytest.mark.parametrize(
    "options",
    [{"max_packet_size": "many"}, {"pdn_establishment_option": "X"}, {"reliable_data_service": "1"}, {"a": "b"}],
)
async def test_wrong_options_are_named(make, options):
    binding = await make()
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        await binding.provision(DEVICE, options)


async def test_idle_devices_cost_no_objects(make, scef, memory):
    binding = await make(configurations={"pace": 0.001})
    from bindings.nidd.notes import DeviceNote, State

    record = DeviceNote(state=State.ACTIVE, configuration="c", destination=binding._provisioning.life.mark)
    for number in range(6_000):
        memory.notes[f"d/dev{number}@iot.example"] = msgspec.msgpack.encode(record)
        memory.notes[f"c/c{number}"] = b"dev"
    for number in range(6_000):
        assert binding.south_profile(f"dev{number}@iot.example")
    assert len(binding.records._kept) <= 4096
    assert len(memory.notes["d/dev1@iot.example"]) < 40
    assert isinstance(binding._events, BridgeSide)


async def test_a_change_during_a_commit_is_not_lost(memory):
    """Each change is made to the record that will be committed, not to the one before it."""
    from bindings.nidd.notes import DeviceNote, DeviceNotes

    records = DeviceNotes(memory)
    await records.put(DEVICE, DeviceNote(configuration="c1"))

    async def change(**members):
        record = await records.get(DEVICE)
        await records.put(DEVICE, msgspec.structs.replace(record, **members))

    await asyncio.gather(change(learned=100), change(max_packet_size=50), change(pdn="X"))
    record = await DeviceNotes(memory).get(DEVICE)
    assert (record.learned, record.max_packet_size, record.pdn, record.configuration) == (100, 50, "X", "c1")


async def test_a_change_that_could_not_be_committed_is_none(memory):
    from bindings.nidd.notes import DeviceNote, DeviceNotes

    records = DeviceNotes(memory)
    await records.put(DEVICE, DeviceNote(learned=1))
    memory.fails = True
    with pytest.raises(StoreUnavailable):
        await records.put(DEVICE, DeviceNote(learned=2))
    memory.fails = False
    assert (await records.get(DEVICE)).learned == 1


@pytest.mark.parametrize("settings", [
    {"api_root": "https://scef.invalid/scef"},
    {"credentials": {"kind": "oauth2", "token_url": "https://idp.invalid/", "client_id": "a", "client_secret": "b"}},
], ids=["the SCEF", "the token endpoint"])  # fmt: skip
async def test_a_name_that_cannot_be_resolved_is_named_with_its_cure_in_few_lines_for_many_devices(
    make, settings, caplog, monkeypatch
):
    def unknown(host, *_more, **_rest):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    binding = await make(**settings)
    for number in range(50):
        await binding.provision(f"dev{number}@iot.example", {})
    await until(lambda: binding.status()["configurations"]["wanted"] == 50 and len(caplog.records) > 3)
    lines = [one for one in caplog.records if one.levelno >= logging.WARNING]
    named = [one.getMessage() for one in lines if "cannot be resolved" in one.getMessage()]
    assert any(".invalid cannot be resolved" in line and "check the name" in line for line in named), lines
    assert not [line for line in named if "client_secret" in line], "a cure that cannot help"
    assert all(hasattr(one, "sample") for one in lines), "lines without a bound"
    sampler = Sampler()
    assert sum(sampler.filter(one) for one in lines) <= 3 * SAMPLE_BURST


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("6", 6),
        ("F" * 5000 + "6", 0x7FFFFFF6),  # of a later release: what is above is nothing that the bridge uses
        ("0" * 40, 0),
        ("", -1),
        ("-1", -1),
        (" 6", -1),
        ("0x6", -1),
        ("1_0", -1),
        ("six", -1),
        (None, -1),
    ],
)
def test_supported_features_are_hexadecimal_or_unknown(said, known):
    assert read_features(said) == known
