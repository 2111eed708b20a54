"""Reachability, with an emulated SCEF: reports on demand, standing ones, network parameters, unknown devices.

Where 3GPP's files are at hand, all traffic is checked against them.
"""

import asyncio
import contextlib
import json

import pytest

from bindings.contract import Accepted, Kind, Reachable, Refusal, Submission, UplinkMessage
from bindings.nidd import NiddBinding, NiddSettings
from bindings.nidd.settings import Downlinks, ZeroTouch
from bindings.reachability.settings import Reachability
from bindings.t8.settings import Callbacks, Credentials
from bridge.errors import ConfigurationError
from mock_network.scef.testing import EmulatedScef
from tests.bindings.bridge_side import BridgeSide, DictMemory
from tests.t8.files import openapi_dir
from tests.t8.proxy import T8Proxy
from tests.waiting import until

UE = "meter-1@iot.example"
ATTEMPT = Submission(1, 1, UE, b"hello", Kind.REQUEST)


class Net:
    """An emulated SCEF, and a binding at it."""

    def __init__(self, scef, stack):
        self.scef, self.stack = scef, stack
        self.side, self.memory = BridgeSide(), DictMemory()
        self.ue = scef.ue(UE) if scef.ready["ues"] else None

    async def start(self, options=None, *, provision=True, **settings):
        root = self.scef.url
        if openapi_dir() is not None:
            proxy = await self.stack.enter_async_context(T8Proxy(root, openapi_dir()))
            root = proxy.url
        self.binding = NiddBinding(
            "n",
            NiddSettings(
                api_root=root,
                scs_as_id="as1",
                credentials=Credentials(kind="bearer", token=self.scef.token),
                callbacks=Callbacks(port=0, path="secret"),
                **settings,
            ),
        )
        await self.binding.start(self.side, self.memory)
        self.stack.push_async_callback(self.binding.stop)
        if provision:
            await self.binding.provision(UE, options or {})
            await until(lambda: self.binding.status()["configurations"]["active"] == 1, 20)

    async def ask(self, method, path, body=None):
        return await asyncio.to_thread(self.scef.ask, method, path, body)

    async def subscriptions(self):
        return sorted(one["monitoringType"] for one in await self.ask("GET", "/subscriptions"))


@pytest.fixture
async def net():
    with EmulatedScef(ues=[UE]) as scef:
        async with contextlib.AsyncExitStack() as stack:
            one = Net(scef, stack)
            await asyncio.to_thread(one.ue.set, radio_latency=0.01, paging_latency=0.0, t3324=3600.0, t3412=86400.0)
            yield one


async def test_a_downlink_for_a_sleeping_device_goes_when_it_is_reported_to_be_awake(net):
    await net.start(downlinks=Downlinks(buffer="bridge"), reachability=Reachability(events=("UE_REACHABILITY",)))
    assert await net.subscriptions() == []
    await asyncio.to_thread(net.ue.sleep)
    assert (await net.binding.submit(ATTEMPT)).why is Refusal.UNREACHABLE
    await until(net.subscriptions)
    assert (await net.binding.submit(ATTEMPT)).why is Refusal.UNREACHABLE
    assert await net.subscriptions() == ["UE_REACHABILITY"]  # one is enough
    await asyncio.to_thread(net.ue.wake)
    await until(lambda: net.side.of(Reachable), 20)
    assert isinstance(await net.binding.submit(ATTEMPT), Accepted)
    assert await asyncio.to_thread(net.ue.received, wait=5) == [b"hello"]


async def test_a_report_comes_again_each_time_that_it_is_waited_for(net):
    await net.start(downlinks=Downlinks(buffer="bridge"), reachability=Reachability(events=("UE_REACHABILITY",)))
    for number in (1, 2):
        await asyncio.to_thread(net.ue.sleep)
        await net.binding.submit(ATTEMPT)
        await until(net.subscriptions)
        await asyncio.to_thread(net.ue.wake)
        await until(lambda wanted=number: len(net.side.of(Reachable)) == wanted, 20)


