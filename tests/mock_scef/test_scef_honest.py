"""Whatever a client, an operator and the radio do: the emulated SCEF says nothing that did not happen."""

from collections import Counter

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from scef_emulation import DESTINATION, UE, Emulation

from mock_network.scef.core import RefusedError, effects as e
from mock_network.scef.schema import DeliveryResult, DeliveryStatus
from mock_network.scef.schema.monitoring import MonitoringEventSubscription
from mock_network.scef.schema.sms import DeviceTriggering

MOVES = ("attach", "detach", "pdn-connect", "pdn-release", "sleep", "wake")
SETTINGS = (
    {"in_coverage": False},
    {"in_coverage": True},
    {"loss_down": 0.5},
    {"loss_down": 0.0},
    {"loss_up": 0.5},
    {"loss_up": 0.0},
    {"paging_loss": 0.5},
    {"paging_loss": 0.0},
    {"buffering": False},
    {"buffering": None},
    {"rds_enabled": False},
    {"rds_enabled": True},
    {"sms_loss": 0.5},
    {"sms_loss": 0.0},
    {"radio_latency": 7.0},
    {"radio_latency": 0.1},
    {"edrx_cycle": 81.92},
    {"edrx_cycle": None},
)
RATE = 2  # downlinks in ten minutes


