"""Provisioning over real gRPC: applications, profiles, devices, keys and sessions are made once and then kept."""

import logging
from dataclasses import replace

import msgspec
import pytest
from chirpstack_api import api, common
from emulated_chirpstack import DEVICE, KEY

from bindings.contract import DeviceMade
from bindings.lorawan import LorawanBinding
from bindings.lorawan.chirpstack.client import ChirpStackClient
from bindings.lorawan.wanted_device import read_wanted_device
from bridge.errors import BindingError, ConfigurationError
from tests.bindings.bridge_side import DictMemory

OTHER = "70b3d57ed0000002"
OLD = {"app_key": KEY, "join_eui": "0807060504030201"}
NEW = {"app_key": KEY, "nwk_key": KEY[::-1], "mac_version": "1.1.0"}
ABP = {"dev_addr": "01020304", "app_s_key": KEY, "nwk_s_key": KEY[::-1]}
ABP_NEW = {
    "dev_addr": "01020305",
    "mac_version": "1.1.0",
    "app_s_key": KEY,
    "f_nwk_s_int_key": KEY[::-1],
    "s_nwk_s_int_key": "00" * 16,
    "nwk_s_enc_key": "11" * 16,
}


async def make_device(binding, device, wanted) -> DeviceMade:
    return await binding.make_device(device, "", msgspec.convert(wanted, binding.device_settings()))


@pytest.mark.parametrize("wanted", [OLD, NEW, ABP, ABP_NEW], ids=["OTAA 1.0", "OTAA 1.1", "ABP 1.0", "ABP 1.1"])
async def test_doing_it_twice_changes_nothing(binding, wanted):
    first = await make_device(binding, OTHER, wanted)
    assert first.changes
    again = await make_device(binding, OTHER, wanted)
    assert again.changes == ()
    assert (again.scope, again.advice) == (first.scope, first.advice)


async def test_the_root_key_of_1_0_x_is_where_chirpstack_looks_for_it(binding, chirpstack):
    await make_device(binding, OTHER, OLD)
    row = chirpstack.row(OTHER)
    keys = chirpstack.context.tables.keys(OTHER)
    assert keys.nwk_key.hex() == KEY
    assert row.message.join_eui == "0807060504030201"


async def test_1_1_has_both_root_keys(binding, chirpstack):
    await make_device(binding, OTHER, NEW)
    keys = chirpstack.context.tables.keys(OTHER)
    assert (keys.nwk_key.hex(), keys.app_key.hex()) == (KEY[::-1], KEY)


@pytest.mark.parametrize(("region", "rx2_dr"), [("EU868", 0), ("US915", 8), ("AS923_3", 2)])
async def test_an_abp_device_is_answered_where_it_listens_after_its_start(binding, chirpstack, region, rx2_dr):
    await make_device(binding, OTHER, {**ABP, "region": region, "rx1_delay": 5})
    profile = chirpstack.context.tables.profiles.rows[chirpstack.row(OTHER).device_profile_id].message
    assert (profile.abp_rx1_delay, profile.abp_rx2_dr, profile.abp_rx2_freq) == (1, rx2_dr, 0)
    assert profile.rx1_delay == 5  # ChirpStack tells it the device


async def test_an_abp_session_is_there_and_is_not_activated_twice(binding, chirpstack):
    await make_device(binding, OTHER, ABP)
    session = chirpstack.row(OTHER).session
    assert session.dev_addr == 0x01020304
    chirpstack.row(OTHER).f_cnt_up = 77
    await make_device(binding, OTHER, ABP)
    assert chirpstack.row(OTHER).f_cnt_up == 77


async def test_the_profile_has_what_lwm2m_wants(binding, chirpstack):
    await make_device(binding, OTHER, {**OLD, "class": "C"})
    made = chirpstack.row(OTHER).message.device_profile_id
    profile = chirpstack.context.tables.profiles.get(made).message
    assert (profile.rx1_delay, profile.class_c_timeout, profile.supports_class_c) == (5, 30, True)
    assert profile.payload_codec_runtime == api.NONE
    assert profile.mac_version == common.LORAWAN_1_0_3
    assert profile.flush_queue_on_activate


