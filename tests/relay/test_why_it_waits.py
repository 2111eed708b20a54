"""Whatever keeps a message back, the answer to "why is it not out yet?" names it, and says until when."""

import pytest
from world import START, World, register, request, response

from bindings.contract import Accepted, Ambiguous, Cancellation, Lookup, NetworkState, Presence, Refusal, Refused
from bridge.coap.numbers import Code
from bridge.delivery.explain import Explanation, explain
from bridge.delivery.network import FREE, NetworkCondition
from bridge.relay import events as ev

FULL = NetworkCondition(takes_answers=False, takes_others=False)
BUFFERED = Accepted("h", NetworkState.BUFFERED)
LATER = START + 300


def paused(until: float) -> NetworkCondition:
    return NetworkCondition(takes_answers=False, takes_others=False, paused_until=until)


PAUSED = paused(START + 40)


def why(world: World) -> list[tuple[str, int | None, float | None]]:
    """Return reason, what it waits for, and until when, of each message that is not over."""
    return [(one.why, one.blocked_by, one.next_at) for one in explanations(world)]


def explanations(world: World) -> list[Explanation]:
    return explain(world.state.deliveries, world.wall, world.south, world.condition)


def asks(world: World, *mids: int) -> None:
    for mid in mids:
        world.server_sends(request(mid=mid, token=bytes((mid,))))


@pytest.fixture
def slow() -> World:
    """An endpoint whose messages may wait for two hours."""
    return World(default_ttl=7200.0)


def test_the_network_is_paused(slow: World) -> None:
    slow.condition = PAUSED
    asks(slow, 1)
    assert why(slow) == [("the network is down, and is called again later", None, START + 40)]


def test_r11_a_limit_of_submits_does_not_hold_the_cancel_of_a_message_whose_deadline_passed() -> None:
    world = World(default_ttl=60.0)
    world.network = BUFFERED
    asks(world, 1)
    world.condition = NetworkCondition(
        takes_answers=False, takes_others=False, takes_checks=True, limited_until=START + 900, why_limited="a limit"
    )
    world.passes(50)
    asks(world, 2)
    assert why(world)[1][0].startswith("one request at a time")
    world.passes(11)
    assert world.states() == ["EXPIRED", "QUEUED"]
    assert why(world) == [("a limit", None, START + 110)]


def test_all_calls_of_the_network_are_under_way(slow: World) -> None:
    slow.condition = FULL
    asks(slow, 1)
    ((text, blocked, _),) = why(slow)
    assert text == "no further call of the network can begin now: it is this device's turn when another call has ended"
    assert blocked is None


def test_an_answer_waits_for_its_own_turn(slow: World) -> None:
    slow.condition = NetworkCondition(takes_answers=True, takes_others=False)
    asks(slow, 1)
    assert why(slow)[0][0].startswith("no further call of the network can begin now")
    slow.condition = FULL
    slow.device_sends(register())
    slow.server_sends(response(slow.last_north(), Code.CREATED))
    first, answer = why(slow)
    assert first[:2] == ("Register answer is sent before it", 4)
    assert answer[0].startswith("no further call of the network can begin now")


def test_the_network_is_being_called(slow: World) -> None:
    slow.network = None
    asks(slow, 1, 2)
    first, second = why(slow)
    assert first[0] == "the network is being called"
    assert second[:2] == ("one request at a time: Read is SUBMITTING", 1)


def test_an_earlier_request_has_the_slot(slow: World) -> None:
    slow.network = BUFFERED
    asks(slow, 1, 2)
    assert [text for text, *_ in why(slow)] == [
        "the network holds it until the device can be reached",
        "one request at a time: Read is BUFFERED",
    ]


def test_the_device_is_out_of_reach(slow: World) -> None:
    slow.network = Refused(Refusal.UNREACHABLE, "no such UE", retry_at=LATER)
    asks(slow, 1, 2)
    assert why(slow) == [
        ("the network reports that the device cannot be reached (no such UE)", None, LATER),
        ("the network reports that the device cannot be reached", 1, LATER),
    ]