class Honesty(RuleBasedStateMachine):
    """One UE that sleeps, with a SCS/AS that sends, changes, cancels, triggers and monitors."""

    def __init__(self):
        super().__init__()
        self.net = Emulation()
        lossy = {"loss_up": 0.3, "loss_down": 0.2, "sms_loss": 0.2}
        sleepy = {"t3324": 10, "t3412": 600, "downlink_rate": RATE, "rate_window": 600.0}
        self.net.ue(rds_enabled=True, rds_timer=1.0, **lossy, **sleepy)
        self.net.configure(supported_features="FF")
        self.count = 0
        self.accepted, self.refused, self.cancelled = [], [], []
        self.triggers, self.recalled = [], []
        self.reports = 0

    def payload(self):
        self.count += 1
        return self.count.to_bytes(4, "big")

    # What is done

    @rule(
        latency=st.sampled_from([None, 0, 30, 3000]),
        reliable=st.booleans(),
        priority=st.sampled_from([None, 5]),
        option=st.sampled_from([None, "WAIT_FOR_UE", "INDICATE_ERROR", "SEND_TRIGGER"]),
    )
    def post(self, latency, reliable, priority, option):
        data = self.payload()
        try:
            name = self.net.post(data, maximum_latency=latency, reliable=reliable, priority=priority, pdn_option=option)
        except RefusedError:
            self.refused.append(data)
        else:
            self.accepted.append((name, data))

    @precondition(lambda self: self.accepted)
    @rule(which=st.integers(0))
    def cancel(self, which):
        name, data = self.accepted[-1 - which % len(self.accepted)]
        try:
            self.net.act(lambda now: self.net.scef.downlinks.cancel(self.net.configuration, name, now))
        except RefusedError:
            return
        self.cancelled.append((name, data))

    @rule(validity=st.sampled_from([0, 3, 20, 2000]))
    def trigger(self, validity):
        terms = DeviceTriggering(
            external_id=UE,
            trigger_payload=self.payload(),
            notification_destination=DESTINATION,
            validity_period=validity,
            priority="NO_PRIORITY",
            application_port_id=1,
        )
        self.triggers.append(self.net.act(lambda now: self.net.scef.sms.create("as1", terms, now)))

    @precondition(lambda self: self.triggers)
    @rule(which=st.integers(0))
    def recall(self, which):
        one = self.triggers[-1 - which % len(self.triggers)]
        try:
            self.net.act(lambda now: self.net.scef.sms.recall(one, now))
        except RefusedError:
            return
        self.recalled.append(one)

    @rule(number=st.integers(1, 3))
    def subscribe(self, number):
        terms = MonitoringEventSubscription(
            external_id=UE,
            notification_destination=DESTINATION,
            monitoring_type="UE_REACHABILITY",
            maximum_number_of_reports=number,
        )
        _, known = self.net.act(lambda now: self.net.scef.monitoring.create("as1", terms, now))
        self.reports += number - len(known)

    @rule(move=st.sampled_from(MOVES))
    def move(self, move):
        self.net.move(move)

    @rule(change=st.sampled_from(SETTINGS))
    def change(self, change):
        self.net.change(**change)

    @rule()
    def uplink(self):
        self.net.uplink(self.payload())

    @rule(seconds=st.sampled_from([0.05, 1, 12, 31, 200, 1000]))
    def wait(self, seconds):
        self.net.wait(seconds)

    # What must hold

    def ends(self):
        """Return the end that was told of each downlink, by its id."""
        told = [(effect.delivery.id, effect.status) for effect in self.net.kinds(e.NotifyDelivery)]
        told += [(name, one.status) for name, one in self.net.answers.items() if one.status.final]
        assert all(count == 1 for count in Counter(name for name, _ in told).values()), "two ends"
        return dict(told)

    @invariant()
    def what_was_said_of_downlinks_is_true(self):
        received, ends = Counter(self.net.received()), self.ends()
        assert all(count == 1 for count in received.values())
        assert not received.keys() & {*self.refused, *(data for _, data in self.cancelled)}
        for name, data in self.accepted:
            end = ends.get(name)
            if end in {DeliveryStatus.SUCCESS_ACKNOWLEDGED, DeliveryStatus.SUCCESS_NEXT_HOP_ACKNOWLEDGED}:
                assert data in received
            elif end is not None and not end.success:
                assert data not in received or end is DeliveryStatus.FAILURE_NEXT_HOP
        assert not ends.keys() & {name for name, _ in self.cancelled}

    @invariant()
    def what_was_said_of_triggers_is_true(self):
        received = {bytes.fromhex(entry.detail["data"]) for entry in self.net.air("sms")}
        told = [(effect.trigger, effect.result) for effect in self.net.kinds(e.NotifyTrigger)]
        assert len(told) == len({trigger.id for trigger, _ in told})
        for trigger, result in told:
            assert (trigger.terms.trigger_payload in received) == (result is DeliveryResult.SUCCESS)
        assert not received & {trigger.terms.trigger_payload for trigger in self.recalled}
        assert not {trigger.id for trigger, _ in told} & {trigger.id for trigger in self.recalled}

    @invariant()
    def no_rate_is_passed(self):
        times = [entry.time for entry in self.net.air("downlink", "downlink-lost") if "reason" not in entry.detail]
        begun, used = None, 0
        for time in times:
            if begun is None or time >= begun + 600.0:
                begun, used = time, 0
            used += 1
        assert used <= 2 * RATE  # a window of the network begins with what it sends, ours with what arrives

    @invariant()
    def no_more_reports_than_were_wanted(self):
        assert len(self.net.kinds(e.NotifyReports)) <= self.reports

    def teardown(self):
        """Let everything end: each downlink and each trigger has one end, and nothing is left."""
        self.net.change(in_coverage=True, loss_down=0.0, loss_up=0.0, paging_loss=0.0, sms_loss=0.0)
        for _ in range(200):
            self.net.wait(6_000)
        ends = self.ends()
        for name, _ in self.accepted:
            assert (name in ends) != (name in {cancelled for cancelled, _ in self.cancelled})
        told = {effect.trigger.id for effect in self.net.kinds(e.NotifyTrigger)}
        assert told | {one.id for one in self.recalled} == {one.id for one in self.triggers}
        self.net.act(lambda now: self.net.scef.remove_ue(self.net.the(), now))
        assert self.net.scef.due() is None


TestHonesty = Honesty.TestCase
TestHonesty.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
