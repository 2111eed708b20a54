"""The token endpoint: OAuth 2.0 client credentials (RFC 6749 §4.4), as TS 29.122 §6.1 has it."""

from aiohttp import web

from mock_network.scef.shell import Shell

_HEADERS = {"Cache-Control": "no-store"}


class TokenApi:
    """Answers token requests."""

    def __init__(self, service: Shell) -> None:
        self._service = service

    def routes(self, root: str) -> list[web.RouteDef]:
        """Return the routes under an apiRoot's path."""
        return [web.post(f"{root}/oauth2/token", self.token)]

    async def token(self, request: web.Request) -> web.Response:
        """Issue a token to a client with good credentials, in a header or in the form."""
        service = self._service
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        if form.get("grant_type") != "client_credentials":
            return self._refused(400, "unsupported_grant_type")
        client = service.authority.asking(request.headers.get("Authorization"), form)
        fault = service.faults.draw("token_refused", client_id="" if client is None else client.id)
        if fault is not None:
            return self._refused(int(fault.params.get("status", 401)), str(fault.params.get("error", "invalid_client")))
        if client is None:
            return self._refused(401, "invalid_client")
        if service.authority.has_young_token(client, service.clock.wall()):
            service.findings.note("token-too-often", client.id)
        return web.json_response(service.authority.issue(client, service.clock.wall()), headers=_HEADERS)

    @staticmethod
    def _refused(status: int, error: str) -> web.Response:
        return web.json_response({"error": error}, status=status, headers=_HEADERS)