@pytest.mark.parametrize(
    ("kind", "goes", "comes"),
    [
        ("UE_REACHABILITY", "sleep", "wake"),
        ("AVAILABILITY_AFTER_DDN_FAILURE", "sleep", "wake"),
        ("PDN_CONNECTIVITY_STATUS", "pdn-release", "pdn-connect"),
    ],
)
async def test_each_kind_of_report_that_a_device_is_there_is_taken_for_that(net, kind, goes, comes):
    await net.start(downlinks=Downlinks(buffer="bridge"), reachability=Reachability(events=(kind,)))
    await asyncio.to_thread(net.ue.move, goes)
    assert (await net.binding.submit(ATTEMPT)).why is Refusal.UNREACHABLE
    await until(lambda: net.side.counts["reachability_subscriptions_made"], 20)
    assert await net.subscriptions() == [kind]
    assert (await net.binding.submit(ATTEMPT)).why is Refusal.UNREACHABLE  # a failure that the subscription sees
    assert not net.side.of(Reachable)
    await asyncio.to_thread(net.ue.move, comes)
    await until(lambda: net.side.of(Reachable), 20)
    assert net.side.of(Reachable) == [Reachable(UE)]
    assert isinstance(await net.binding.submit(ATTEMPT), Accepted)


@pytest.mark.parametrize(
    ("kind", "goes", "says"),
    [
        ("LOSS_OF_CONNECTIVITY", "detach", "the network reported that it lost its connection (LOSS_OF_CONNECTIVITY"),
        ("PDN_CONNECTIVITY_STATUS", "pdn-release", "the network reported that its PDN connection was released"),
    ],
)
async def test_a_report_that_a_device_is_lost_is_shown_and_refuses_nothing(net, kind, goes, says):
    await net.start(reachability=Reachability(events=(kind,)))
    await until(lambda: net.side.counts["reachability_subscriptions_made"], 20)
    assert net.binding.device_state(UE) is None
    await asyncio.to_thread(net.ue.move, goes)
    state = await until(lambda: net.binding.device_state(UE), 20)
    assert state.detail.startswith(says)
    assert state.since <= net.side.now()
    assert not net.side.of(Reachable)
    result = await net.binding.submit(ATTEMPT)
    assert isinstance(result, Accepted) or result.detail.startswith("500 ")  # the SCEF's own word
    await net.binding.stop()
    await net.start(reachability=Reachability(events=(kind,)), provision=False)
    assert net.binding.device_state(UE) == state


async def test_standing_subscriptions_are_made_once_and_outlive_a_restart(net):
    kinds = ("LOSS_OF_CONNECTIVITY", "PDN_CONNECTIVITY_STATUS")
    await net.start(reachability=Reachability(events=kinds, detection_time=60))
    await until(lambda: net.side.counts["reachability_subscriptions_made"] == 2)
    assert await net.subscriptions() == sorted(kinds)
    await asyncio.to_thread(net.ue.move, "pdn-release")
    await asyncio.to_thread(net.ue.move, "pdn-connect")
    await until(lambda: net.side.of(Reachable), 20)
    await net.binding.deprovision(UE)
    await until(lambda: not net.memory.notes.keys() - {"path"}, 20)
    assert await net.subscriptions() == []


async def test_network_parameters_follow_the_endpoint(net):
    await net.start({"maximum_latency": "7200"}, reachability=Reachability(maximum_response_time=30))
    await until(lambda: net.side.counts["reachability_parameters_set"])
    (set_,) = await net.ask("GET", "/parameters")
    assert (set_["maximumLatency"], set_["maximumResponseTime"]) == (7200, 30)
    await net.binding.provision(UE, {"maximum_latency": "3600"})

    async def changed():
        (now,) = await net.ask("GET", "/parameters")
        return now["maximumLatency"] == 3600

    await until(changed, 20)
    await net.binding.deprovision(UE)

    async def gone():
        return not await net.ask("GET", "/parameters")

    await until(gone, 20)


async def test_a_network_without_these_apis_is_asked_once_a_day(make, scef, side):
    """The scripted SCEF has neither: 404, as an unknown route is answered."""
    binding = await make(reachability={"events": ("LOSS_OF_CONNECTIVITY",), "maximum_latency": 60})
    await binding.provision(UE, {})
    await until(lambda: side.counts["reachability_failures"] == 1)
    await until(lambda: binding.records.held(UE).watch_due > side.now() + 80_000 if binding.records.held(UE) else False)
    side.offset += 3600
    await asyncio.sleep(0.6)
    assert side.counts["reachability_failures"] == 1
    assert binding.status()["configurations"]["active"] == 1
    assert UE in binding.status()["reachability"]["last_error"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400), (b"[]", 400), (b"{}", 400), (b'{"subscription":7}', 400),
        (b'{"subscription":"/subscriptions/s1"}', 204),  # a test notification
        (b'{"subscription":"/subscriptions/s1","monitoringEventReports":[{"monitoringType":"UE_REACHABILITY"}]}', 404),
        (b'{"subscription":"/subscriptions/s1","cancelInd":true}', 404),
    ],
)  # fmt: skip
async def test_reports_that_are_none_of_ours(make, scef, side, body, status):
    binding = await make()
    assert await scef.notify(f"{binding.listener.url}/reports", body) == status
    assert await scef.notify(f"{binding.listener.url}/elsewhere", body) == 404
    assert not side.delivered


