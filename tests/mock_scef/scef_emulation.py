"""A SCEF core with a clock of its own, for tests in virtual time."""

import dataclasses
import random

import pytest

from mock_network.scef import PROFILES
from mock_network.scef.core import RefusedError, Scef, UeSettings, effects as e
from mock_network.scef.core.states import UeState, UeTrigger
from mock_network.scef.schema import PdnEstablishmentOption
from mock_network.scef.schema.nidd import NiddConfiguration, NiddDownlinkDataTransfer, RdsPort

EPOCH = 1_900_000_000.0
UE = "meter-1@example.com"
DESTINATION = "http://127.0.0.1:1/n"


class Emulation:
    def __init__(self, profile="strict-r17", seed=1, **changes):
        self.scef = Scef(dataclasses.replace(PROFILES[profile], **changes), random.Random(seed))
        self.now = EPOCH
        self.effects = []
        self.answers = {}  # by delivery id
        self.configuration = None

    # Time

    def act(self, call):
        """Call the core with the time, and take the effects; return what the call returns."""
        self.scef.run(self.now)
        try:
            return call(self.now)
        finally:
            self.scef.run(self.now)
            self.take()

    def take(self):
        effects = self.scef.drain()
        self.effects += effects
        for effect in effects:
            if isinstance(effect, e.SubmitAnswered):
                assert effect.delivery.id not in self.answers, "answered twice"
                self.answers[effect.delivery.id] = effect

    def wait(self, seconds):
        self.now += seconds
        self.act(lambda _: None)

    # UEs

    def ue(self, name=UE, **settings):
        settings = UeSettings.parse({"external_id": name, **settings})
        return self.act(lambda now: self.scef.subscribers.add(settings, now))

    def the(self, ue=UE):
        return self.scef.cell.ues[ue]

    def move(self, trigger, ue=UE):
        self.act(lambda now: self.scef.move_ue(self.the(ue), UeTrigger(trigger), now))

    def change(self, ue=UE, **settings):
        self.act(lambda now: self.scef.change_ue(self.the(ue), settings, now))

    def uplink(self, data, ue=UE, **members):
        self.act(lambda now: self.scef.uplink(self.the(ue), e.Uplink(data, **members), now))

    # NIDD

    def configure(self, ue=UE, scs_as="as1", **members):
        members = {"external_id": ue, "notification_destination": DESTINATION, **members}
        terms = NiddConfiguration(**members)

        def make(now):
            configuration = self.scef.configurations.create(scs_as, terms, now)
            self.scef.configurations.first_downlink(configuration, now)
            return configuration

        self.configuration = self.act(make)
        return self.configuration

    def post(self, data=b"down", configuration=None, as_pending=False, **members):
        """POST a downlink and return its id; `answers` has the answer once there is one. Raises RefusedError."""
        terms = transfer(data, **members)
        configuration = configuration or self.configuration
        return self.act(lambda now: self.scef.configurations.submit(configuration, terms, now, as_pending=as_pending))

    def answered(self, data=b"down", within=30, **members):
        """POST a downlink, let time pass, return the answer. Raises RefusedError."""
        name = self.post(data, **members)
        end = self.now + within
        while name not in self.answers and self.now < end:
            self.wait(0.1)
        answer = self.answers[name]
        if answer.refused is not None:
            raise answer.refused
        return answer

    def refused(self, *arguments, **members):
        """POST a downlink that is refused; return the RefusedError."""
        with pytest.raises(RefusedError) as caught:
            self.answered(*arguments, **members)
        return caught.value

    # What came of it

    def kinds(self, kind):
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def statuses(self):
        """Return the delivery statuses notified so far."""
        return [effect.status.value for effect in self.kinds(e.NotifyDelivery)]

    def uplinks(self):
        """Return the data of the uplinks notified so far."""
        return [effect.uplink.data for effect in self.kinds(e.NotifyUplink)]

    def air(self, *what):
        return [entry for entry in self.scef.air_log.lines if entry.what in what or not what]

    def received(self, ue=UE):
        """Return what the UE really received."""
        return [bytes.fromhex(entry.detail["data"]) for entry in self.air("downlink") if entry.ue == ue]


def transfer(data, external_id=UE, rds_port=None, pdn_option=None, reliable=None, **members):
    """Return a NiddDownlinkDataTransfer."""
    if "external_group_id" in members:
        external_id = None
    return NiddDownlinkDataTransfer(
        external_id=external_id,
        data=data,
        rds_port=None if rds_port is None else RdsPort(ue=rds_port[0], scef=rds_port[1]),
        pdn_establishment_option=PdnEstablishmentOption(pdn_option).value if pdn_option else None,
        reliable_data_service=reliable,
        **members,
    )


def asleep(profile="strict-r17", **changes):
    """Return an emulation of a UE in PSM until its tracking area update in an hour."""
    net = Emulation(profile, **changes)
    net.ue(t3324=10, t3412=3600)
    net.configure()
    net.wait(30)
    assert net.the().state is UeState.PSM
    return net