async def test_other_keys_replace_those_that_are_there(binding, chirpstack):
    await make_device(binding, OTHER, OLD)
    changed = await make_device(binding, OTHER, {**OLD, "app_key": "ff" * 16})
    assert changed.changes == ("root keys, which were different",)
    assert chirpstack.context.tables.keys(OTHER).nwk_key.hex() == "ff" * 16


async def test_a_device_of_another_application_is_left_alone(binding, chirpstack):
    message = api.Application(name="other", tenant_id=str(chirpstack.tenant.id))
    other = chirpstack.context.tables.applications.create(message, 0)
    with pytest.raises(BindingError, match="another ChirpStack application"):
        await make_device(binding, DEVICE, {**OLD, "application_id": str(other.id)})


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"app_key": "12"}, "app_key"),
        ({**OLD, "join_eui": "zz"}, "join_eui"),
        ({**OLD, "nwk_key": KEY}, "nwk_key"),
        ({**NEW, "nwk_key": ""}, "OTAA needs --app-key, --nwk-key "),
        ({**ABP, "nwk_s_key": ""}, "ABP needs --dev-addr, --nwk-s-key, --app-s-key$"),
        ({"dev_addr": "01020304"}, "ABP needs --dev-addr, --nwk-s-key, --app-s-key$"),
        ({**ABP_NEW, "nwk_s_enc_key": ""}, "ABP needs .*--nwk-s-enc-key"),
        ({**ABP, "dev_addr": "1"}, "dev_addr"),
        ({**OLD, "region": "EU869"}, "region"),
        ({}, r"^OTAA needs --app-key \(file:PATH or env:NAME\); ABP needs"),
        ({**ABP, "app_key": KEY}, "keys that do not fit ABP: --app-key"),
    ],
)
async def test_what_cannot_be_is_said_before_anything_is_made(binding, chirpstack, wanted, why):
    calls = binding.provider.client.calls
    with pytest.raises(ConfigurationError, match=why):
        await make_device(binding, OTHER, wanted)
    assert binding.provider.client.calls == calls


async def test_keys_are_never_logged_nor_shown(binding, caplog):
    with caplog.at_level(logging.DEBUG):
        await make_device(binding, OTHER, OLD)
    known = [repr(read_wanted_device({**keys, "device": OTHER})) for keys in (OLD, ABP)]
    shown = "".join(known) + caplog.text
    assert KEY not in shown
    assert KEY[::-1] not in shown
    assert "secret" not in repr(binding._settings)


async def test_devices_of_the_application_are_listed_over_all_pages(binding, chirpstack):
    for number in range(2, 130):
        message = api.Device(
            dev_eui=f"70b3d57ed1{number:06x}",
            name=f"d{number}",
            application_id=chirpstack.application_id,
            device_profile_id=binding._records.held(DEVICE).profile,
        )
        chirpstack.context.tables.devices.create(message, 0)
    listed = await binding.network_devices()
    assert len({one.device for one in listed}) == 129


async def test_the_integration_is_set_once_and_beside_another(binding, chirpstack):
    row = chirpstack.context.tables.applications.get(chirpstack.application_id)
    row.http.event_endpoint_url = "http://127.0.0.1:9/theirs"
    assert await binding.set_integration()
    assert row.http.event_endpoint_url == f"{binding.provider.http.url},http://127.0.0.1:9/theirs"
    assert not await binding.set_integration()


@pytest.fixture
async def of_all(binding, side):
    """Return a running binding whose settings name no application."""
    one = LorawanBinding("all", msgspec.structs.replace(binding._settings, application_id=""))
    await one.start(side, DictMemory())
    yield one
    await one.stop()


