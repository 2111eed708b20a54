"""Sleeping devices are woken up by a trigger over another network, where that is known to be taken, and only then."""

import pytest
from world import NIDD, World, register, request, response

from bindings.contract import Accepted, Ambiguous, NetworkState, Refusal, Refused
from bridge.coap.message import Message, Type
from bridge.coap.numbers import Code, OptionNumber
from bridge.coap.udp import decode
from bridge.delivery.rules import NEVER_DELIVERED
from bridge.relay import events as ev
from bridge.relay.effects import Effect, WakeUp
from bridge.relay.model import Policy, ServerProfile, Wake

HELD = Accepted("h", NetworkState.BUFFERED)
BY_SMS = Wake("by-sms", 8, 0)
PATIENT = ServerProfile(patience=86400.0)


class Sleeper(World):
    """An endpoint whose device sleeps, with the triggers that were asked for."""

    def __init__(self, wake: Wake | None = BY_SMS, **more: object) -> None:
        super().__init__(NIDD, PATIENT, Policy(wake_after=5.0, wake_interval=600.0), wake=wake, **more)
        self.network = HELD
        self.woken: list[WakeUp] = []

    def _release(self, effect: Effect) -> None:
        if isinstance(effect, WakeUp):
            self.woken.append(effect)
        else:
            super()._release(effect)

    def ask(self, mid: int = 1, code: int = Code.GET, path: str = "3/0/0") -> None:
        self.server_sends(request(code, path, mid, mid.to_bytes(2, "big")))


def test_a_device_that_lets_a_request_wait_is_woken_up_once() -> None:
    one = Sleeper()
    one.ask()
    assert not one.woken  # it may be awake: nothing is spent before `wake_after`
    one.passes(4.9)
    assert not one.woken
    one.passes(0.2)
    (asked,) = one.woken
    assert (asked.endpoint, asked.instance, asked.resource) == ("by-sms", 0, 8)
    assert asked.deliver_by == one.downlinks()[0]["deliver_by"]
    one.ask(2)
    one.passes(500)
    assert len(one.woken) == 1


def test_it_is_woken_up_again_after_the_interval_and_over_a_restart() -> None:
    one = Sleeper()
    one.ask()
    one.passes(10)
    one.restart()
    assert len(one.woken) == 1
    one.passes(610)
    assert len(one.woken) == 2


def test_it_is_woken_up_each_interval_while_nothing_else_happens() -> None:
    one = Sleeper()
    one.ask()
    one.passes(5 + 4 * 600 + 1)
    assert len(one.woken) == 5


def test_a_device_out_of_reach_is_woken_up_where_the_bridge_keeps_the_message() -> None:
    one = Sleeper()
    one.network = Refused(Refusal.UNREACHABLE, "asleep", one.wall + 5000)
    one.ask()
    one.passes(6)
    assert len(one.woken) == 1


@pytest.mark.parametrize("result", [Accepted(None, NetworkState.SENT), Refused(Refusal.RATE_LIMITED, "429"), None])
def test_no_other_waiting_wakes_a_device_up(result: object) -> None:
    one = Sleeper()
    one.network = result  # type: ignore[assignment]
    one.ask()
    one.passes(30)
    assert not one.woken


def test_nobody_is_woken_up_without_being_configured() -> None:
    one = Sleeper(None)
    one.ask()
    one.passes(30)
    assert not one.woken


@pytest.mark.parametrize("resource", ["8", "9"])
def test_a_trigger_that_the_server_asked_for_is_left_to_the_server(resource: str) -> None:
    one = Sleeper()
    one.ask(1, Code.POST, f"1/0/{resource}")
    one.passes(30)
    assert not one.woken
    one.ask(2)
    one.passes(30)
    assert not one.woken


def test_a_device_that_is_heard_in_time_is_not_woken_up() -> None:
    one = Sleeper()
    one.ask()
    one.passes(2)
    one.device_sends(response(one.last_south()))
    one.passes(60)
    assert not one.woken


@pytest.mark.parametrize(
    ("links", "instance"),
    [
        (b"</1/3>,</3/0>", 3),
        (b"</1/0>,</1/1>,</3/0>", None),
        (b"</3/0>", None),
        (b"</1>,</3/0>", None),
        (b"</11/0>,</1/2>;ver=1.1", 2),
    ],
)
def test_the_instance_is_the_only_one_that_the_device_has_registered(links: bytes, instance: int | None) -> None:
    one = Sleeper(Wake("by-sms", 9))
    one.network = Accepted(None, NetworkState.SENT)
    _register(one, links)
    one.network = HELD
    one.restart()
    one.ask(9)
    one.passes(6)
    assert [asked.instance for asked in one.woken] == ([] if instance is None else [instance])
    assert one.counted("wake_ups_impossible") == (instance is None)


def _register(one: Sleeper, links: bytes) -> None:
    one.device_sends(register(mid=1, token=b"\1", payload=links))
    north = one.last_north()
    options = [(int(OptionNumber.LOCATION_PATH), b"rd"), (int(OptionNumber.LOCATION_PATH), b"x")]
    one.server_sends(response(north, Code.CREATED, b"", options))


# The endpoint that carries it


def triggered(one: World, deadline: float = 300.0) -> list[Message]:
    one.event(ev.TriggerAsked(0, 8, one.wall + deadline))
    return [decode(each.attempt.payload) for each in one.submitted]


def test_a_trigger_is_a_non_without_a_token_and_nothing_more() -> None:
    one = World()
    (message,) = triggered(one)
    assert (message.type, message.code, message.token) == (Type.NON, Code.POST, b"")
    assert message.strings(OptionNumber.URI_PATH) == ["1", "0", "8"]
    assert not message.payload
    assert len(one.submitted[0].attempt.payload) == 10
    assert one.states("trigger") == ["SENT"]


def test_a_trigger_waits_for_no_slot_and_takes_none() -> None:
    one = World()
    one.server_sends(request(mid=1, token=b"a"))
    assert len(triggered(one)) == 2
    one.server_sends(request(mid=2, token=b"b"))
    assert len(one.submitted) == 2  # behind the request, not behind the trigger


def test_a_trigger_whose_time_is_over_expires() -> None:
    one = World()
    one.network = Refused(Refusal.NETWORK_UNAVAILABLE, "away")
    triggered(one, 60.0)
    one.passes(200)  # the world itself sees to it that nothing is submitted after its deadline
    assert set(one.states("trigger")) <= NEVER_DELIVERED


def test_a_trigger_in_doubt_does_not_go_again() -> None:
    one = World()
    one.network = Ambiguous("no answer")
    triggered(one)
    one.passes(400)
    assert len(one.submitted) == 1
    assert one.states("trigger") == ["UNKNOWN"]


def test_one_trigger_is_under_way_at_a_time() -> None:
    one = World()
    one.network = HELD
    triggered(one)
    assert len(triggered(one)) == 1
    assert one.counted("wake_ups_under_way") == 1


def test_a_trigger_comes_back_from_the_disk_as_it_was() -> None:
    one = World()
    one.network = HELD
    triggered(one)
    one.restart()
    one.event(ev.Reported("h", NetworkState.DELIVERED))
    assert one.states("trigger") == ["DELIVERED"]
