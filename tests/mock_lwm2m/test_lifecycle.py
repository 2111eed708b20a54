"""When a client bootstraps, registers and updates: the machine alone, with time passed in (Core TS 1.1 §6.1, §6.2)."""

import pytest

from mock_network.device.accounts import NO_MORE_SEQUENCES, Accounts, RetryPolicy
from mock_network.device.initial import initial_objects
from mock_network.device.lifecycle import SESSION_TIMEOUT, BootstrapPhase, Lifecycle
from mock_network.device.options import DeviceOptions, ServerOptions
from mock_network.device.registration import Phase
from mock_network.device.tasks import (
    Answer,
    Deregister,
    Register,
    RemoveBootstrapAccount,
    RequestBootstrap,
    UndoBootstrap,
    Update,
)
from mock_network.device.tree import ObjectTree

CREATED, SILENCE = Answer("2.01", location=("rd", "x")), Answer(None, "no answer")


def machine(*servers, bootstrap=False, keep=True, retry=None, **options):
    """Return a life cycle of a device with these server accounts."""
    options = DeviceOptions(
        "d", "", more_servers=tuple(servers), bootstrap_uri="coap://bs" if bootstrap else "", **options
    )
    tree = ObjectTree(options.model, initial_objects(options))
    return Lifecycle(Accounts(tree), keep=keep, bootstrap_retry=retry), tree


def server(server_id, **options):
    return ServerOptions(server_id, f"coap://server-{server_id}", **options)


class Run:
    """Lets time pass from task to task; `log` holds what was done and when."""

    def __init__(self, life, answers=None):
        self.life, self.answers, self.now, self.log = life, answers or (lambda _task: CREATED), 0.0, []
        life.start(0.0)

    def until(self, end):
        for _ in range(1000):
            while tasks := self.life.due_tasks(self.now):
                for task in tasks:
                    self.log.append((self.now, task))
                    answer = self.answers(task)
                    if answer is not None:
                        self.life.answered(task, answer, self.now)
            due = self.life.due()
            if due is None or due > end:
                self.now = end
                return self.log
            self.now = max(self.now, due)
        raise AssertionError("time does not pass")

    def times(self, kind=Register, server_id=None):
        return [time for time, task in self.log if isinstance(task, kind) and server_id in {None, task.server}]


@pytest.mark.requirement("LightweightM2M-BsR-005")
def test_servers_register_in_the_order_of_a_resource():
    life, _ = machine(server(1, order=3), server(2, order=1), server(3, order=2))
    registered = [task.server for _, task in Run(life).until(0)]
    assert registered == [2, 3, 1]


def test_a_server_without_order_does_not_wait_for_others():
    life, _ = machine(server(1, order=1), server(2))
    run = Run(life, lambda task: None if task.server == 1 else CREATED)
    assert {task.server for _, task in run.until(0)} == {1, 2}


@pytest.mark.requirement("LightweightM2 M-MaU-4", "LightweightM2 M-MaU-5", "LightweightM2M-BsR-006")
def test_initial_registrations_lag_behind_each_other_as_resources_say():
    """/1/x/14: the delay counts from the registration before, and only until the first success."""
    life, _ = machine(
        server(1, order=1, initial_delay=10, lifetime=0),
        server(2, order=2, initial_delay=30, lifetime=0),
        server(3, order=3, initial_delay=5, lifetime=0),
    )
    run = Run(life)
    assert [(time, task.server) for time, task in run.until(100)] == [(10, 1), (40, 2), (45, 3)]
    life.registrations[2].answered(Update(2), Answer("4.04"), life._accounts.server(2), 100)
    assert run.until(100)[-1] == (100, Register(2))


@pytest.mark.requirement("LightweightM2M-BsR-006")
@pytest.mark.parametrize(("block", "registered"), [(True, [1]), (False, [1, 2])])
def test_a_failure_may_block_the_servers_that_follow(block, registered):
    life, _ = machine(server(1, order=1, retry_count=1, failure_block=block), server(2, order=2))
    run = Run(life, lambda task: SILENCE if task.server == 1 else CREATED)
    assert [task.server for _, task in run.until(10)] == registered


