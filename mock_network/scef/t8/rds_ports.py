"""3gpp-nidd/v1: the resources rds-ports (TS 29.122 §5.6.3.6 and 7)."""

import re

from aiohttp import web

from mock_network.scef.core.nidd_model import ManagedPort
from mock_network.scef.core.refusals import Refusal, RefusedError
from mock_network.scef.schema.nidd import ManagePort, RdsPort
from mock_network.scef.shell import Shell
from mock_network.scef.t8.links import NIDD
from mock_network.scef.t8.nidd import NiddApi
from mock_network.scef.t8.reading import read

_PORT_ID = re.compile(r"ue([0-9]|1[0-5])-ef([0-9]|1[0-5])")


class RdsPortsApi:
    """Handlers of one SCEF."""

    def __init__(self, service: Shell, nidd: NiddApi) -> None:
        self._service, self._nidd, self._ports = service, nidd, service.core.rds_ports

    def routes(self, root: str) -> list[web.RouteDef]:
        """Return the routes under an apiRoot's path; none where the profile has no such resources."""
        base = f"{root}{NIDD}/{{scs_as}}/configurations/{{id}}/rds-ports"
        if not self._service.profile.rds_ports:
            return []
        return [
            web.get(base, self.all),
            web.get(f"{base}/{{port}}", self.one),
            web.put(f"{base}/{{port}}", self.reserve),
            web.delete(f"{base}/{{port}}", self.release),
        ]

    async def all(self, request: web.Request) -> web.Response:
        """Answer with all reserved ports."""
        configuration = self._nidd.configurations.find(request)
        self._ports.check(configuration)
        reserved = [port for port in configuration.ports.values() if not port.pending]
        return web.json_response([self._service.bodies.port(configuration, port) for port in reserved])

    async def one(self, request: web.Request) -> web.Response:
        """Answer with one reserved port."""
        configuration = self._nidd.configurations.find(request)
        port = self._ports.find(configuration, request.match_info["port"])
        return web.json_response(self._service.bodies.port(configuration, port))

    async def reserve(self, request: web.Request) -> web.Response:
        """Reserve a port; answer with 202 when the UE cannot be reached yet."""
        configuration = self._nidd.configurations.find(request)
        self._ports.check(configuration)
        match = _PORT_ID.fullmatch(request.match_info["port"])
        if match is None:
            raise RefusedError(Refusal.RESOURCE_UNKNOWN)
        terms = await read(request, ManagePort)
        port = RdsPort(ue=int(match[1]), scef=int(match[2]))
        managed = self._service.act(lambda now: self._ports.reserve(configuration, port, terms, now))
        if await self._pending(managed):
            return web.Response(status=202)
        body = self._service.bodies.port(configuration, managed)
        return web.json_response(body, status=201, headers={"Location": body["self"]})

    async def release(self, request: web.Request) -> web.Response:
        """Release a port; answer with 202 when the UE cannot be reached yet."""
        configuration, name = self._nidd.configurations.find(request), request.match_info["port"]
        managed = self._service.act(lambda now: self._ports.release(configuration, name, now))
        return web.Response(status=202 if await self._pending(managed) else 204)

    async def _pending(self, managed: ManagedPort) -> bool:
        """Wait for the answer; return whether it is only accepted. Raises RefusedError."""
        answer = await self._service.port_answer(managed)
        if answer.refused is not None:
            raise answer.refused
        return answer.pending
