"""What was learned of a network's limits outlives a restart, and is forgotten when it says nothing any more (LPW-6)."""

from dataclasses import dataclass, field

import msgspec
import pytest

from bindings.contract import LimitOf
from bridge.delivery.pace import FIRST_PAUSE, LONGEST_PAUSE, PERIODS
from bridge.delivery.paces import NETWORK, Learned, Paces, PacesRecord
from tests.delivery.limiters import FixedWindow
from tests.delivery.test_learned_limits import Sender
from tests.delivery.test_shared_limits import Fleet

HOUR, DAY = 3600.0, 86_400.0
ALL = 100_000


@dataclass
class Disk:
    """What a bridge keeps of one network, as bytes; `began` is the time at which its monotonic clock was 0."""

    kept: dict[int, tuple[float, bytes]] = field(default_factory=dict)
    began: float = 0.0

    def keep(self, known: Paces, now: float) -> None:
        for endpoint, record in known.changes(now, ALL).items():
            if record is None:
                self.kept.pop(endpoint, None)
            else:
                self.kept[endpoint] = self.began + now, msgspec.msgpack.encode(record)

    def restored(self, wall: float, now: float) -> Paces:
        """Return what a bridge knows that is started at a wall time, with a monotonic clock of its own."""
        known = Paces()
        decode = msgspec.msgpack.Decoder(PacesRecord).decode
        records = [(endpoint, decode(raw), wall - at) for endpoint, (at, raw) in self.kept.items()]
        known.restore(records, now)
        self.began = wall - now
        return known


@pytest.mark.parametrize("whose", [LimitOf.DEVICE, LimitOf.NETWORK])
@pytest.mark.parametrize(("most", "window"), [(10, 360.0), (100, HOUR), (20, DAY)])
def test_a_restart_costs_no_refusal_beyond_those_without_one(most, window, whose):
    """The same sender, once with the one process and once with a restart every hour and a half, is refused as often."""

    def refused_with(restart_every):
        sender, disk, known = Sender(FixedWindow(most, window)), Disk(), Paces()
        sender.now = 1.0
        while sender.now < 20 * DAY:
            end = min(sender.now + restart_every, 20 * DAY)
            while sender.now < end:
                limited = known.network(sender.now, 0) or known.device(1, sender.now)
                if limited:
                    sender.now += limited.wait + 1e-6
                    continue
                sender.now += 0.5
                until = sender.limit.ask(sender.now)
                if until is None:
                    known.taken(1, sender.now)
                    sender.taken.append(sender.now)
                else:
                    known.refused(1, sender.now, None, whose)
                    sender.refused.append(sender.now)
            disk.keep(known, sender.now)
            known = disk.restored(sender.now, sender.now)
        return len(sender.refused), len(sender.taken)

    refused, taken = refused_with(40 * DAY)
    refused_too, taken_too = refused_with(1.5 * HOUR)
    assert refused_too <= refused * 1.1 + 2
    assert taken_too >= taken * 0.95


def test_a_record_means_the_same_on_another_monotonic_clock():
    """A machine that starts again begins its monotonic clock at 0."""
    known, disk = Paces(), Disk(began=1_796_040_000.0)
    known.refused(7, 500_000.0, 3600.0, LimitOf.DEVICE)
    known.refused(8, 500_000.0, 600.0, LimitOf.NETWORK)
    disk.keep(known, 500_060.0)
    again = disk.restored(wall=1_796_540_060.0 + 100.0, now=5.0)
    assert again.network(5.0, 0).wait == pytest.approx(600 - 160)
    assert again.device(7, 5.0).wait == pytest.approx(3600 - 160)
    shift = 5.0 - 500_160.0
    of_network, of_devices = known.learned()
    assert again.learned() == [
        Learned(of_network.text, of_network.first_refused + shift, of_network.last_refused + shift),
        Learned(of_devices.text, None, of_devices.last_refused + shift),
    ]