@pytest.mark.requirement("LightweightM2M-BsR-004")
def test_resources_control_how_often_and_how_far_apart_registering_is_tried():
    life, _ = machine(server(1, retry_count=3, retry_timer=10, sequence_delay=1000, sequence_count=2))
    run = Run(life, lambda _task: SILENCE)
    run.until(1100)
    assert run.times() == [0, 10, 30, 1030, 1040, 1060]
    assert life.registrations[1].phase is Phase.FAILED


def test_without_further_sequences_a_client_gives_up():
    life, _ = machine(server(1, retry_count=1, sequence_delay=NO_MORE_SEQUENCES))
    run = Run(life, lambda _task: SILENCE)
    run.until(1e9)
    assert run.times() == [0]


def test_attempts_without_answer_double_their_pauses():
    life, _ = machine(server(1))
    run = Run(life, lambda _task: SILENCE)
    run.until(1000)
    assert run.times() == [0, 60, 180, 420, 900]


def test_a_conflict_is_answered_by_a_complete_register_at_once():
    life, _ = machine(server(1))
    run = Run(life, lambda task: CREATED if task.complete else Answer("4.09"))
    assert run.until(0) == [(0, Register(1)), (0, Register(1, complete=True))]


def test_updates_keep_a_registration_alive():
    life, _ = machine(server(1, lifetime=300))
    run = Run(life, lambda task: CREATED if isinstance(task, Register) else Answer("2.04"))
    run.until(1000)
    assert run.times(Update) == [207, 414, 621, 828]


@pytest.mark.parametrize(
    ("answer", "again"), [(Answer("4.04"), 207), (SILENCE, 207), (Answer("5.03"), 267), (Answer("4.00"), 267)]
)
def test_an_update_without_success_is_followed_by_a_register(answer, again):
    life, _ = machine(server(1, lifetime=300))
    run = Run(life, lambda task: CREATED if isinstance(task, Register) else answer)
    run.until(300)
    assert run.times() == [0, again]


def test_what_changed_goes_out_with_one_update():
    life, _ = machine(server(1))
    run = Run(life, lambda task: CREATED if isinstance(task, Register) else Answer("2.04"))
    run.until(0)
    for what in ("lifetime", "links", "sign of life"):
        life.registrations[1].ask(what)
    assert run.until(0)[1:] == [(0, Update(1, lifetime=True, links=True))]


def test_a_disabled_server_is_left_and_comes_back_after_its_timeout():
    life, _ = machine(server(1))
    run = Run(life)
    run.until(10)
    life.registrations[1].leave(10, 600)
    run.until(700)
    assert [(time, type(task)) for time, task in run.log] == [(0, Register), (10, Deregister), (610, Register)]


def test_a_passive_client_does_nothing_by_itself():
    life, _ = machine(server(1, lifetime=60), keep=False)
    run = Run(life)
    assert run.until(1e6) == []
    life.answered(Register(1), CREATED, 5)
    assert life.registrations[1].registered
    assert life.due() is None


# Bootstrap.


def test_a_client_without_account_asks_its_bootstrap_server_after_the_hold_off():
    life, _ = machine(bootstrap=True, bootstrap_hold_off=20)
    assert Run(life, lambda _task: Answer("2.04")).until(30) == [(20, RequestBootstrap())]
    assert life.in_session


@pytest.mark.requirement("LightweightM2M-BsR-003")
@pytest.mark.parametrize(("answer", "when"), [(SILENCE, 10), (Answer("4.03"), 0)])
def test_a_registration_that_fails_or_is_refused_falls_back_to_bootstrap(answer, when):
    life, _ = machine(server(1, retry_count=2, retry_timer=10), bootstrap=True)
    run = Run(life, lambda task: answer if isinstance(task, Register) else None)
    assert run.until(100)[-1] == (when, RequestBootstrap())


@pytest.mark.requirement("LightweightM2M-BsR-003")
def test_the_fall_back_can_be_switched_off():
    life, _ = machine(
        server(1, retry_count=2, retry_timer=10, sequence_delay=100, bootstrap_on_failure=False), bootstrap=True
    )
    run = Run(life, lambda _task: SILENCE)
    run.until(125)
    assert run.times() == [0, 10, 110, 120]
    assert life.bootstrap_phase is BootstrapPhase.IDLE


