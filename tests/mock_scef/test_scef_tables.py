"""The tables are total, the same seed gives the same story, every downlink has one end; who is who."""

import pytest
from scef_emulation import UE, Emulation

from mock_network.scef.core import RefusedError, SettingsError, UeSettings, effects as e
from mock_network.scef.core.nidd_tables import SUBMIT
from mock_network.scef.core.refusals import REFUSALS, Refusal
from mock_network.scef.core.states import HAS_PDN, TRANSITIONS, Situation, UeState, UeTrigger
from mock_network.scef.schema import PdnEstablishmentOption


def test_the_tables_are_total():
    assert set(SUBMIT) == {(situation, option) for situation in Situation for option in PdnEstablishmentOption}
    assert set(REFUSALS) == set(Refusal)
    for state in UeState:
        assert (state, UeTrigger.UPLINK) in TRANSITIONS or state not in HAS_PDN
        assert (state, UeTrigger.DETACH) in TRANSITIONS or state is UeState.DETACHED
    reached = {target for target in TRANSITIONS.values() if isinstance(target, UeState)}
    assert reached | {UeState.IDLE_ACTIVE} == set(UeState)


def story(seed):
    net = Emulation(seed=seed)
    net.ue(t3324=10, t3412=600, radio_jitter=1.0, loss_down=0.3, loss_up=0.3)
    net.configure()
    for number in range(40):
        net.post(bytes([number]), maximum_latency=300)
        net.uplink(bytes([number]))
        net.wait(37)
    return [entry.to_json() for entry in net.scef.air_log.lines], net.statuses(), list(net.answers)


def test_the_same_seed_gives_the_same_story_and_another_seed_another():
    assert story(7) == story(7)
    assert story(7) != story(8)


def test_every_accepted_downlink_has_exactly_one_end():
    net = Emulation()
    net.ue(t3324=10, t3412=600, radio_jitter=1.0, loss_down=0.3, radio_latency=3.0)
    net.configure()
    refused = []
    for number in range(60):
        try:
            net.post(bytes([number]), maximum_latency=300)
        except RefusedError as error:
            refused.append(error)
        if number % 5 == 0:
            net.uplink(b"up")
        net.wait(29)
    net.wait(2000)
    ended = [effect.delivery.id for effect in net.kinds(e.NotifyDelivery)]
    ended += [name for name, answer in net.answers.items() if answer.status.final and answer.refused is None]
    refused += [answer for answer in net.answers.values() if answer.refused is not None]
    assert len(ended) == len(set(ended))
    assert len(ended) + len(refused) == 60


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"external_id": "no-domain"},
        {"external_id": "a@b@c"},
        {"msisdn": "+49170"},
        {"external_id": "a@b", "t3324": -1},
        {"external_id": "a@b", "loss_up": 1.5},
        {"external_id": "a@b", "edrx_cycle": 0},
        {"external_id": "a@b", "attached": "yes"},
        {"external_id": "a@b", "radio_latency": None},
        {"external_id": "a@b", "colour": "red"},
    ],
)
def test_a_wrong_setting_of_a_ue_is_refused_by_name(values):
    with pytest.raises(SettingsError):
        UeSettings.parse(values)


def test_identities_are_unique_and_the_domain_is_compared_in_any_case(net):
    assert net.scef.subscribers.find("meter-1@EXAMPLE.com") is net.the()
    assert net.scef.subscribers.find("METER-1@example.com") is None
    with pytest.raises(SettingsError, match="already"):
        net.ue("meter-1@Example.Com")


def test_a_ue_that_is_removed_takes_everything_with_it(net):
    net.change(radio_latency=8.0)
    net.answered(maximum_latency=60)
    net.act(lambda now: net.scef.remove_ue(net.the(), now))
    net.wait(1000)
    assert net.scef.configurations.all == {}
    assert net.scef.subscribers.find(UE) is None
    assert net.scef.due() is None