def test_what_was_learned_before_the_records_were_read_counts_more():
    """A network that is added while the bridge runs is called before its records are read."""
    known, disk = Paces(), Disk()
    known.refused(7, 0.0, 3600.0, LimitOf.DEVICE)
    known.refused(8, 0.0, 3600.0, LimitOf.DEVICE)
    known.refused(9, 0.0, 60.0, LimitOf.NETWORK)
    disk.keep(known, 0.0)
    read = msgspec.msgpack.Decoder(PacesRecord).decode
    records = [(endpoint, read(raw), 100.0) for endpoint, (_, raw) in disk.kept.items()]
    known = Paces()
    known.refused(7, 99.0, 60.0, LimitOf.DEVICE)
    known.refused(9, 99.0, 600.0, LimitOf.NETWORK)
    known.restore(records, 100.0)
    assert known.network(100.0, 0).wait == pytest.approx(599)
    assert known.device(7, 100.0).wait == pytest.approx(59)
    assert known.device(8, 100.0).wait == pytest.approx(3500)
    assert [*known._devices] == [8, 7], "the one refused last is last"


def test_a_limit_of_all_that_was_proven_stays_proven():
    fleet = Fleet(100, every=400.0, limit=FixedWindow(10, 60.0))
    fleet.live(12 * HOUR)
    disk = Disk()
    disk.keep(fleet.paces, fleet.now)
    fleet.paces = disk.restored(fleet.now, fleet.now)
    known, _ = fleet.paces.learned()
    assert known.text == "the network, of all devices that it refused, seems to take 10 messages in a minute"
    found = fleet.live(DAY)
    assert found["refused"] <= 100
    assert found["taken"] >= 0.9 * DAY / 60.0 * 10


def test_a_suspicion_is_not_kept():
    """A suspicion is no knowledge: devices at limits of their own are refused one after the other, too."""
    fleet = Fleet(100, every=400.0, limit=FixedWindow(10, 60.0))
    while not fleet.paces._together.is_suspected:
        fleet.live(1.0)
    disk = Disk()
    disk.keep(fleet.paces, fleet.now)
    assert NETWORK not in disk.kept


def test_what_is_too_old_is_not_taken_over_and_its_record_goes():
    known, disk = Paces(), Disk()
    known.refused(7, 0.0, None, LimitOf.DEVICE)
    known.refused(8, 0.0, None, LimitOf.NETWORK)
    disk.keep(known, 1.0)
    assert disk.kept.keys() == {7, NETWORK}
    again = disk.restored(FIRST_PAUSE + 4 * LONGEST_PAUSE + 60.0, 0.0)
    assert not again.is_active
    disk.keep(again, 0.0)
    assert not disk.kept


def test_what_is_too_old_is_forgotten_though_nothing_was_sent_since():
    known, disk = Paces(), Disk()
    known.refused(7, 0.0, None, LimitOf.DEVICE)
    known.refused(8, 0.0, None, LimitOf.NETWORK)
    disk.keep(known, 1.0)
    disk.keep(known, FIRST_PAUSE + 4 * LONGEST_PAUSE + 60.0)
    assert not disk.kept
    assert not known.is_active
    assert not known.learned()


def test_only_what_changed_is_written_and_what_could_not_be_written_is_returned_again():
    known = Paces()
    for endpoint in range(1, 11):
        known.refused(endpoint, 0.0, None, LimitOf.DEVICE)
    first = known.changes(1.0, 4)
    assert len(first) == 4
    known.not_kept(first)
    assert len(known.changes(1.0, ALL)) == 10
    assert not known.changes(1.0, ALL)
    known.taken(3, 100.0)
    assert known.changes(100.0, ALL).keys() == {3}


def test_a_device_that_is_remembered_no_more_loses_its_record(monkeypatch):
    monkeypatch.setattr("bridge.delivery.paces.DEVICES", 10)
    known, disk = Paces(), Disk()
    for endpoint in range(20):
        known.refused(endpoint, float(endpoint), 60.0, LimitOf.DEVICE)
        disk.keep(known, float(endpoint))
    assert disk.kept.keys() == set(range(10, 20))


def test_a_record_has_a_bounded_size():
    sender = Sender(FixedWindow(2000, max(PERIODS[:12])))
    sender.live(20 * DAY)
    assert len(msgspec.msgpack.encode(sender.pace.record(sender.now))) < 4096
