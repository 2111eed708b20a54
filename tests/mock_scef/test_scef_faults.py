"""Every fault of the catalogue: it does what it says, where `where` says so, and nowhere else."""

import asyncio
import datetime as dt

import aiohttp
import pytest
from scef_kit import UE

from mock_network.scef.fault_kinds import KINDS
from tests.waiting import until

OTHER_UE = "meter-2@example.com"


class Run:
    """One try at a fault: what a SCS/AS does, and whether it notices something odd."""

    def __init__(self, scs_as):
        self.scs_as = scs_as
        self.location = ""

    async def configured(self):
        self.location, _ = await self.scs_as.configure()

    async def asleep(self):
        await self.configured()
        await self.scs_as.control("POST", f"/ues/{UE}/sleep")

    async def buffered(self):
        """POST a downlink that is kept, to a UE that wakes in an hour."""
        await self.asleep()
        return await self.scs_as.post(self.location)

    async def cut(self):
        await self.configured()
        try:
            await self.scs_as.post(self.location)
        except (aiohttp.ClientError, TimeoutError):
            return True
        return False

    async def uplink(self):
        """Send an uplink, and return what is notified."""
        await self.configured()
        before = len(self.scs_as.notified)
        await self.scs_as.control("POST", f"/ues/{UE}/uplink", {"data": "0102"})
        return await self.scs_as.told(before + 1)

    async def status(self):
        """Have a delivery status notified, and return it."""
        _, body, _ = await self.buffered()
        before = len(self.scs_as.notified)
        await self.scs_as.control("POST", f"/ues/{UE}/wake")
        told = await self.scs_as.told(before + 1)
        return told, body

    # Around a request

    async def cut_before_processing(self):
        cut = await self.cut()
        assert not cut or await self.scs_as.air("downlink") == [] or len(self.scs_as.seen) > 2
        return cut

    cut_after_processing = cut_in_answer = cut

    async def http_error(self):
        await self.configured()
        status, body, headers = await self.scs_as.post(self.location)
        if status != 418:
            return False
        return (body["cause"], headers["Retry-After"]) == ("TEAPOT", "3")

    async def proxy_page(self):
        await self.configured()
        status, body, headers = await self.scs_as.post(self.location)
        return status == 404 and "<html>" in body and headers["Content-Type"].startswith("text/html")

    async def redirect(self):
        await self.configured()
        url = f"{self.location}/downlink-data-deliveries"
        body = {"externalId": UE, "data": "AA=="}
        status, _, headers = await self.scs_as.ask("POST", url, body, allow_redirects=False)
        if status != 308:
            return False
        assert (await self.scs_as.ask("POST", headers["Location"], body))[0] == 200
        return True

    async def slow(self):
        await self.configured()
        begun = asyncio.get_running_loop().time()
        await self.scs_as.post(self.location)
        return asyncio.get_running_loop().time() - begun > 0.2

    slow_answer = slow_body = slow

    async def tokens_revoked(self):
        scs_as = self.scs_as
        await self.configured()
        form = {"grant_type": "client_credentials", "client_id": "scs-as", "client_secret": "secret-1"}
        async with scs_as.session.post(scs_as.api("oauth2/token"), data=form) as response:
            token = (await response.json())["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{self.location}/downlink-data-deliveries"
        status, *_ = await scs_as.ask("POST", url, {"externalId": UE, "data": "AA=="}, headers=headers)
        return status == 401

    async def refuse(self):
        await self.configured()
        status, body, _ = await self.scs_as.post(self.location)
        if status != 500:
            return False
        assert body["problemDetail"]["cause"] == "BUFFER_FULL"
        return _moment(body["requestedRetransmissionTime"]) > dt.datetime.now(dt.UTC) + dt.timedelta(seconds=50)

    # What an answer says

    async def no_location(self):
        status, _, headers = await self.buffered()
        return status == 201 and "Location" not in headers

    async def no_self(self):
        return "self" not in (await self.buffered())[1]

    async def no_status(self):
        return "deliveryStatus" not in (await self.buffered())[1]

    async def status_renamed(self):
        _, body, _ = await self.buffered()
        return "deliveryStatus" not in body and body["status"] == "BUFFERING_TEMPORARILY_NOT_REACHABLE"

    async def unknown_status(self):
        return (await self.buffered())[1]["deliveryStatus"] == "PARKED"

    async def links_relative(self):
        _, body, headers = await self.buffered()
        return body["self"].startswith("/3gpp-nidd") and headers["Location"] == body["self"]

    async def links_elsewhere(self):
        _, body, headers = await self.buffered()
        return "/gw/configurations/7/3gpp-nidd/v1/as1/" in body["self"] and headers["Location"] == body["self"]

    async def retry_time(self):
        _, body, _ = await self.buffered()
        return _moment(body["requestedRetransmissionTime"]) < dt.datetime.now(dt.UTC)

    # Resources

    async def configuration_lost(self):
        await self.configured()
        before = len(self.scs_as.notified)
        status, body, _ = await self.scs_as.post(self.location)
        return (status, body.get("cause"), len(self.scs_as.notified)) == (404, "CONFIGURATION_NOT_FOUND", before)

    async def configuration_terminated(self):
        await self.configured()
        before = len(self.scs_as.notified)
        if (await self.scs_as.post(self.location))[0] != 404:
            return False
        return (await self.scs_as.told(before + 1))["status"] == "TERMINATED"

    async def delivery_race(self):
        _, body, _ = await self.buffered()
        received = len(await self.scs_as.air("downlink"))
        status, *_ = await self.scs_as.ask("DELETE", body["self"])
        if status == 204:
            return False
        lines = (await self.scs_as.control("GET", "/air-log?what=downlink&wait=5"))[1]
        await until(lambda: self.scs_as.service.core.air_log.counts["downlink"] == received + 1)
        return status == 409 and lines is not None

    async def status_before_answer(self):
        await self.configured()
        await self.scs_as.control("POST", f"/ues/{UE}/wake")
        before = len(self.scs_as.notified)
        status, *_ = await self.scs_as.post(self.location)
        return status == 201 and len(self.scs_as.notified) == before + 1

    async def token_refused(self):
        form = {"grant_type": "client_credentials", "client_id": "scs-as", "client_secret": "secret-1"}
        async with self.scs_as.session.post(self.scs_as.api("oauth2/token"), data=form) as response:
            return (response.status, (await response.json()).get("error")) == (401, "invalid_client")

    # Notifications

    async def lost(self):
        await self.buffered()
        before, records = len(self.scs_as.notified), self.scs_as.service.notifier.records
        done = len(records)
        await self.scs_as.control("POST", f"/ues/{UE}/wake")
        await until(lambda: len(records) > done)
        return len(self.scs_as.notified) == before and "lost" in records[-1]

    final_status_lost = notification_lost = lost

    async def notification_duplicate(self):
        told = await self.uplink()
        for _ in range(10):
            await asyncio.sleep(0.01)
        return self.scs_as.notified.count(told) == 2

    async def notification_reorder(self):
        await self.configured()
        before = len(self.scs_as.notified)
        for data in ("01", "02"):
            await self.scs_as.control("POST", f"/ues/{UE}/uplink", {"data": data})
        await self.scs_as.told(before + 2)
        return [body["data"] for body in self.scs_as.notified[before:]] == ["Ag==", "AQ=="]

    async def notification_slow(self):
        begun = asyncio.get_running_loop().time()
        await self.uplink()
        return asyncio.get_running_loop().time() - begun > 0.2

    async def notification_answer_lost(self):
        told = await self.uplink()
        records = self.scs_as.service.notifier.records
        await until(lambda: not self.scs_as.service.notifier.waiting)
        if "lost by fault" not in str(list(records)[-2:]):
            return False
        return self.scs_as.notified[-2:] == [told, told]

    async def notification_both_identities(self):
        told = await self.uplink()
        return (told.get("externalId"), told.get("msisdn")) == (UE, "4915112345")

    async def notification_unknown_identity(self):
        return (await self.uplink())["externalId"] == "nobody@unknown.example"

    async def notification_unknown_resource(self):
        return (await self.uplink())["niddConfiguration"].endswith("/configurations/no-such")

    async def notification_unknown_status(self):
        return (await self.status())[0].get("deliveryStatus") == "PARKED"

    async def notification_retry_time(self):
        """Have a delivery fail after it was answered, because the UE does not answer its page."""
        ue = self.scs_as.service.core.cell.ues[UE]
        settings = {"in_coverage": True, "inactivity": 0.01, "paging_timeout": 0.05, "buffering": False}
        await self.scs_as.control("PATCH", f"/ues/{UE}", settings)
        await self.configured()
        await self.scs_as.control("POST", f"/ues/{UE}/wake")
        await until(lambda: ue.state.value == "idle, listening")
        await self.scs_as.control("PATCH", f"/ues/{UE}", {"in_coverage": False})
        before = len(self.scs_as.notified)
        assert (await self.scs_as.post(self.location))[0] == 201
        told = await self.scs_as.told(before + 1)
        return _moment(told["requestedRetransmissionTime"]) < dt.datetime.now(dt.UTC)

    async def notification_status_renamed(self):
        return "status" in (await self.status())[0]

    async def notification_links_relative(self):
        return (await self.uplink())["niddConfiguration"].startswith("/3gpp-nidd")

    async def notification_links_elsewhere(self):
        return "/gw/configurations/7/3gpp-nidd" in (await self.uplink())["niddConfiguration"]

    async def notification_oversize(self):
        return len((await self.uplink())["data"]) > 2000

    async def notification_form(self):
        await self.uplink()
        return self.scs_as.notified_headers[-1].get("Content-Encoding") == "gzip"


PARAMS = {
    "http_error": {"status": 418, "cause": "TEAPOT", "retry_after": 3},
    "proxy_page": {"status": 404},
    "redirect": {"status": 308},
    "slow_answer": {"seconds": 0.25},
    "slow_body": {"seconds": 0.3},
    "refuse": {"why": "QUEUE_FULL", "retry_in": 60},
    "notification_reorder": {"seconds": 0.2},
    "notification_slow": {"seconds": 0.25},
    "notification_form": {"form": "gzip"},
}
PROFILE_CHANGES = {"notification_retry_time": {"answer_wait": 0.0}}
HERE = {"api": "nidd", "resource": "deliveries", "scs_as": "as1", "ue": UE, "client_id": "scs-as"}
METHODS = {"delivery_race": "DELETE"}
STATUSES = {"notification_retry_time": "FAILURE_TEMPORARILY_NOT_REACHABLE"}
OF_STATUSES = {
    "notification_retry_time",
    "final_status_lost",
    "notification_lost",
    "notification_unknown_status",
    "notification_status_renamed",
}


def where_it_happens(kind):
    """Return all that the fault's occasion is described by, as it is in its run."""
    method = METHODS.get(kind.name, "POST")
    status = kind.name in OF_STATUSES
    more = {
        "method": method,
        "kind": "delivery" if status else "uplink",
        "status": STATUSES.get(kind.name, "SUCCESS_NEXT_HOP_ACKNOWLEDGED") if status else "",
    }
    return {name: (HERE | more)[name] for name in kind.where}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_every_fault_happens_where_it_belongs_and_nowhere_else(start, kind):
    changes = PROFILE_CHANGES.get(kind.name)
    scs_as = await start(ue={"t3412": 3600}, judged=False, token="secret-1", profile_changes=changes)
    here = where_it_happens(kind)
    fault = {"kind": kind.name, "params": PARAMS.get(kind.name, {})}
    assert not await getattr(Run(scs_as), kind.name)()
    for name in kind.where:
        _, armed = await scs_as.control("POST", "/faults", {**fault, "where": {**here, name: "elsewhere"}})
        assert not await getattr(Run(scs_as), kind.name)(), f"{name} was not looked at"
        await scs_as.control("DELETE", f"/faults/{armed['id']}")
    assert scs_as.service.faults.happened[kind.name] == 0
    assert (await scs_as.control("POST", "/faults", {**fault, "where": here, "count": 1}))[0] == 201
    assert await getattr(Run(scs_as), kind.name)()
    assert scs_as.service.faults.happened[kind.name] == 1


async def test_a_fault_that_could_never_happen_is_refused(start):
    scs_as = await start()
    status, answer = await scs_as.control("POST", "/faults", {"kind": "http_error", "where": {"dev_eui": "1"}})
    assert (status, "knows no dev_eui" in answer["error"]) == (400, True)


@pytest.mark.parametrize("resource", ["configurations", "deliveries", "rds-ports", "transactions", "subscriptions"])
async def test_every_collection_has_a_name_of_its_own(start, resource):
    scs_as = await start()
    location, _ = await scs_as.configure()
    urls = {
        "configurations": scs_as.base,
        "deliveries": f"{location}/downlink-data-deliveries",
        "rds-ports": f"{location}/rds-ports/ue1-ef1",
        "transactions": scs_as.api("3gpp-device-triggering/v1/as1/transactions"),
        "subscriptions": scs_as.api("3gpp-monitoring-event/v1/as1/subscriptions"),
    }
    await scs_as.fault("http_error", where={"resource": resource}, params={"status": 503})
    for name, url in urls.items():
        if name != resource:
            assert (await scs_as.ask("GET", url))[0] != 503
    assert (await scs_as.ask("GET", urls[resource]))[0] == 503


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 502, 503, 504])
async def test_a_proxy_answers_any_status_with_a_page(start, status):
    scs_as = await start(judged=False)
    location, _ = await scs_as.configure()
    await scs_as.fault("proxy_page", params={"status": status})
    answered, body, headers = await scs_as.post(location)
    assert (answered, headers["Content-Type"].partition(";")[0]) == (status, "text/html")
    assert f"<h1>{status} " in body
    assert await scs_as.air("downlink") == []


