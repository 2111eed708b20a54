"""doctor and status tell of devices that the network server would not carry data of, and of clocks that are apart."""

import time

import pytest
from chirpstack_api import api
from emulated_chirpstack import DEVICE

from bindings.contract import UplinkMessage
from bindings.lorawan import device_checks
from bindings.lorawan.clock import SPAN, NetworkClock
from bindings.provisioning import ProvisioningState
from bridge.errors import CallFailed, CallTrouble
from tests.waiting import until

DISABLED, MOVED, DELETED = (f"70b3d57ed000000{number}" for number in (2, 3, 4))


@pytest.fixture
async def troubled(make, chirpstack, monkeypatch):
    """A binding with four devices, of which only the first is as it should be."""
    monkeypatch.setattr(device_checks, "_PACE", 0.0)
    binding = await make(devices=(DEVICE, DISABLED, MOVED, DELETED))
    tables = chirpstack.context.tables
    chirpstack.row(DISABLED).message.is_disabled = True
    other = tables.applications.create(api.Application(name="other", tenant_id=str(chirpstack.tenant.id)), 0)
    chirpstack.row(MOVED).message.application_id = str(other.id)
    tables.devices.delete(DELETED)
    await binding._device_checks._check_all()
    return binding


def found(findings, what):
    return [(one.grade, one.detail, one.cure) for one in findings if one.what == what]


async def test_each_kind_is_found_named_and_counted(troubled, side):
    found_devices = found(await troubled.check(), "devices")
    assert [grade for grade, _, _ in found_devices] == ["warning"] * 3
    for device, word in ((DELETED, "does not have"), (DISABLED, "disabled"), (MOVED, "another application")):
        (text,) = [detail for _, detail, _ in found_devices if word in detail]
        assert device in text
    assert all(cure for _, _, cure in found_devices)
    assert troubled.status()["devices"] == {"looked_at": 4, "missing": 1, "disabled": 1, "elsewhere": 1}
    assert side.counts["lorawan_devices_in_trouble"] == 3
    await troubled._device_checks._check_all()
    assert side.counts["lorawan_devices_in_trouble"] == 3  # told once


async def test_what_was_mended_is_not_told_any_more(troubled, chirpstack):
    chirpstack.row(DISABLED).message.is_disabled = False
    assert len(found(await troubled.check(), "devices")) == 2


async def test_each_device_s_own_state_is_told_with_the_cure(troubled, side, chirpstack):
    told = {device: words[-1] for device, words in side.provisioning.items()}
    assert told[DEVICE].state is ProvisioningState.READY
    assert [told[one].state for one in (DISABLED, MOVED, DELETED)] == [ProvisioningState.FAILED] * 3
    assert "enable it in the network server" in told[DISABLED].reason
    assert "another application" in told[MOVED].reason
    assert "lwm2m-bridge device add" in told[DELETED].reason
    chirpstack.row(DISABLED).message.is_disabled = False
    await troubled._device_checks._check_all()
    assert side.provisioning[DISABLED][-1].state is ProvisioningState.READY


async def test_many_devices_are_told_by_their_number_and_some_names(make, chirpstack, monkeypatch):
    monkeypatch.setattr(device_checks, "_PACE", 0.0)
    devices = [DEVICE, *(f"70b3d57ed00001{number:02}" for number in range(9))]
    binding = await make(devices=devices)
    for device in devices[1:]:
        chirpstack.row(device).message.is_disabled = True
    await binding._device_checks._check_all()
    ((_, detail, _),) = found(await binding.check(), "devices")
    assert detail.startswith("9 devices, such as 70b3d57ed0000100, ")
    assert detail.count("70b3d57e") == 5


async def test_a_sound_fleet_is_said_to_be_sound(binding):
    await binding._device_checks._check_all()
    ((grade, detail, _),) = found(await binding.check(), "devices")
    assert (grade, detail) == ("good", "1 checked: the network server has them")