@pytest.mark.parametrize(
    ("refusal", "text"),
    [
        (Refusal.RATE_LIMITED, "the network's limit for it is used up (why)"),
        (Refusal.FAILED, "the network failed to handle it, and is called again later (why)"),
        (Refusal.NETWORK_UNAVAILABLE, "the network was down, and is called again later (why)"),
    ],
)
def test_a_refused_request_waits_and_those_behind_keep_their_order(slow: World, refusal: Refusal, text: str) -> None:
    slow.network = Refused(refusal, "why")
    asks(slow, 1, 2)
    assert why(slow) == [(text, None, START + 5), ("requests keep their order: Read waits", 1, START + 5)]


def test_what_met_an_outage_waits_for_the_network_if_that_is_longer(slow: World) -> None:
    slow.network = Refused(Refusal.NETWORK_UNAVAILABLE, "connection refused")
    asks(slow, 1)
    slow.condition = PAUSED
    ((text, _, until),) = why(slow)
    assert text == "the network is down, and is called again later (connection refused)"
    assert until == START + 40


def test_nobody_knows_and_the_network_is_to_be_asked(slow: World) -> None:
    slow.network = Ambiguous("no answer")
    slow.lookup_answer = Lookup(Presence.FAILED)
    asks(slow, 1, 2)
    assert why(slow) == [
        (
            "it is unknown whether the network accepted it (no answer): the network's queue is being asked",
            None,
            START + 30,
        ),
        (
            "it is unknown what became of an earlier message: nothing new is sent until the network was asked",
            1,
            START + 7200,
        ),
    ]
    slow.condition = paused(START + 600)
    assert why(slow)[0][0].endswith("the network's queue will be asked; the network is down, and is called again later")


def test_it_left_and_is_sent_again() -> None:
    world = World(default_ttl=7200.0)
    asks(world, 1)
    assert why(world) == [
        ("it was sent to the device; no answer yet; it is sent again if none comes", None, START + 60)
    ]
    world.condition = paused(START + 100)
    world.passes(61)
    ((text, _, until),) = why(world)
    assert text == (
        "it was sent to the device; no answer yet; it will be sent again; "
        "the network is down, and is called again later"
    )
    assert until == START + 100


def test_its_deadline_passed_in_the_network() -> None:
    world = World(default_ttl=60.0)
    world.network = BUFFERED
    asks(world, 1)
    world.condition = paused(START + 100)
    world.passes(61)
    ((text, _, until),) = why(world)
    assert text == (
        "its deadline passed or it was cancelled: the network is asked to remove it; "
        "the network is down, and is called again later"
    )
    assert until == START + 100
    world.condition = FREE
    world.cancel_answer = Cancellation.UNKNOWN
    world.event(ev.Tick())
    ((text, _, until),) = why(world)
    assert text.startswith("its deadline passed, and the network did not say whether it removed the message")
    assert until == START + 61 + 60


def test_the_device_has_it(south) -> None:
    world = World(south, default_ttl=7200.0)
    world.network = Accepted(None, NetworkState.DELIVERED)
    asks(world, 1)
    assert why(world)[0][0] == "the device has it; no answer yet"


@pytest.mark.parametrize("result", [None, BUFFERED, Refused(Refusal.FAILED, "500"), Ambiguous("no answer")])
def test_what_could_go_is_never_seen_waiting(south, result) -> None:
    """The step that could have sent a message has done so: some reason keeps each of the others back."""
    world = World(south, default_ttl=7200.0)
    world.network = result
    asks(world, 1, 2, 3)
    world.device_sends(register())
    world.server_sends(response(world.last_north(), Code.CREATED))
    assert "it is the next to be sent" not in [text for text, *_ in why(world)]
