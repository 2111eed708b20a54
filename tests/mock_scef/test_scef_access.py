"""Who may use the SCEF and how it shows who it is: tokens that end, certificates, several SCS/ASs; its own clock."""

import base64
import datetime as dt
import ssl
from email.utils import parsedate_to_datetime

import aiohttp
import pytest
from scef_kit import UE

from mock_network.scef.options import ScsAs
from tests.waiting import until


async def token(scs_as, client_id="scs-as", secret="secret-1", **form):
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret, **form}
    async with scs_as.session.post(scs_as.api("oauth2/token"), data=form) as response:
        return response.status, await response.json()


def bearer(value):
    return {"Authorization": f"Bearer {value}"}


async def test_an_access_token_ends_when_it_was_said_to(start):
    scs_as = await start(token="secret-1", token_lifetime=0.2)
    _, answer = await token(scs_as)
    access = answer["access_token"]
    assert (await scs_as.ask("GET", scs_as.base, headers=bearer(access)))[0] == 200
    clock = scs_as.service.clock
    end = clock.wall() + 0.2
    await until(lambda: clock.wall() > end)
    assert (await scs_as.ask("GET", scs_as.base, headers=bearer(access)))[0] == 401


async def test_a_scef_may_take_one_kind_of_credentials_only(start):
    basic = {"Authorization": "Basic " + base64.b64encode(b"scs-as:secret-1").decode()}
    for kind in ("bearer", "basic", "oauth2"):
        scs_as = await start(token="secret-1", credentials=frozenset({kind}))
        _, answer = await token(scs_as)
        taken = {}
        for name, headers in (
            ("bearer", bearer("secret-1")),
            ("basic", basic),
            ("oauth2", bearer(answer["access_token"])),
        ):
            taken[name] = (await scs_as.ask("GET", scs_as.base, headers=headers))[0] == 200
        assert taken == {name: name == kind for name in taken}


async def test_the_name_of_a_scheme_is_read_in_any_case(start):
    scs_as = await start(token="secret-1")
    assert (await scs_as.ask("GET", scs_as.base, headers={"Authorization": "bEARER secret-1"}))[0] == 200


# Several SCS/ASs


METERS = ScsAs(id="meters", secret="secret-m", identities=("meter-*@example.com",), quota=1)
LAMPS = ScsAs(id="lamps", secret="secret-l", identities=("lamp-*@example.com",))


async def test_each_scs_as_has_its_own_path_subscribers_and_quota(start):
    scs_as = await start(scs_as=(METERS, LAMPS), ues=({"external_id": "lamp-1@example.com"},))
    meters = scs_as.api("3gpp-nidd/v1/meters/configurations")
    body = {"externalId": UE, "notificationDestination": scs_as.destination}
    assert (await scs_as.ask("POST", meters, body, headers=bearer("secret-l")))[0] == 403
    scs_as.headers = bearer("secret-m")
    assert (await scs_as.ask("POST", meters, {**body, "externalId": "lamp-1@example.com"}))[0] == 403
    status, made, _ = await scs_as.ask("POST", meters, body)
    assert status == 201
    assert (await scs_as.post(made["self"]))[0] == 200
    assert (await scs_as.post(made["self"]))[1]["cause"] == "QUOTA_EXCEEDED"
    status, answer = await token(scs_as, "lamps", "secret-l")
    scs_as.headers = bearer(answer["access_token"])
    assert (await scs_as.ask("GET", meters))[0] == 403
    assert (await scs_as.ask("GET", scs_as.api("3gpp-nidd/v1/lamps/configurations")))[1] == []


async def test_sms_and_ues_without_configuration_go_to_the_scs_as_that_may_use_the_ue(start):
    scs_as = await start()
    urls = {"mo_sms_url": f"{scs_as.root}/mo-sms", "nidd_trigger_url": f"{scs_as.root}/nidd-trigger"}
    one = await start(
        scs_as=(
            LAMPS,
            ScsAs(id="meters", secret="secret-m", identities=("meter-*@example.com",), **urls),
        ),
        ues=({"external_id": "lamp-1@example.com"},),
    )
    for ue in (UE, "lamp-1@example.com"):
        await one.control("POST", f"/ues/{ue}/sms", {"data": "01"})
    await until(lambda: scs_as.mo_sms)
    await until(lambda: scs_as.nidd_triggers)
    await until(lambda: one.service.core.context.counts["MO SMS without destination"] == 1)
    assert [sms["externalId"] for sms in scs_as.mo_sms] == [UE]
    assert [told["afId"] for told in scs_as.nidd_triggers] == ["meters"]