async def test_a_report_about_another_device_is_dropped(make, scef, side, memory):
    binding = await make(reachability={"events": ("UE_REACHABILITY",)})
    memory.notes["s/s1"] = UE.encode()
    report = {"monitoringType": "UE_REACHABILITY", "externalId": "other@iot.example"}
    body = {"subscription": "/subscriptions/s1", "monitoringEventReports": [report]}
    assert await scef.notify(f"{binding.listener.url}/reports", body) == 204
    assert not side.delivered
    report["externalId"] = UE
    assert await scef.notify(f"{binding.listener.url}/reports", body) == 204
    assert side.delivered == [Reachable(UE)]


async def test_power_saving_that_was_reported_tells_when_to_try_again(make, scef, side, memory):
    from bindings.t8.times import format_time

    binding = await make(reachability={"events": ("AVAILABILITY_AFTER_DDN_FAILURE",)})
    await binding.provision(UE, {})
    await until(lambda: binding.status()["configurations"]["active"] == 1)
    memory.notes["s/s1"] = UE.encode()
    idle = {"idleStatusTimestamp": format_time(side.now() - 600), "activeTime": 10, "periodicAUTimer": 7200}
    report = {"monitoringType": "LOSS_OF_CONNECTIVITY", "externalId": UE, "idleStatusInfo": idle}
    body = {"subscription": "/subscriptions/s1", "monitoringEventReports": [report]}
    assert await scef.notify(f"{binding.listener.url}/reports", body) == 204
    scef.script["submit"].append((500, {"problemDetail": {"cause": "TEMPORARILY_NOT_REACHABLE"}}))
    result = await binding.submit(ATTEMPT)
    assert result.why is Refusal.UNREACHABLE
    assert result.retry_at == pytest.approx(side.now() + 6600, abs=5)


def monitoring(kind, **more):
    report = {"monitoringType": kind, "externalId": UE} | more
    return {"subscription": "/subscriptions/s1", "monitoringEventReports": [report]}


RELEASED = {"pdnConnInfoList": [{"status": "RELEASED", "pdnType": "NON_IP"}]}
CREATED = {"pdnConnInfoList": [{"status": "CREATED", "pdnType": "NON_IP"}]}


@pytest.fixture
async def lost(make, scef, side, memory):
    """Return a binding whose device was reported lost, and what posts one more report."""
    binding = await make(reachability={"events": ("LOSS_OF_CONNECTIVITY",)})
    await binding.provision(UE, {})
    await until(lambda: binding.status()["configurations"]["active"] == 1)
    memory.notes["s/s1"] = UE.encode()

    async def reports(kind, **more):
        assert await scef.notify(f"{binding.listener.url}/reports", monitoring(kind, **more)) == 204

    await reports("LOSS_OF_CONNECTIVITY", lossOfConnectReason=6)
    assert binding.device_state(UE).detail.endswith("(LOSS_OF_CONNECTIVITY, reason 6)")
    return binding, reports


async def test_an_uplink_ends_what_was_reported(lost, scef, memory):
    binding, _ = lost
    assert "l/" + UE in memory.notes
    assert await scef.uplink(UE, b"here") == 204
    assert binding.device_state(UE) is None
    await until(lambda: "l/" + UE not in memory.notes)


@pytest.mark.parametrize(
    ("kind", "more"),
    [("UE_REACHABILITY", {}), ("AVAILABILITY_AFTER_DDN_FAILURE", {}), ("PDN_CONNECTIVITY_STATUS", CREATED)],
)
async def test_a_report_that_the_device_is_there_ends_it_too(lost, kind, more):
    binding, reports = lost
    await reports(kind, **more)
    assert binding.device_state(UE) is None


async def test_a_report_that_comes_late_says_nothing_of_a_device_that_was_heard_since(lost, scef, side):
    from bindings.t8.times import format_time

    binding, reports = lost
    assert await scef.uplink(UE, b"here") == 204
    await reports("LOSS_OF_CONNECTIVITY", eventTime=format_time(side.now() - 60))
    assert binding.device_state(UE) is None
    await reports("PDN_CONNECTIVITY_STATUS", **RELEASED)
    assert binding.device_state(UE).detail == "the network reported that its PDN connection was released"


