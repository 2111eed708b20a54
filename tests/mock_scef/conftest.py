"""A running SCEF and a SCS/AS that uses it; exchanges are checked against the published schema."""

import base64
import json

import aiohttp
import pytest
from aiohttp import web

from mock_network.scef import PROFILES, Options, ScefService
from tests.conftest import need_openapi

UE = "meter-1@example.com"
SUBJECTS = {
    "data": "NiddUplinkDataNotification",
    "deliveryStatus": "NiddDownlinkDataDeliveryStatusNotification",
    "status": "NiddConfigurationStatusNotification",
}


class ScsAs:
    """The other side of T8: asks, and takes notifications."""

    def __init__(self, service, session):
        self.service = service
        self.session = session
        self.headers = {"Authorization": f"Bearer {service.authority.clients[0].secret}"}
        self.exchanges = []  # method, URL, request body, content type, status, headers, answer body
        self.notified = []
        self.answers = []  # HTTP statuses to give to the next notifications; then 204
        self.destination = ""
        self.base = f"{service.url}/3gpp-nidd/v1/as1/configurations"
        self._runner = None

    async def listen(self):
        app = web.Application()
        app.router.add_post("/notify", self._notify)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.destination = f"http://127.0.0.1:{self._runner.addresses[0][1]}/notify"

    async def close(self):
        await self._runner.cleanup()

    async def _notify(self, request):
        self.notified.append(await request.json())
        return web.Response(status=self.answers.pop(0) if self.answers else 204)

    async def ask(self, method, url, body=None, content_type="application/json", headers=None):
        data = None if body is None else json.dumps(body)
        headers = {**self.headers, **(headers or {}), **({"Content-Type": content_type} if data else {})}
        async with self.session.request(method, url, data=data, headers=headers) as response:
            text = await response.text()
            self.exchanges.append((method, str(response.url), data, content_type, response, text))
            return response.status, json.loads(text) if text else None, response.headers

    async def configure(self, **members):
        body = {"externalId": UE, "notificationDestination": self.destination, **members}
        status, answer, headers = await self.ask("POST", self.base, body)
        assert status == 201, answer
        return headers["Location"], answer

    async def post(self, configuration, data=b"down", **members):
        body = {"externalId": UE, "data": base64.b64encode(data).decode(), **members}
        return await self.ask("POST", f"{configuration}/downlink-data-deliveries", body)

    async def control(self, method, path, body=None):
        async with self.session.request(method, self.service.control_url + path, json=body) as response:
            text = await response.text()
            return response.status, json.loads(text) if response.content_type == "application/json" else text


@pytest.fixture
async def start():
    """Give a function that starts a SCEF with one UE and gives its SCS/AS."""
    running = []

    async def run(profile="strict-r17", ue=None, profile_changes=None, **options):
        import dataclasses

        chosen = dataclasses.replace(PROFILES[profile], notify_interval=0.02, **(profile_changes or {}))
        settings = {"external_id": UE, "msisdn": "4915112345", "radio_latency": 0.01, "paging_latency": 0.0}
        service = ScefService(Options(profile=chosen, ues=({**settings, **(ue or {})},), **options))
        session = aiohttp.ClientSession()
        running.append((service, session))
        await service.start()
        scs_as = ScsAs(service, session)
        await scs_as.listen()
        running[-1] = (service, session, scs_as)
        return scs_as

    yield run
    for service, session, *rest in running:
        for scs_as in rest:
            await scs_as.close()
        await session.close()
        await service.stop()


class Schemas:
    """The published schema of 3gpp-nidd."""

    def __init__(self, folder):
        import referencing
        import yaml
        from openapi_core import Config, OpenAPI

        media = dict.fromkeys(("application/problem+json", "application/merge-patch+json"), json.loads)
        self._api = OpenAPI.from_file_path(
            str(folder / "TS29122_NIDD.yaml"), config=Config(extra_media_type_deserializers=media)
        )

        class Loader(yaml.SafeLoader):
            """Leaves dates as they are written."""

        Loader.yaml_implicit_resolvers = {
            first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

        def retrieve(uri):
            contents = yaml.load((folder / uri).read_text(), Loader)
            return referencing.Resource.from_contents(contents, referencing.jsonschema.DRAFT4)

        import referencing.jsonschema

        self._registry = referencing.Registry(retrieve=retrieve)

    def check(self, exchanges):
        from openapi_core.testing import MockRequest, MockResponse
        from yarl import URL

        for method, url, body, content_type, response, text in exchanges:
            where = URL(url)
            path = where.path[where.path.index("/3gpp-nidd") :]
            request = MockRequest(
                str(where.origin()), method, path, data=(body or "").encode(), content_type=content_type
            )
            if response.status < 300:
                self._api.validate_request(request)
            answer = MockResponse(text.encode(), response.status, dict(response.headers), response.content_type)
            self._api.validate_response(request, answer)

    def check_notification(self, body):
        from openapi_schema_validator import OAS30Validator

        name = next(name for member, name in SUBJECTS.items() if member in body)
        schema = {"$ref": f"TS29122_NIDD.yaml#/components/schemas/{name}"}
        OAS30Validator(schema, registry=self._registry).validate(body)


@pytest.fixture(scope="session")
def schemas():
    return Schemas(need_openapi())