async def test_a_network_of_every_application_is_told_whose_integration_to_set(of_all, chirpstack):
    with pytest.raises(BindingError, match="set application_id first"):
        await of_all.set_integration()
    assert await of_all.set_integration(chirpstack.application_id)
    row = chirpstack.context.tables.applications.get(chirpstack.application_id)
    assert row.http.event_endpoint_url.startswith(of_all.provider.http.url)


async def test_a_chirpstack_without_a_tenant_is_told_from_one_with_many(of_all, chirpstack):
    tables = chirpstack.context.tables
    tables.tenants.create(api.Tenant(name="other"), 0.0)
    with pytest.raises(ConfigurationError, match="has 2 tenants: choose one"):
        await make_device(of_all, OTHER, OLD)
    tables.tenants.rows.clear()
    with pytest.raises(ConfigurationError, match="has no tenant"):
        await make_device(of_all, OTHER, OLD)


# The doctor


def found(findings, what, grade=None):
    return [one for one in findings if what in one.what and grade in (None, one.grade)]


async def test_a_set_up_made_by_us_has_nothing_bad(binding, chirpstack):
    for _ in range(40):
        chirpstack.up(b"x")
    findings = await binding.check()
    assert [one for one in findings if one.grade == "bad"] == []
    assert found(findings, "event URL", "good")
    assert found(findings, "HTTP integration", "good")
    assert found(findings, "event history", "good")


async def test_a_wrong_key_is_found(binding):
    settings = msgspec.structs.replace(binding._settings, api=msgspec.structs.replace(binding._settings.api, key="no"))
    (one,) = await LorawanBinding("net", settings).check()
    assert one.grade == "bad"
    assert "API key" in one.cure


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"rx1_delay": 0}, "rx1_delay"),
        ({"supports_class_c": True, "class_c_timeout": 0}, "class_c_timeout"),
        ({"payload_codec_runtime": api.JS}, "codec"),
    ],
)
async def test_a_profile_that_hurts_is_found_with_the_cure(binding, chirpstack, fields, words):
    profile = chirpstack.context.tables.profiles.get(binding._records.held(DEVICE).profile).message
    for name, value in fields.items():
        setattr(profile, name, value)
    findings = found(await binding.check(), "profile")
    assert any(one.grade != "good" and words in one.detail and one.cure for one in findings)


async def test_an_f_port_that_chirpstack_keeps_for_itself_is_found(make, chirpstack):
    binding = await make(downlinks={"f_port": 202})
    profile = chirpstack.context.tables.profiles.get(binding._records.held(DEVICE).profile).message
    profile.app_layer_params.ts003_version = api.TS003_V100
    findings = found(await binding.check(), "profile", "bad")
    assert any("202" in one.detail for one in findings)


@pytest.mark.parametrize(
    ("layer", "own", "port"), [("ts003", 0, 202), ("ts004", 0, 201), ("ts005", 0, 200), ("ts004", 21, 21)]
)
@pytest.mark.parametrize("option", ["server_ports", "f_port"])
async def test_an_endpoints_f_port_that_chirpstack_keeps_for_itself_is_found(
    binding, chirpstack, layer, own, port, option
):
    options = {"f_port": str(port)} if option == "f_port" else {"server_ports": f"one={port},*=5"}
    profile = chirpstack.context.tables.profiles.get(binding._records.held(DEVICE).profile).message
    setattr(profile.app_layer_params, f"{layer}_version", 1)
    setattr(profile.app_layer_params, f"{layer}_f_port", own)
    assert not found(await binding.check(), "profile", "bad")
    await binding.provision(DEVICE, options)
    (finding,) = found(await binding.check(), "profile", "bad")
    assert f"FPort {port}, which {DEVICE} has for LwM2M, is that of" in finding.detail
    assert layer.upper() in finding.detail
    assert f"{layer}_f_port" in finding.cure