@pytest.mark.parametrize("kind", ["http_error", "proxy_page"])
async def test_an_error_may_hide_that_the_request_took_effect(start, kind):
    scs_as = await start(judged=False)
    location, _ = await scs_as.configure()
    await scs_as.fault(kind, params={"status": 502, "processed": True})
    assert (await scs_as.post(location, b"once"))[0] == 502
    assert [line["data"] for line in await scs_as.air("downlink")] == [b"once".hex()]


async def test_an_answer_that_breaks_off_has_taken_effect(start):
    scs_as = await start()
    location, _ = await scs_as.configure()
    await scs_as.fault("cut_in_answer")
    with pytest.raises(aiohttp.ClientError):
        await scs_as.post(location, b"once")
    assert [line["data"] for line in await scs_as.air("downlink")] == [b"once".hex()]
    assert (await scs_as.control("GET", "/requests"))[1][-1]["cut"] is True


@pytest.mark.parametrize(
    ("form", "header", "value"),
    [
        ("bom", "Content-Type", "application/json"),
        ("charset", "Content-Type", 'application/json; charset="UTF-8"'),
        ("chunked", "Transfer-Encoding", "chunked"),
        ("lower_case_scheme", "Authorization", "bearer from-the-scef"),
    ],
)
async def test_forms_of_a_notification(start, form, header, value):
    scs_as = await start(callback_authorization="Bearer from-the-scef")
    await scs_as.configure()
    await scs_as.fault("notification_form", params={"form": form})
    await scs_as.control("POST", f"/ues/{UE}/uplink", {"data": "0102"})
    told = await scs_as.told()
    assert scs_as.notified_headers[0][header] == value
    assert told["data"] == "AQI="
    assert scs_as.notified_bodies[0].startswith(b"\xef\xbb\xbf") is (form == "bom")


def _moment(text):
    return dt.datetime.fromisoformat(text)
