"""A week of many endpoints that share quotas, with refusals, lost answers and kills, in virtual time.

What went out is counted by the test itself, by the calendar of Python's datetime.
"""

import sys
from collections import Counter
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "relay"))

from world import World, ack, request, response

from bindings.contract import Accepted, Ambiguous, NetworkState, Refusal, Refused
from bridge.quota.limits import Counted, Per, Quota
from bridge.quota.periods import Period
from bridge.quota.shared import SharedQuotas
from bridge.quota.usage import Usage
from bridge.relay.model import ServerProfile
from tests.periods import label

START = datetime(2026, 11, 28, 23, tzinfo=UTC).timestamp()  # Saturday night: the week has a Monday in it
DAYS = 7
SLICE = 60.0  # seconds by which all endpoints go on in turn: none is ahead of the others by a whole period
QUOTAS = (
    Quota("own-day", "net", Per.ENDPOINT, Period.DAY, messages=3, bytes=60),
    Quota("own-week", "net", Per.ENDPOINT, Period.WEEK, messages=15),
    Quota("group-hour", "net", Per.GROUP, Period.HOUR, messages=4),
    Quota("net-minute", "net", Per.NETWORK, Period.MINUTE, bytes=80),
    Quota("net-day", "net", Per.NETWORK, Period.DAY, messages=90, bytes=1500),
    Quota("both-week", "net", Per.GROUP, Period.WEEK, bytes=9000, counts=Counted.BOTH),
)


class Peer(World):
    """One endpoint among others, with what it really handed to the network."""

    def __init__(self, fleet, number):
        group = f"g{number % 3}" if number % 4 else ""
        super().__init__(profile=ServerProfile(patience=86400.0), id=number, group=group)
        self.fleet = fleet
        self.wall = START
        self.limits = fleet.shared.limits("net", group)
        self.mids = count(1)
        self.taken = []  # (wall, bytes) of what was handed over and not certainly refused
        self.sent_up = []
        self.draw = Random(number)

    def used(self, charges):
        self.fleet.shared.apply("net", self.endpoint.group, charges)

    def _release(self, effect):
        if type(effect).__name__ == "Submit":
            refused = isinstance(self.network, Refused)
            if not refused:
                self.taken.append((self.wall, len(effect.attempt.payload)))
            self.fleet.results[type(self.network).__name__] += 1
        super()._release(effect)

    def ask(self):
        number = next(self.mids)
        self.network = self.draw.choices(
            [
                Accepted(None, NetworkState.SENT),
                Ambiguous("no answer"),
                Refused(Refusal.NETWORK_UNAVAILABLE, "away"),
                Refused(Refusal.RATE_LIMITED, "429", self.wall + 900),
                None,
            ],
            [70, 10, 8, 6, 6],
        )[0]
        code, path = self.draw.choice([(1, "3/0/0"), (2, "3/0/4"), (3, "3/0/15")])
        self.server_sends(request(code, path, number % 65536, number.to_bytes(4, "big"), b"x" * self.draw.randrange(9)))

    def speak(self):
        before = len(self.submitted)
        data = response(self.last_south()) if before and self.draw.random() < 0.5 else bytes((0x40, 0, *self.two()))
        self.sent_up.append((self.wall, len(data)))
        self.device_sends(data)
        if len(self.to_server):
            north = self.last_north()
            if north.type == 0:
                self.server_sends(ack(north))

    def two(self):
        return self.draw.randrange(256), self.draw.randrange(256)


class Fleet:
    """All endpoints, and the sums that they share."""

    def __init__(self, endpoints):
        self.results = Counter()
        self.shared = SharedQuotas(QUOTAS)
        self.peers = [Peer(self, number) for number in range(1, endpoints + 1)]

    def kill(self):
        """Lose all memory; the sums are made of the rows."""
        self.shared = SharedQuotas(QUOTAS)
        self.shared.load((row for peer in self.peers for row in peer.loaded([Usage])), self.peers[0].wall)
        for peer in self.peers:
            peer.limits = self.shared.limits("net", peer.endpoint.group)
            peer.restart()

    def live(self, days):
        draw = Random(7)
        for number in range(int(days * 86400 / SLICE)):
            for peer in self.peers:
                for _ in range(sum(draw.random() < 2 * SLICE / 86400 for _ in range(2))):
                    peer.ask()
                if draw.random() < 4 * SLICE / 86400:
                    peer.speak()
            until = START + (number + 1) * SLICE - 0.01  # nobody is in the next minute before the others
            for peer in self.peers:
                peer.passes(max(until - peer.wall, 0))
            if draw.random() < 0.002:
                self.kill()


@pytest.mark.parametrize("endpoints", [50, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_no_quota_is_passed_by_one_message_or_byte(endpoints):
    fleet = Fleet(endpoints)
    fleet.live(DAYS)
    assert min(fleet.results[kind] for kind in ("Accepted", "Ambiguous", "Refused", "NoneType")) >= 20
    full = Counter()
    for quota in QUOTAS:
        messages, size = Counter(), Counter()
        for peer in fleet.peers:
            if not quota.concerns("net", peer.endpoint.group):
                continue
            whose = {Per.ENDPOINT: peer.endpoint.id, Per.GROUP: peer.endpoint.group, Per.NETWORK: ""}[quota.per]
            for wall, length in peer.taken:
                messages[whose, label(quota.period, wall)] += 1
                size[whose, label(quota.period, wall)] += length
        assert quota.messages is None or max(messages.values()) <= quota.messages, quota.name
        assert quota.bytes is None or max(size.values()) <= quota.bytes, quota.name
        full[quota.name] += sum(each == quota.messages for each in messages.values())
    assert full["own-day"]
    assert full["group-hour"] or endpoints > 50


def test_what_is_on_the_disk_is_what_went_out_and_came():
    fleet = Fleet(20)
    fleet.live(2)
    for peer in fleet.peers:
        rows = peer.rows(Usage)
        assert sum(row["down_messages"] for row in rows) == len(peer.taken)
        assert sum(row["down_bytes"] for row in rows) == sum(size for _, size in peer.taken)
        assert sum(row["up_messages"] for row in rows) == len(peer.sent_up)
        assert sum(row["up_bytes"] for row in rows) == sum(size for _, size in peer.sent_up)