async def test_a_short_history_and_a_missing_integration_are_found(binding, chirpstack):
    chirpstack.context.tables.applications.get(chirpstack.application_id).http = None
    findings = await binding.check()
    assert found(findings, "HTTP integration", "bad")
    assert found(findings, "event history", "warning")


@pytest.mark.parametrize("patience", [2.0, 45.0])
async def test_a_check_waits_for_events_as_long_as_catching_up_does(make, monkeypatch, patience):
    waited = []
    usual = ChirpStackClient.events

    def events(client, device, patience, *, expected):
        waited.append(patience)
        return usual(client, device, 0.0, expected=expected)

    binding = await make(catch_up={"patience": patience})
    monkeypatch.setattr(ChirpStackClient, "events", events)
    assert found(await binding.check(), "event history")
    assert waited == [patience]


PATIENT = {"patience": 2.0}  # a busy machine may pause within a history that has events


async def test_a_history_that_only_keeps_the_default_is_found(make, chirpstack):
    binding = await make(catch_up=PATIENT)
    chirpstack.context.settings = replace(chirpstack.context.settings, history_per_device=10)
    for _ in range(20):
        chirpstack.up(b"x")
    (finding,) = found(await binding.check(), "event history", "warning")
    assert "10 events" in finding.detail
    assert "max_history" in finding.cure


@pytest.mark.parametrize("uplinks", [1, 11])
async def test_a_device_that_has_only_just_joined_is_no_sign_of_a_short_history(make, chirpstack, uplinks):
    binding = await make(catch_up=PATIENT)
    chirpstack.join("01020304")
    for _ in range(uplinks):
        chirpstack.up(b"x")
    assert found(await binding.check(), "event history", "good")


async def test_counters_that_are_not_checked_are_found(binding, chirpstack):
    chirpstack.row().message.skip_fcnt_check = True
    assert found(await binding.check(), "device", "warning")


async def test_without_application_id_it_is_told_what_was_not_looked_at(binding):
    settings = msgspec.structs.replace(binding._settings, application_id="")
    (one,) = found(await LorawanBinding("net", settings).check(), "profiles")
    assert one.grade == "warning"
    assert "HTTP integration, profiles, event history" in one.what
    assert "not checked" in one.detail


async def test_an_event_url_out_of_reach_is_told_without_its_secret(make):
    binding = await make(http={"public_url": "http://127.0.0.1:1"})
    (one,) = found(await binding.check(), "event URL", "warning")
    assert one.detail == "http://127.0.0.1:1/… cannot be reached from this machine: connection refused"


async def test_before_the_start_the_network_server_is_checked_all_the_same(binding, chirpstack):
    stopped = LorawanBinding("net", binding._settings)
    findings = await stopped.check()
    assert found(findings, "ChirpStack", "good")
    assert not found(findings, "event URL")


async def test_chirpstack_out_of_reach_is_found_with_the_cure(binding, chirpstack):
    await chirpstack.goes(binding)
    (one,) = found(await binding.check(), "ChirpStack")
    assert one.grade == "bad"
    assert "api.server" in one.cure


async def test_the_version_that_a_key_is_not_told_is_no_failure(binding, chirpstack):
    before = binding.provider.client.failures
    assert await binding.provider.client.version() == ""
    assert binding.provider.client.failures == before


async def test_a_run_that_fails_half_way_says_what_was_made_and_a_second_one_makes_the_rest(binding, chirpstack):
    chirpstack.fault("grpc_unavailable", count=1000, where={"method": "CreateKeys"})
    with pytest.raises(BindingError) as failed:
        await make_device(binding, OTHER, OLD)
    assert f"device {OTHER}" in str(failed.value).partition("made before that: ")[2]
    assert "the same command makes the rest" in str(failed.value)
    chirpstack.context.faults.clear()
    again = await make_device(binding, OTHER, OLD)
    assert len(again.changes) == 1
    assert "keys" in again.changes[0]
    assert (await make_device(binding, OTHER, OLD)).changes == ()
