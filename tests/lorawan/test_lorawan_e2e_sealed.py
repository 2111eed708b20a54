"""Processes, and payloads that only device and bridge can read: by a Join Server outside (OTAA), and by hand (ABP)."""

import json

import pytest
import pytest_asyncio
from lorawan_kit import APP_KEY, NAME, device, lorawan_set_up

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.requirement("LightweightM2 M-LPW-12")]

KEK = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
PERSONAL = "70b3d57ed00000ab"
SESSION = {"dev_addr": "01020399", "nwk_s_key": APP_KEY, "app_s_key": APP_KEY[::-1]}
TEXT = "only for device and bridge"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sealed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("sealed")
    (directory / "kek").write_text(KEK + "\n")
    async with lorawan_set_up(
        directory,
        join_server={"kek_label": "lwm2m", "kek": KEK},
        lines='end_to_end = { keks = { lwm2m = "file:kek" }, required = true }\n',
    ) as found:
        await found.joined()
        yield found


async def all_that_chirpstack_has(world, name):
    """Return its queue, events and frames of a device, as text."""
    eui = world.euis[name]
    parts = [await world.queue(name), await world.radio.get(f"/history/{eui}"), await world.air(name)]
    return json.dumps(parts).lower()


async def story(world, name):
    """Manage a device, and look whether ChirpStack ever had the text of a resource."""
    before = len(await world.air(name))
    written = await world.asked("write", "/3/0/14", name, value=TEXT)
    assert written["code"] == "2.04"
    read = await world.asked("read", "/3/0/14", name)
    assert read["values"] == {"/3/0/14": TEXT}
    has = await all_that_chirpstack_has(world, name)
    assert TEXT not in has
    assert TEXT.encode().hex() not in has
    counters = [frame["fCntDown"] for frame in (await world.air(name))[before:] if frame["payload"]]
    assert len(set(counters)) == len(counters) > 1


async def test_a_device_that_joins_by_a_join_server_is_managed_and_chirpstack_reads_nothing(sealed):
    await sealed.client()
    await story(sealed, NAME)


async def test_so_it_is_after_a_crash_of_the_bridge_and_a_new_join(sealed):
    await sealed.client()
    await sealed.bridge.restart()
    await story(sealed, NAME)
    await sealed.act("rejoin")
    await sealed.joined()
    await sealed.act("poll")
    await story(sealed, NAME)


async def test_a_device_with_a_session_by_hand_is_managed_and_chirpstack_reads_nothing(sealed):
    arguments = ["device", "add", PERSONAL, "personal", "--network", "lorawan", "--kek", "lwm2m"]
    arguments += ["--dev-addr", SESSION["dev_addr"], "--nwk-s-key", "env:NWK", "--app-s-key", "env:APP"]
    keys = {"NWK": SESSION["nwk_s_key"], "APP": SESSION["app_s_key"]}
    made = await sealed.command(*arguments, **keys)
    assert made[0] == 0, made
    again = await sealed.command(*arguments, **keys)
    assert "the network had everything already" in again[1]
    shown = await sealed.command("endpoint", "show", "personal", "--json")
    assert json.loads(shown[1])["endpoint"]["options"]["app_s_key"].startswith("lwm2m:")
    assert SESSION["app_s_key"] not in made[1] + again[1] + shown[1]
    await sealed.radio.post("/radio/devices", {"dev_eui": PERSONAL, "duty_cycle": False, **SESSION})
    sealed.euis["personal"] = PERSONAL
    await sealed.client("personal")
    await story(sealed, "personal")


async def test_a_device_whose_payloads_chirpstack_could_read_is_not_sent_to(sealed):
    plain = "70b3d57ed00000ac"
    arguments = ["device", "add", plain, "plain", "--network", "lorawan", "--app-key", "env:THE_KEY"]
    made = await sealed.command(*arguments, THE_KEY=APP_KEY)
    assert made[0] == 0, made
    await sealed.radio.post("/radio/devices", device(plain, app_key=APP_KEY))
    sealed.euis["plain"] = plain
    await sealed.start_client("plain")
    await sealed.joined()
    assert "plain" not in [client["endpoint"] for client in await sealed.server.get("/clients")]
    assert [frame for frame in await sealed.air("plain") if frame["fPort"]] == []