def test_after_bootstrap_every_server_is_registered_with_anew():
    life, tree = machine(bootstrap=True)
    run = Run(life, lambda task: Answer("2.04") if isinstance(task, RequestBootstrap) else CREATED)
    run.until(5)
    tree.add_instance((0, 5), {0: "coap://new", 1: False, 2: 3, 3: b"", 4: b"", 5: b"", 10: 9})
    tree.add_instance((1, 0), {0: 9, 1: 60, 6: True, 7: "U"})
    life.finished(None, 6)
    run.now = 6
    assert run.until(6)[-1] == (6, Register(9))


def test_a_finish_that_overtakes_the_answer_to_the_request_counts():
    life, _ = machine(server(1), bootstrap=True)
    run = Run(life)
    run.until(0)
    life.bootstrap(10, triggered=True)
    assert life.due_tasks(10) == [RequestBootstrap()]
    assert life.in_session
    life.session_continues(10)
    life.finished(None, 10)
    life.answered(RequestBootstrap(), Answer("2.04"), 11)
    assert life.bootstrap_phase is BootstrapPhase.IDLE
    assert life.due_tasks(11) == [Register(1)]


def test_a_session_that_does_not_end_is_undone_and_tried_again():
    life, _ = machine(bootstrap=True, retry=RetryPolicy(count=2, timer=10, sequence_delay=500))
    run = Run(life, lambda task: Answer("2.04") if isinstance(task, RequestBootstrap) else None)
    run.until(SESSION_TIMEOUT + 10)
    assert [(time, task) for time, task in run.log] == [
        (0, RequestBootstrap()),
        (SESSION_TIMEOUT, UndoBootstrap()),
        (SESSION_TIMEOUT + 10, RequestBootstrap()),
    ]
    assert life.bootstrap_failures == ["no Bootstrap-Finish in time"]


def test_each_request_of_the_bootstrap_server_lets_the_session_go_on():
    life, _ = machine(bootstrap=True)
    run = Run(life, lambda _task: Answer("2.04"))
    run.until(200)
    life.session_continues(200)
    run.until(200 + SESSION_TIMEOUT - 1)
    assert life.in_session


def test_bootstrap_is_tried_with_back_off_and_the_servers_meanwhile():
    """Fall-back and back without a person: neither end answers, then the server does."""
    life, _ = machine(
        server(1, retry_count=1),
        bootstrap=True,
        retry=RetryPolicy(count=2, timer=10, sequence_delay=500),
    )
    up = False
    run = Run(life, lambda task: CREATED if up and isinstance(task, Register) else SILENCE)
    run.until(515)
    assert [(time, type(task)) for time, task in run.log] == [
        (0, Register),
        (0, RequestBootstrap),
        (10, RequestBootstrap),
        (10, Register),
        (510, RequestBootstrap),
    ]
    up = True
    run.until(520)
    assert [(time, type(task)) for time, task in run.log][5:] == [(520, RequestBootstrap), (520, Register)]
    assert life.registrations[1].registered


def test_the_account_of_the_bootstrap_server_ends_after_its_timeout():
    life, _ = machine(server(1), bootstrap=True, bootstrap_account_timeout=100)
    run = Run(life)
    run.until(0)
    life.bootstrap(0, triggered=True)
    run.until(0)
    life.finished(None, 5)
    run.until(200)
    assert (105, RemoveBootstrapAccount()) in run.log


def test_without_a_bootstrap_server_nothing_is_asked():
    life, _ = machine(server(1))
    life.start(0)
    assert not life.bootstrap(0)


def test_a_device_that_goes_down_in_a_session_undoes_it_and_begins_again():
    life, _ = machine(bootstrap=True, retry=RetryPolicy(count=5, timer=10))
    run = Run(life, lambda _task: Answer("2.04"))
    run.until(5)
    assert life.in_session
    life.start(5)
    run.now = 5
    run.until(15)
    assert run.log[1:] == [(5, UndoBootstrap()), (15, RequestBootstrap())]
