"""The pace at which links open: no storm after a restart of ours, nor of the server's."""

from bridge.north.sessions.gate import FIRST_PAUSE, LONGEST_PAUSE, Gate, OpeningRate


def run(gate: Gate, now: float, until: float, takes: float) -> dict[object, float]:
    """Let time pass; each opening succeeds after `takes` seconds. Return when each began."""
    began: dict[object, float] = {}
    ends: list[tuple[float, object]] = []
    while now < until:
        for end in [one for one in ends if one[0] <= now]:
            ends.remove(end)
            gate.answered(end[1])
        for key in gate.admit(now):
            began[key] = now
            ends.append((now + takes, key))
        steps = [gate.next_in(now), *(end - now for end, _ in ends)]
        now += max(0.001, min((step for step in steps if step is not None), default=until))
    return began


def test_no_more_begin_in_a_second_than_the_pace_says():
    gate = Gate(OpeningRate(per_second=100, at_once=50))
    for key in range(1000):
        gate.ask(key, urgent=False)
    began = run(gate, 5.0, 30.0, takes=0.1)
    assert len(began) == 1000
    times = sorted(began.values())
    assert times[-1] - times[0] < 12
    for at in times:
        assert sum(at <= other < at + 1.0 for other in times) <= 112  # a pace; what is late comes at once


def test_no_more_are_under_way_than_may_be():
    gate = Gate(OpeningRate(per_second=1000, at_once=5))
    for key in range(20):
        gate.ask(key, urgent=False)
    admitted = [key for at in range(100) for key in gate.admit(at / 10)]
    assert len(admitted) == 5
    gate.answered(admitted[0])
    gate.withdraw(admitted[1])
    assert len([key for at in range(100) for key in gate.admit(20.0 + at)]) == 2
    assert gate.next_in(200.0) is None


def test_what_has_a_message_to_send_goes_first():
    gate = Gate(OpeningRate(per_second=1, at_once=100))
    gate.ask("idle", urgent=False)
    gate.ask("other", urgent=False)
    gate.ask("other", urgent=True)
    assert gate.admit(0.0) == ["other"]


def test_a_silent_server_is_tried_by_one_link_ever_more_seldom_and_all_follow_when_it_answers():
    gate = Gate(OpeningRate(per_second=1000, at_once=10))
    for key in range(10):
        gate.ask(key, urgent=False)
    now, pauses = 0.0, []
    gate.unheard("first", "silent", now)
    for _ in range(8):
        wait = gate.next_in(now)
        assert wait is not None
        pauses.append(wait)
        now += wait
        (key,) = gate.admit(now)
        gate.ask("more", urgent=True)
        assert gate.admit(now + 30) == []
        gate.unheard(key, "silent", now)
        gate.ask(key, urgent=False)
    assert pauses[0] == FIRST_PAUSE
    assert pauses[-1] == LONGEST_PAUSE
    wait = gate.next_in(now)
    assert wait is not None
    (key,) = gate.admit(now + wait)
    gate.answered(key)
    assert len([key for at in range(20) for key in gate.admit(now + wait + 1 + at)]) == 10


def test_every_way_out_gives_its_room_back():
    gate = Gate(OpeningRate(per_second=1e6, at_once=3))
    for round_ in range(50):
        for key in range(3):
            gate.ask((round_, key), urgent=True)
        admitted = [key for at in range(10) for key in gate.admit(round_ * 100 + at)]
        assert len(admitted) == 3
        gate.answered(admitted[0])
        gate.withdraw(admitted[1])
        gate.unheard(admitted[2], "silent", round_ * 100 + 10.0)
        gate.answered(admitted[0])  # again, and now the server is there
