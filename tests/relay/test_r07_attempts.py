"""R7: an attempt is committed before the call; answers and reports may be quicker than the call itself."""

import pytest
from world import NIDD, World, request, response

from bindings.contract import Accepted, Ambiguous, NetworkState, Presence, Refusal, Refused
from bridge.delivery.reports import UnattributedReport


def test_r07_submitting_and_the_attempt_number_are_committed_with_the_call(world: World):
    world.network = None
    world.server_sends(request())
    (row,) = world.downlinks()
    assert (row["state"], row["attempts"][-1].number) == ("SUBMITTING", 1)
    assert world.submitted[0].attempt.number == 1


def test_r07_submitting_is_unknown_after_a_restart_and_looked_up(world: World):
    world.network = None
    world.server_sends(request(2, "3/0/4"))
    world.restart()
    assert world.states() == ["UNKNOWN"]
    assert [lookup.attempt.number for lookup in world.lookups] == [1]


@pytest.mark.parametrize("result", [Accepted("h", NetworkState.BUFFERED), Refused(Refusal.FAILED, "x"), Ambiguous("x")])
def test_r07_a_response_before_the_call_has_returned_wins(world: World, result):
    world.network = None
    world.server_sends(request())
    world.device_sends(response(world.last_south()))
    assert world.states() == ["RESPONDED"]
    world.answers_open_call(result)
    assert world.states() == ["RESPONDED"]
    world.network = Accepted("h2", NetworkState.SENT)
    world.server_sends(request(mid=2, token=b"next"))
    assert len(world.submitted) == 2


@pytest.mark.parametrize("state", ["submitting", "buffered", "sent", "delivered", "unknown", "queued again"])
def test_r07_a_response_moves_any_state_that_is_no_outcome_to_responded(south, state):
    world = World(south)
    world.network = {
        "submitting": None,
        "buffered": Accepted("h", NetworkState.BUFFERED),
        "sent": Accepted("h", NetworkState.SENT),
        "delivered": Accepted("h", NetworkState.DELIVERED),
        "unknown": Ambiguous("lost"),
        "queued again": Refused(Refusal.UNREACHABLE, "asleep", retry_at=world.wall + 60),
    }[state]
    operation = request(2, "3/0/4") if state == "unknown" else request()
    world.server_sends(operation)
    world.device_sends(response(world.last_south()))
    assert world.states() == ["RESPONDED"]
    assert len(world.uplinks("response")) == 1


@pytest.mark.parametrize("restarts", [False, True])
def test_r07_a_report_before_the_submit_result_is_kept_and_attributed(south, restarts):
    world = World(south)
    world.network = None
    world.server_sends(request())
    world.reports("h7", NetworkState.DELIVERED)
    assert world.states() == ["SUBMITTING"]
    assert [row["handle"] for row in world.rows(UnattributedReport)] == ["h7"]
    if restarts:
        world.lookup_answer = world.lookup_answer.__class__(Presence.PRESENT, "h7")
        world.restart()
    else:
        world.answers_open_call(Accepted("h7", NetworkState.BUFFERED))
    assert world.states() == ["DELIVERED"]
    assert world.rows(UnattributedReport) == []


@pytest.mark.parametrize("restarts", [False, True])
def test_r07_a_report_that_overtakes_the_answer_to_a_repetition_is_attributed(restarts):
    """The copy before has a handle already; without the report the network would hold this one forever."""
    world = World(NIDD, default_ttl=86400.0)
    world.network = Accepted("h1", NetworkState.SENT)
    world.server_sends(request())
    world.network = None
    world.passes(61)
    assert world.states() == ["SUBMITTING"]
    world.reports("h2", NetworkState.SENT)
    if restarts:
        world.restart()
        assert world.states() == ["SENT"]
    else:
        world.answers_open_call(Accepted("h2", NetworkState.BUFFERED))
        assert world.states() == ["SENT"]
        assert world.rows(UnattributedReport) == []
    world.network = Accepted("h3", NetworkState.SENT)
    world.passes(400)
    assert world.states() == ["UNANSWERED"]


def test_r07_reports_of_what_nobody_submitted_are_let_go_with_the_answer(world: World):
    world.network = None
    world.server_sends(request())
    world.reports("theirs", NetworkState.SENT)
    assert len(world.rows(UnattributedReport)) == 1
    world.answers_open_call(Accepted("ours", NetworkState.SENT))
    assert world.rows(UnattributedReport) == []


def test_r07_a_report_that_refuses_before_the_submit_result_sets_it_back(world: World):
    world.network = None
    world.server_sends(request())
    world.reports("h7", Refusal.UNREACHABLE, retry_at=world.wall + 50)
    world.answers_open_call(Accepted("h7", NetworkState.BUFFERED))
    assert world.states() == ["QUEUED"]
    world.network = Accepted("h8", NetworkState.SENT)
    world.passes(51)
    assert world.states() == ["SENT"]


def test_r07_reports_overtake_each_other_but_states_never_go_back(world: World):
    world.network = Accepted("h", NetworkState.BUFFERED)
    world.server_sends(request())
    world.reports("h", NetworkState.DELIVERED)
    for late in NetworkState.SENT, NetworkState.BUFFERED, NetworkState.DELIVERED:
        world.reports("h", late)
        assert world.states() == ["DELIVERED"]


def test_r07_a_report_that_nothing_can_be_meant_by_is_counted_and_not_kept(world: World):
    world.reports("nobody", NetworkState.SENT)
    assert world.rows(UnattributedReport) == []
    assert world.counted("reports_without_downlink") == 1


def test_r07_a_report_that_comes_before_the_submit_result_is_not_sought_among_all_finished_messages(world: World):
    """Many are remembered: of these only the latest few can still be reported on."""
    looked_at = []

    class Watched(list):
        def __iter__(self):
            looked_at.append(self)
            return super().__iter__()

    for mid in range(40):
        world.network = Accepted(f"h{mid}", NetworkState.SENT)
        world.server_sends(request(mid=mid, token=b"%d" % mid))
        world.device_sends(response(world.last_south()))
    for row in world.state.deliveries.kept.values():
        row.attempts = Watched(row.attempts)
    world.network = None
    world.server_sends(request(mid=40, token=b"40"))
    world.reports("h40", NetworkState.SENT)
    assert len(world.rows(UnattributedReport)) == 1
    assert len(looked_at) < 10
    world.reports("h39", NetworkState.DELIVERED)  # late: its message is answered
    assert len(world.rows(UnattributedReport)) == 1
    world.answers_open_call(Accepted("h40", NetworkState.BUFFERED))
    assert world.states()[-1] == "SENT"


def test_r07_the_result_of_an_older_attempt_changes_nothing(world: World):
    world.network = Refused(Refusal.RATE_LIMITED, "429", retry_at=world.wall + 10)
    world.server_sends(request())
    old = world.submitted[0].attempt
    world.network = None
    world.passes(11)
    from bridge.relay import events as ev

    world.event(ev.Submitted(old.downlink, old.number, Accepted("old", NetworkState.SENT)))
    assert world.states() == ["SUBMITTING"]
    assert world.counted("stale_submit_results") == 1
