"""Finds the sender of a request to a device: the bootstrap server, a server, or unknown."""

from mock_network.device.accounts import BOOTSTRAP_TRIGGER, UPDATE_TRIGGER, Account, Accounts
from mock_network.device.bearers import Bearer, Bearers
from mock_network.device.client import Client
from mock_network.device.lifecycle import Lifecycle
from mock_network.device.security import SecurityContexts
from mock_network.device.serving import BOOTSTRAP
from mock_network.lwm2m.definitions import SERVER
from mock_network.lwm2m.messages import POST, Request
from mock_network.lwm2m.paths import RESOURCE_LEVEL


class Senders:
    """Identifies senders by security context, address, Uri-Host and bootstrap session."""

    def __init__(
        self, accounts: Accounts, bearers: Bearers, lifecycle: Lifecycle, contexts: SecurityContexts, client: Client
    ) -> None:
        self._accounts, self._bearers, self._lifecycle = accounts, bearers, lifecycle
        self._contexts, self._client = contexts, client

    async def of(self, bearer: Bearer, request: Request) -> int | None:
        """Return the Short Server ID of the sender, BOOTSTRAP for the bootstrap server, None if unknown.

        A Non-IP pipe may lead to several servers; without Uri-Host they cannot be distinguished, and the one with
        the lowest Short Server ID is meant. While a bootstrap session runs, its server is meant. A device with one
        server takes every address for that server's. A server with an OSCORE context is identified by that alone.
        """
        if request.security is not None:
            return self._of_context(request.security)
        bootstrap = self._accounts.bootstrap()
        if bootstrap is not None and self._lifecycle.in_session:
            route = await self._bearers.route(bootstrap, "")
            if route.bearer is bearer and route.peer == request.peer and request.host in {None, route.host}:
                return BOOTSTRAP
        accounts = [one for one in self._accounts.servers() if self._contexts.of(one.security) is None]
        for account in accounts:
            route = await self._bearers.route(account, self._client.apn_of(account))
            if route.peer == request.peer and (request.host is None or route.host in {None, request.host}):
                return account.server_id
        return accounts[0].server_id if len(accounts) == 1 else None

    def _of_context(self, context: object) -> int | None:
        bootstrap = self._accounts.bootstrap()
        if bootstrap is not None and self._lifecycle.in_session and self._contexts.of(bootstrap.security) is context:
            return BOOTSTRAP
        mine = [one for one in self._accounts.servers() if self._contexts.of(one.security) is context]
        return mine[0].server_id if mine else None

    def uses(self, bearer: Bearer) -> bool:
        """Return whether any server is reached over a bearer."""
        return any(self._bearers.choose(one, self._client.apn_of(one)) is bearer for one in self._accounts.servers())

    def triggered(self, request: Request) -> Account | None:
        """Return the account whose Update or bootstrap a request triggers, None if it is no trigger (§6.6)."""
        path = request.path
        account = next((one for one in self._accounts.servers() if path[:2] == (str(SERVER), str(one.server[1]))), None)
        number = path[2] if len(path) == RESOURCE_LEVEL else ""
        triggers = {str(UPDATE_TRIGGER), str(BOOTSTRAP_TRIGGER)}
        return account if request.code == POST and number in triggers else None
