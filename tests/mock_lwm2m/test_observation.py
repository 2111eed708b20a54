"""When a notification is due and why: the state of one observation alone, with time passed in."""

import pytest

from mock_network.device.attributes import Attributes, AttributeTable, parse_condition
from mock_network.device.observation import Conditions, Mode, Observation
from mock_network.device.refusal import OperationError
from mock_network.lwm2m.values import DataType, Record

SENSOR, BATTERY = (3303, 0, 5700), (3, 0, 9)


class Sensor:
    """An observation of one or two values; `notified` holds time, values and causes of each notification."""

    def __init__(self, *conditions, paths=(SENSOR,), start=20.0):
        self.values = dict.fromkeys(paths, start)
        self.now = 0.0
        self.notified = []
        self.observation = Observation.begin(paths, conditions or (Conditions(),), 0.0)
        self.observation.sent(self.records(), 0.0)

    def records(self):
        return [Record(path, value) for path, value in self.values.items()]

    def set(self, value, path=SENSOR):
        self.values[path] = value
        self.observation.change(path, self.records(), self.now)

    def until(self, end):
        while True:
            self.observation.evaluate(self.records(), self.now)
            due = self.observation.notification_due()
            if due is not None and due <= self.now:
                causes = {path: list(found) for path, found in self.observation.causes().items()}
                self.notified.append((self.now, list(self.values.values()), causes))
                self.observation.sent(self.records(), self.now)
                continue
            following = self.observation.due()
            if following is None or following > end:
                self.now = end
                return self
            self.now = max(self.now, following)

    def run(self, *values):
        for value in values:
            self.set(value)
            self.until(self.now + 1)
        return [(found, causes[SENSOR]) for _, (found, *_), causes in self.notified]


def conditions(mode=Mode.BOTH, further=(), **attributes):
    return Conditions(Attributes(**attributes), tuple(parse_condition(text) for text in further), mode)


def test_without_thresholds_every_change_is_notified():
    assert Sensor().run(21.0, 21.0) == [(21.0, ["change"]), (21.0, ["change"])]


@pytest.mark.requirement("LightweightM2 M-RMo-003")
def test_several_conditions_hold_for_one_resource():
    """gt, lt and st of the attributes, and further sets of them."""
    sensor = Sensor(conditions(gt=30.0, lt=10.0, st=5.0, further=("gt=22",)))
    assert sensor.run(21.0, 23.0, 24.0, 29.0, 31.0, 9.0) == [
        (23.0, ["gt=22 rising"]),
        (29.0, ["st=5 rising"]),
        (31.0, ["gt=30 rising"]),
        (9.0, ["gt=30 falling", "lt=10 falling", "st=5 falling", "gt=22 falling"]),
    ]


@pytest.mark.requirement("LightweightM2 M-RMo-001")
@pytest.mark.parametrize(
    ("mode", "notified"),
    [
        (Mode.BOTH, [31.0, 25.0, 9.0, 15.0]),
        (Mode.RISING, [31.0, 15.0]),
        (Mode.FALLING, [25.0, 9.0]),
    ],
)
def test_a_reporting_mode_controls_which_transitions_are_reported(mode, notified):
    sensor = Sensor(conditions(mode, gt=30.0, lt=10.0))
    assert [value for value, _ in sensor.run(31.0, 25.0, 9.0, 15.0)] == notified


def test_pmin_gathers_all_causes_and_pmax_repeats():
    sensor = Sensor(conditions(pmin=10, pmax=60, gt=30.0, st=5.0))
    sensor.set(26.0)
    sensor.set(31.0)
    sensor.until(75)
    assert sensor.notified == [
        (10.0, [31.0], {SENSOR: ["st=5 rising", "gt=30 rising"]}),
        (70.0, [31.0], {SENSOR: ["pmax"]}),
    ]


def test_epmin_leaves_out_what_happens_between_evaluations():
    sensor = Sensor(conditions(epmin=10, gt=30.0))
    sensor.until(3)
    sensor.set(40.0)
    sensor.until(5)
    sensor.set(20.0)  # back before the evaluation at 10 s
    sensor.until(15)
    assert sensor.notified == []
    sensor.set(40.0)
    sensor.until(40)
    assert [time for time, *_ in sensor.notified] == [20.0]


def test_epmax_looks_at_a_value_that_nobody_told_of():
    sensor = Sensor(conditions(epmax=30, gt=30.0))
    sensor.until(40)
    sensor.values[SENSOR] = 50.0
    sensor.until(100)
    assert [(time, causes) for time, _, causes in sensor.notified] == [(60.0, {SENSOR: ["gt=30 rising"]})]


def test_one_notification_of_several_paths_carries_the_causes_of_each():
    sensor = Sensor(conditions(gt=30.0), conditions(lt=50.0), paths=(SENSOR, BATTERY), start=20.0)
    sensor.values[BATTERY] = 80.0
    sensor.observation.sent(sensor.records(), 0.0)
    sensor.set(10.0)
    sensor.until(1)
    assert sensor.notified == []
    sensor.set(40.0)
    sensor.set(45.0, BATTERY)
    sensor.until(2)
    assert sensor.notified == [(1.0, [40.0, 45.0], {SENSOR: ["gt=30 rising"], BATTERY: ["lt=50 falling"]})]


def test_what_is_no_number_is_notified_at_each_change():
    sensor = Sensor(conditions(gt=30.0))
    sensor.values[SENSOR] = "off"
    sensor.observation.change(SENSOR, sensor.records(), 0.0)
    assert sensor.observation.causes() == {SENSOR: ["change"]}


@pytest.mark.parametrize("text", ["", "gt", "pmin=1", "gt=x", "gt=30;lt=20;st=5", "st=-1"])
def test_a_condition_that_means_nothing_is_refused(text):
    with pytest.raises(OperationError):
        parse_condition(text)


def test_attributes_of_the_nearest_level_count():
    table = AttributeTable()
    table.write((3303,), ["pmin=1", "pmax=100", "epmin=2"], None)
    table.write((3303, 0), ["pmin=5"], None)
    table.write(SENSOR, ["gt=30", "epmax=1"], DataType.FLOAT)
    effective = table.effective(SENSOR, 9, 9)
    assert (effective.pmin, effective.pmax, effective.gt) == (5, 100, 30.0)
    assert (effective.epmin, effective.epmax) == (2, None)  # an epmax below epmin means nothing
    table.forget((3303, 0))
    assert table.effective(SENSOR, 9, 9).pmin == 1
