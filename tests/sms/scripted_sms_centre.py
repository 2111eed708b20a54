"""A SCEF for device triggers that does as it is told: a table of transactions, and scripted answers in front of it."""

import base64

from aiohttp import web

from tests.nidd.scripted_scef import ScriptedScef, problem

MO_ANSWER = {"supportedFeatures": "0"}


class ScriptedSmsCentre(ScriptedScef):
    """Names of scripts: list, submit, read, recall, token."""

    def __init__(self):
        super().__init__()
        self.transactions = {}
        self.shows_destinations = True

    def _route(self, router):
        base = "/prefix/3gpp-device-triggering/v1/as1/transactions"
        router.add_get(base, self._do("list", self._list))
        router.add_post(base, self._do("submit", self._submit))
        router.add_get(base + "/{t}", self._do("read", self._read))
        router.add_delete(base + "/{t}", self._do("recall", self._recall))

    def link(self, name, delivery=None):
        path = f"/prefix/3gpp-device-triggering/v1/as1/transactions/{name}"
        return path if self.relative else self.host + path

    def _shown(self, one):
        hidden = () if self.shows_destinations else ("notificationDestination",)
        return {name: value for name, value in one.items() if name not in hidden}

    def _list(self, request, body):
        return web.json_response([self._shown(one) for one in self.transactions.values()])

    def _submit(self, request, body):
        name = f"t{next(self.numbers)}"
        one = self.transactions[name] = {**body, "self": self.link(name), "deliveryResult": "TRIGGERED"}
        return web.json_response(one, status=201, headers={"Location": one["self"]})

    def _read(self, request, body):
        one = self.transactions.get(request.match_info["t"])
        return web.json_response(self._shown(one)) if one else problem(404)

    def _recall(self, request, body):
        one = self.transactions.get(request.match_info["t"])
        if one is None or one["deliveryResult"] != "TRIGGERED":
            return problem(404, "over")
        del self.transactions[request.match_info["t"]]
        return web.Response(status=204)

    async def report(self, name, result, *, link=None, to=None):
        """End a transaction and notify that; return the status answered."""
        one = self.transactions[name]
        one["deliveryResult"] = result
        body = {"transaction": link or self.link(name), "result": result}
        return await self.notify(to or one["notificationDestination"], body)

    async def sms(self, url, payload=b"up", **changes):
        """Post an SMS of a device; give status and body of the answer."""
        body = {
            "supportedFeatures": "0",
            "sms": base64.b64encode(payload).decode(),
            "externalId": "dev1@iot.example",
            "applicationPort": 5683,
        }
        body = {name: value for name, value in (body | changes).items() if value is not None}
        async with self.session.post(url, json=body) as answer:
            return answer.status, await answer.json()