async def test_an_sms_that_the_scs_as_does_not_take_is_told_in_the_air_log(start):
    scs_as = await start(profile_changes={"notify_attempts": 1})
    await scs_as.control("PATCH", "/settings", {"mo_sms_url": f"{scs_as.root}/no-such"})
    await scs_as.control("POST", f"/ues/{UE}/sms", {"data": "01"})
    await until(lambda: scs_as.service.core.air_log.counts["mo-sms-refused"] == 1)


# Certificates


async def test_a_client_certificate_can_be_wanted(start, certificate):
    scs_as = await start(certificate=certificate, client_ca=certificate)
    assert scs_as.base.startswith("https://")
    trusting = ssl.create_default_context(cafile=certificate)
    with pytest.raises(aiohttp.ClientError):
        await scs_as.ask("GET", scs_as.base, ssl=trusting)
    trusting.load_cert_chain(certificate)
    assert (await scs_as.ask("GET", scs_as.base, ssl=trusting))[0] == 200


async def test_notifications_go_over_tls_with_a_certificate_and_credentials(start, certificate):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificate)
    context.load_cert_chain(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    scs_as = await start(
        callback_ca=certificate, callback_certificate=certificate, callback_authorization="Bearer from-the-scef"
    )
    await scs_as.listen(context)
    await scs_as.configure()
    await scs_as.control("POST", f"/ues/{UE}/uplink", {"data": "01"})
    await scs_as.told()
    assert scs_as.notified_headers[0]["Authorization"] == "Bearer from-the-scef"


# UEs that are made when they are first named


async def test_a_ue_is_made_on_first_use_where_its_identity_fits(start):
    scs_as = await start(on_first_use=("*@new.example", "4917*"))
    for identity in ({"externalId": "a@NEW.example"}, {"externalId": None, "msisdn": "491701"}):
        await scs_as.configure(**identity)
    status, *_ = await scs_as.ask(
        "POST", scs_as.base, {"externalId": "a@old.example", "notificationDestination": scs_as.destination}
    )
    assert status == 404
    assert list(scs_as.service.core.cell.ues) == [UE, "a@NEW.example", "491701"]
    assert set(scs_as.service.modems.channels("491701")) == {"data", "sms"}


# The SCEF's own clock


async def test_the_date_and_all_absolute_times_are_those_of_the_scefs_own_clock(start):

    scs_as = await start(ue={"t3412": 3600}, clock_skew=7200.0)
    now = dt.datetime.now(dt.UTC)
    ends = now + dt.timedelta(hours=2, seconds=30)  # in half a minute by the SCEF's own clock
    location, made = await scs_as.configure(duration=ends.isoformat())
    assert dt.datetime.fromisoformat(made["duration"]) == ends
    await scs_as.control("POST", f"/ues/{UE}/sleep")
    _, kept, headers = await scs_as.post(location)
    ahead = parsedate_to_datetime(headers["Date"]) - now
    assert dt.timedelta(hours=1, minutes=59) < ahead < dt.timedelta(hours=2, minutes=1)
    wait = dt.datetime.fromisoformat(kept["requestedRetransmissionTime"]) - parsedate_to_datetime(headers["Date"])
    assert dt.timedelta(minutes=59) < wait < dt.timedelta(minutes=61)
    assert scs_as.service.core.due() < now.timestamp() + 31
    await scs_as.control("PATCH", "/settings", {"clock_skew": -3600.0})
    _, _, headers = await scs_as.ask("GET", location)
    assert parsedate_to_datetime(headers["Date"]) < now
    assert (await scs_as.control("GET", "/clock"))[1]["skew"] == -3600.0
    lines = (await scs_as.control("GET", "/air-log"))[1]
    assert abs(lines[-1]["time"] - now.timestamp()) < 60  # true time: the tester's own