@pytest.mark.parametrize("said", ["tomorrow", "9999-12-31T23:59:59Z", "", 7, None])
async def test_a_time_that_cannot_be_counts_as_now(lost, side, said):
    binding, reports = lost
    before = side.now()
    await reports("PDN_CONNECTIVITY_STATUS", eventTime=said, **RELEASED)
    assert before <= binding.device_state(UE).since <= side.now()


async def test_power_saving_that_was_reported_is_shown_until_the_device_is_heard(lost, scef, side):
    from bindings.t8.times import format_time

    binding, reports = lost
    idle = {"idleStatusTimestamp": format_time(side.now() - 600), "activeTime": 10, "periodicAUTimer": 7200}
    await reports("UE_REACHABILITY", idleStatusInfo=idle)
    state = binding.device_state(UE)
    assert state.until == pytest.approx(side.now() + 6600, abs=5)
    assert await scef.uplink(UE, b"here") == 204
    assert binding.device_state(UE) is None
    assert binding._watch.wakes_at(UE) is None  # it listens for ten seconds from now on


# Zero touch


@pytest.fixture
async def newcomers():
    with EmulatedScef("--on-first-use", "*@iot.example") as scef:
        async with contextlib.AsyncExitStack() as stack:
            yield Net(scef, stack)


async def test_a_device_that_comes_by_itself_gets_an_endpoint_and_a_configuration(net):
    rule = ZeroTouch(allow=("*@iot.example",), name="urn:dev:{local}", options={"buffer": "bridge"})
    await net.start(provision=False, zero_touch=rule)
    await asyncio.to_thread(net.scef.set, nidd_trigger_url=f"{net.binding.listener.url}/trigger")
    await asyncio.to_thread(net.ue.send, b"\x01")  # without a configuration: the NEF asks for one

    async def added():
        return net.side.added.get(UE)

    assert await until(added, 20) == ("urn:dev:meter-1", {"buffer": "bridge"})
    await net.binding.provision(UE, {"buffer": "bridge"})  # as the bridge does for a new endpoint
    await until(lambda: net.binding.status()["configurations"]["active"] == 1, 20)
    await asyncio.to_thread(net.ue.send, b"\x02")
    await until(lambda: [one.payload for one in net.side.of(UplinkMessage)][-1:] == [b"\x02"], 20)


TRIGGER = {"afId": "as1", "nefId": "nef", "suppFeat": "0"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (TRIGGER | {"gpsi": "extid-a@iot.example"}, 200),
        (TRIGGER | {"gpsi": "a@iot.example"}, 200),
        (TRIGGER | {"gpsi": "extid-a@else.where"}, 403),
        (TRIGGER | {"gpsi": "msisdn-491700000001"}, 403),
        (TRIGGER | {"gpsi": "extid-"}, 400),
        (TRIGGER, 400),
        ([], 400),
        (b"{", 400),
    ],
)
async def test_triggers(make, scef, side, body, status):
    binding = await make(zero_touch={"allow": ("*@iot.example",)})
    url = f"{binding.listener.url}/trigger/"
    async with scef.session.post(url, data=body if isinstance(body, bytes) else json.dumps(body)) as answer:
        assert answer.status == status
        if status == 200:
            assert await answer.json() == {"suppFeat": "0"}
    assert bool(side.added) == (status == 200)


async def test_without_a_rule_nobody_comes_by_himself(make, scef, side):
    binding = await make()
    assert await scef.notify(f"{binding.listener.url}/trigger", TRIGGER | {"gpsi": "extid-a@iot.example"}) == 403
    assert not side.added


async def test_a_trigger_for_a_device_that_has_a_configuration_has_the_scef_asked(make, scef, side):
    binding = await make(zero_touch={"allow": ("*",)})
    await binding.provision(UE, {})
    await until(lambda: binding.status()["configurations"]["active"] == 1)
    side.added[UE] = ("meter-1", {})
    scef.configurations.clear()
    assert await scef.notify(f"{binding.listener.url}/trigger", TRIGGER | {"gpsi": f"extid-{UE}"}) == 200
    await until(lambda: scef.name_of(UE), why="made again")


@pytest.mark.parametrize("name", ["{imei}", "{", "{0}", "{device.x}"])
def test_a_name_that_cannot_be_made_is_named(name):
    settings = NiddSettings(api_root="http://x.example", scs_as_id="a", zero_touch=ZeroTouch(name=name))
    with pytest.raises(ConfigurationError, match=r"zero_touch\.name"):
        NiddBinding("n", settings)
