"""A SCS/AS that uses an emulated SCEF over HTTP; all that passes is held against 3GPP's files, if they are there."""

import asyncio
import base64
import contextlib
import http.client
import json

from aiohttp import web
from yarl import URL

from tests.t8.files import openapi_dir
from tests.t8.openapi import Answer, Request, judge
from tests.waiting import until

UE = "meter-1@example.com"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
JSON = "application/json"


class ScsAs:
    """Asks, and takes notifications. `violations` tells what was not as the files have it."""

    def __init__(self, service, session, *, judged=True):
        self.service = service
        self.session = session
        self.headers = {"Authorization": f"Bearer {service.authority.clients[0].secret}"}
        self.notified = []
        self.notified_headers = []
        self.notified_bodies = []
        self.answers = []  # HTTP statuses to give to the next notifications; then 204
        self.mo_sms = []
        self.nidd_triggers = []
        self.destination = self.root = ""
        self.violations = []
        self.seen = set()  # (method, path, status) of what was asked
        self._judge = judge(openapi_dir() if judged else None)
        self._runner = None

    @property
    def base(self):
        return self.api("3gpp-nidd/v1/as1/configurations")

    def api(self, path):
        return f"{self.service.url}/{path}"

    async def listen(self, tls=None):
        """Begin to take notifications; instead of those from before, if there were any."""
        if self._runner is not None:
            await self._runner.cleanup()
        app = web.Application()
        app.router.add_post("/notify", self._notify)
        app.router.add_post("/notify/", self._notify)
        app.router.add_post("/mo-sms", self._mo_sms)
        app.router.add_post("/nidd-trigger", self._nidd_trigger)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=tls).start()
        self.root = f"{'https' if tls else 'http'}://127.0.0.1:{self._runner.addresses[0][1]}"
        self.destination = f"{self.root}/notify"

    async def close(self):
        await self._runner.cleanup()

    # What the SCEF posts

    async def _notify(self, request):
        body = await request.read()
        self.violations += self._judge.callback(body)
        self.notified_headers.append(request.headers)
        self.notified_bodies.append(body)
        self.notified.append(_parsed(body))
        return web.Response(status=self.answers.pop(0) if self.answers else 204)

    async def _mo_sms(self, request):
        self.violations += self._judge.callback(await request.read())
        self.mo_sms.append(await request.json())
        return web.json_response({"supportedFeatures": "0"})

    async def _nidd_trigger(self, request):
        self.violations += self._judge.callback(await request.read())
        self.nidd_triggers.append(await request.json())
        return web.json_response({"suppFeat": "0"})

    async def told(self, number=1):
        """Wait until so many notifications have come; return the last."""
        await until(lambda: len(self.notified) >= number)
        return self.notified[number - 1]

    # What it asks

    async def ask(self, method, url, body=None, content_type=JSON, headers=None, **options):
        """Return status, body and headers of the answer."""
        data = None if body is None else json.dumps(body)
        headers = {**self.headers, **(headers or {}), **({"Content-Type": content_type} if data else {})}
        async with self.session.request(method, url, data=data, headers=headers, **options) as response:
            text = await response.read()
            self._hold_against_the_files(method, url, data, content_type, response, text)
            return response.status, _parsed(text) if text else None, response.headers

    async def ask_without_length(self, method, url):
        """Ask without a body and without Content-Length, which aiohttp always sends; return the status."""

        def ask():
            connection = http.client.HTTPConnection(URL(url).host, URL(url).port)
            with contextlib.closing(connection):
                connection.putrequest(method, URL(url).raw_path)
                for name, value in self.headers.items():
                    connection.putheader(name, value)
                connection.endheaders()
                response = connection.getresponse()
                return response, response.read()

        response, text = await asyncio.to_thread(ask)
        response.content_type = response.headers.get_content_type()
        self._hold_against_the_files(method, url, None, JSON, response, text)
        return response.status

    def _hold_against_the_files(self, method, url, data, content_type, response, text):
        path = URL(url).path
        if "/3gpp-" not in path:
            return
        path = path[path.index("/3gpp-") :]
        self.seen.add((method, path, response.status))
        if response.status == 405:  # no operation of the files
            return
        request = Request(method.lower(), path, (data or "").encode() or None, content_type)
        found = self._judge.request(request) if response.status < 300 else []
        found += self._judge.answer(
            request, Answer(response.status, text or None, response.content_type, dict(response.headers))
        )
        self.violations += [f"{method} {path} → {response.status}: {one}" for one in found]

    async def configure(self, **members):
        """Make an NIDD configuration; return its URL and what it was answered."""
        body = {"externalId": UE, "notificationDestination": self.destination, **members}
        status, answer, headers = await self.ask("POST", self.base, _present(body))
        assert status == 201, answer
        return headers["Location"], answer

    async def post(self, configuration, data=b"down", **members):
        """Send a downlink."""
        body = {"externalId": UE, "data": base64.b64encode(data).decode(), **members}
        return await self.ask("POST", f"{configuration}/downlink-data-deliveries", _present(body))

    # What the tester does

    async def control(self, method, path, body=None):
        async with self.session.request(method, self.service.control_url + path, json=body) as response:
            text = await response.text()
            return response.status, json.loads(text) if response.content_type == JSON else text

    async def fault(self, kind, **members):
        status, answer = await self.control("POST", "/faults", {"kind": kind, "count": 1, **members})
        assert status == 201, answer

    async def air(self, what):
        """Return lines of the air log."""
        return (await self.control("GET", f"/air-log?what={what}"))[1]


def _present(body):
    return {name: value for name, value in body.items() if value is not None}


def _parsed(body):
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
