"""A SCEF core with a clock of its own, for tests in virtual time."""

import itertools
import random

from mock_network.scef import messages as m
from mock_network.scef.core import Scef
from mock_network.scef.model import UeSettings
from mock_network.scef.profiles import PROFILES
from mock_network.scef.tables import UeTrigger

EPOCH = 1_900_000_000.0
UE = "meter-1@example.com"


class Emulation:
    def __init__(self, profile="strict-r17", seed=1, **changes):
        import dataclasses

        self.scef = Scef(dataclasses.replace(PROFILES[profile], **changes), random.Random(seed))
        self.now = EPOCH
        self.tickets = itertools.count(1)
        self.effects = []
        self.answers = {}
        self.configuration = None

    def ue(self, name=UE, **settings):
        self.scef.add_ue(UeSettings.parse({"external_id": name, **settings}), self.now)
        return self.scef.cell.ues[name]

    def step(self, event):
        effects = self.scef.step(event, self.now)
        self.take(effects)
        return effects

    def take(self, effects):
        self.effects += effects
        for effect in effects:
            if (ticket := getattr(effect, "ticket", None)) is not None:
                assert ticket not in self.answers, "answered twice"
                self.answers[ticket] = effect

    def wait(self, seconds):
        self.now += seconds
        return self.step(m.Tick())

    def configure(self, ue=UE, **members):
        ticket = next(self.tickets)
        members = {"scs_as": "as1", "by_msisdn": False, "destination": "http://127.0.0.1:1/n", **members}
        self.step(m.Create(ticket, ue=ue, **members))
        answer = self.answers[ticket]
        if isinstance(answer, m.Configured):
            self.configuration = answer.configuration.id
        return answer

    def post(self, data=b"down", configuration=None, ue=UE, as_pending=False, **members):
        """POST a downlink and give its ticket; `answers` has the answer once there is one."""
        ticket = next(self.tickets)
        request = m.DownlinkRequest(data, ue, **members)
        self.step(m.Submit(ticket, configuration or self.configuration, request, as_pending))
        return ticket

    def answered(self, data=b"down", within=30, **members):
        """POST a downlink, let time pass, give the answer."""
        ticket = self.post(data, **members)
        end = self.now + within
        while ticket not in self.answers and self.now < end:
            self.wait(0.1)
        return self.answers[ticket]

    def move(self, trigger, ue=UE):
        self.step(m.Move(ue, UeTrigger(trigger)))

    def uplink(self, data, ue=UE):
        self.step(m.Radio(ue, data))

    def change(self, ue=UE, **settings):
        self.step(m.Change(ue, settings))

    def kinds(self, kind):
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def statuses(self):
        """Give the delivery statuses notified so far."""
        return [effect.status.value for effect in self.kinds(m.NotifyDelivery)]

    def air(self, *what):
        return [entry for entry in self.scef.cell.air if entry.what in what or not what]

    def received(self):
        """Give what the UE really received."""
        return [bytes.fromhex(entry.detail["data"]) for entry in self.air("downlink")]