async def test_a_device_for_which_the_network_server_fails_keeps_no_other_from_being_checked(troubled, monkeypatch):
    server_record = troubled.provider.server_record

    async def fails(device):
        if device == DEVICE:
            raise CallFailed(CallTrouble.FAILED, "its row is broken", unsure=True)
        return await server_record(device)

    monkeypatch.setattr(troubled.provider, "server_record", fails)
    troubled._device_checks._counts.clear()
    await troubled._device_checks._check_all()
    assert troubled.status()["devices"] == {"looked_at": 3, "missing": 1, "disabled": 1, "elsewhere": 1}


async def test_a_network_server_that_fails_for_all_devices_is_asked_again_soon(troubled, monkeypatch):
    async def fails(_device):
        raise CallFailed(CallTrouble.FAILED, "the database is away", unsure=True)

    monkeypatch.setattr(troubled.provider, "server_record", fails)
    with pytest.raises(CallFailed):
        await troubled._device_checks._check_all()
    assert troubled.status()["devices"]["looked_at"] == 4


async def test_an_outage_of_the_network_server_makes_no_device_missing(binding, chirpstack):
    chirpstack.fault("grpc_unavailable", count=100, where={"method": "Get"})
    findings = await binding.check()
    assert found(findings, "devices") == []
    assert binding.status()["devices"] == {"looked_at": binding._device_checks.looked_at}


# Clocks


@pytest.mark.parametrize(("offset", "words"), [(-3600.0, "3600 s ahead of"), (3600.0, "3600 s after their time")])
async def test_clocks_that_are_apart_are_found_by_a_report(binding, chirpstack, side, offset, words):
    side.offset = offset
    chirpstack.tx_ack("00000000-0000-0000-0000-000000000001")
    await until(lambda: side.delivered)
    ((grade, detail, cure),) = found(await binding.check(), "clock")
    assert grade == "warning"
    assert words in detail
    assert "NTP" in cure
    assert binding.status()["clock_ahead"] == pytest.approx(-offset, abs=2)


async def test_or_by_the_last_uplink_as_both_have_heard_it(binding, chirpstack, side):
    assert found(await binding.check(), "clock") == []
    side.offset = -3600.0
    chirpstack.activate(f_cnt_up=1)
    chirpstack.up(b"x", f_cnt=0)
    await until(lambda: side.of(UplinkMessage))
    ((grade, detail, _),) = found(await binding.check(), "clock")
    assert (grade, "3600 s ahead of" in detail) == ("warning", True)
    chirpstack.row().f_cnt_up = 7  # it has heard more than we have: what it says is of another uplink
    assert found(await binding.check(), "clock") == []


async def test_clocks_that_agree_are_said_to(binding, chirpstack, side):
    chirpstack.tx_ack("00000000-0000-0000-0000-000000000001")
    await until(lambda: side.delivered)
    ((grade, _, _),) = found(await binding.check(), "clock")
    assert grade == "good"


def test_the_least_delayed_event_of_the_last_minutes_tells_most():
    clock, now = NetworkClock(), time.time()
    assert clock.ahead(now) is None
    clock.observe(now + 90, now)  # ten seconds late
    clock.observe(now + 99, now)
    clock.observe(now + 50, now)
    assert clock.ahead(now) == pytest.approx(99)
    assert clock.theirs(now, now) == pytest.approx(now + 99)
    assert clock.has_passed(now + 96, now)
    assert not clock.has_passed(now + 98, now)
    later = now + 1.5 * SPAN
    clock.observe(later - 20, later)  # somebody has set it
    assert clock.ahead(later) == pytest.approx(99)
    assert clock.ahead(later + SPAN) == pytest.approx(-20)
    assert clock.ahead(later + 3 * SPAN) is None
    clock.observe(0.0, later)
    assert clock.ahead(later + 3 * SPAN) is None
