"""A SCEF that does as it is told: a table of configurations and deliveries, and scripted answers in front of it."""

import asyncio
import base64
import json
import time
from collections import defaultdict, deque
from email.utils import formatdate

from aiohttp import ClientSession, web

HANG_UP = object()  # take the request, then cut the connection
SILENCE = object()  # take the request, never answer


def problem(status, title="none"):
    """Make an answer of ProblemDetails."""
    return web.json_response({"title": title, "status": status}, status=status, content_type="application/problem+json")


class ScriptedScef:
    """`script[name]` holds answers to give instead of the table's: (status, body, headers), HANG_UP, SILENCE, or a
    coroutine function of the request. Names: list, create, read, patch, delete, submit, pending, delivery,
    cancel, token."""

    def __init__(self):
        self.configurations = {}
        self.deliveries = defaultdict(dict)
        self.script = defaultdict(deque)
        self.requests = []
        self.numbers = iter(range(1, 1 << 30))
        self.maximum_packet_size = 10864
        self.submit_status = None  # deliveryStatus of a 200; None: SUCCESS
        self.patchable = True
        self.refuse_duplicates = 409
        self.relative = False
        self.authorization = None
        self.features = "4"  # supportedFeatures that a creation answers; None: it says nothing of them
        self.now = time.time  # for the Date header

    async def __aenter__(self):
        app = web.Application(client_max_size=1 << 24)
        self._route(app.router)
        app.router.add_post("/token", self._do("token", self._token))
        app.router.add_route("*", "/prefix/{other:.*}", self._no_such_api)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        self.host = f"http://127.0.0.1:{self.port}"
        self.root = self.host + "/prefix"
        self.session = ClientSession()
        return self

    async def _no_such_api(self, _request):
        return problem(404, "no such API")

    async def __aexit__(self, *_):
        await self.session.close()
        await self._runner.cleanup()

    def _route(self, router):
        base = "/prefix/3gpp-nidd/v1/as1/configurations"
        one, deliveries = base + "/{c}", base + "/{c}/downlink-data-deliveries"
        router.add_get(base, self._do("list", self._list))
        router.add_post(base, self._do("create", self._create))
        router.add_get(one, self._do("read", self._read))
        router.add_patch(one, self._do("patch", self._patch))
        router.add_delete(one, self._do("delete", self._delete))
        router.add_post(deliveries, self._do("submit", self._submit))
        router.add_get(deliveries, self._do("pending", self._pending))
        router.add_get(deliveries + "/{d}", self._do("delivery", self._delivery))
        router.add_delete(deliveries + "/{d}", self._do("cancel", self._cancel))

    def made(self, name):
        """Return the requests of one name: (name, headers, body)."""
        return [request for request in self.requests if request[0] == name]

    def _do(self, name, usual):
        async def handle(request):
            body = await request.read()
            parsed = json.loads(body) if body and name != "token" else body.decode()
            self.requests.append((name, request.headers.copy(), parsed))
            if self.authorization and name != "token" and request.headers.get("Authorization") != self.authorization:
                return problem(401, "who?")
            scripted = self.script[name].popleft() if self.script[name] else None
            response = usual(request, parsed) if scripted is None else await self._scripted(scripted, request)
            response.headers["Date"] = formatdate(self.now(), usegmt=True)
            return response

        return handle

    async def _scripted(self, answer, request):
        if answer is HANG_UP:
            request.transport.abort()
            await asyncio.sleep(0)
            return web.Response()
        if answer is SILENCE:
            await asyncio.sleep(60)
        if callable(answer):
            return await answer(request)
        status, body, *headers = answer
        text = body if isinstance(body, str) else json.dumps(body) if body is not None else ""
        kind = "text/html" if text.startswith("<") else "application/json" if text else None
        return web.Response(
            status=status, text=text or None, content_type=kind, headers=headers[0] if headers else None
        )

    def link(self, configuration, delivery=None):
        path = f"/prefix/3gpp-nidd/v1/as1/configurations/{configuration}"
        if delivery is not None:
            path += f"/downlink-data-deliveries/{delivery}"
        return path if self.relative else self.host + path

    def add(self, **members):
        name = f"c{next(self.numbers)}"
        self.configurations[name] = {"self": self.link(name), "maximumPacketSize": self.maximum_packet_size, **members}
        return name

    def name_of(self, device):
        for name, one in self.configurations.items():
            if device in {one.get("externalId"), one.get("msisdn")}:
                return name
        return None

    def _list(self, request, body):
        return web.json_response(list(self.configurations.values()))

    def _create(self, request, body):
        device = body.get("externalId") or body.get("msisdn")
        if self.refuse_duplicates and self.name_of(device):
            return problem(self.refuse_duplicates, "exists")
        body = {name: value for name, value in body.items() if name != "supportedFeatures"}
        if self.features is not None:
            body["supportedFeatures"] = self.features
        one = self.configurations[self.add(**body)]
        return web.json_response(one, status=201, headers={"Location": one["self"]})

    def _find(self, request):
        return self.configurations.get(request.match_info["c"])

    def _read(self, request, body):
        one = self._find(request)
        return web.json_response(one) if one else problem(404)

    def _patch(self, request, body):
        one = self._find(request)
        if one is None:
            return problem(404)
        if not self.patchable:
            return problem(405, "no PATCH")
        one.update(body)
        return web.json_response(one)

    def _delete(self, request, body):
        gone = self.configurations.pop(request.match_info["c"], None)
        return web.Response(status=204) if gone else problem(404)

    def _submit(self, request, body):
        if self._find(request) is None:
            return problem(404, "no configuration")
        name, number = request.match_info["c"], str(next(self.numbers))
        status = self.submit_status or "SUCCESS"
        item = {**body, "self": self.link(name, number), "deliveryStatus": status}
        if status.startswith("BUFFERING"):
            self.deliveries[name][number] = item
            return web.json_response(item, status=201, headers={"Location": item["self"]})
        return web.json_response(item)

    def _pending(self, request, body):
        if self._find(request) is None:
            return problem(404)
        return web.json_response(list(self.deliveries[request.match_info["c"]].values()))

    def _delivery(self, request, body):
        item = self.deliveries[request.match_info["c"]].get(request.match_info["d"])
        return web.json_response(item) if item else problem(404)

    def _cancel(self, request, body):
        gone = self.deliveries[request.match_info["c"]].pop(request.match_info["d"], None)
        return web.Response(status=204) if gone else problem(404)

    def _token(self, request, body):
        token = f"token{next(self.numbers)}"
        self.authorization = f"Bearer {token}"
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": 3600})

    async def notify(self, url, body, headers=None):
        """POST a notification; return the status answered."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} | (headers or {})
        async with self.session.post(url, data=data, headers=sent) as answer:
            await answer.read()
            return answer.status

    def callback_of(self, device):
        return self.configurations[self.name_of(device)]["notificationDestination"]

    async def uplink(self, device, data=b"up", **changes):
        name = self.name_of(device)
        member = "externalId" if "@" in device else "msisdn"
        body = {"niddConfiguration": self.link(name), "data": base64.b64encode(data).decode(), member: device}
        return await self.notify(self.callback_of(device), {k: v for k, v in (body | changes).items() if v is not None})
