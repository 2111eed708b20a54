"""What the collections of all T8 APIs share: read all, read one, the answers to making and changing one."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, Protocol, TypeVar

from aiohttp import web

from mock_network.scef.core import Refusal, RefusedError, effects as e
from mock_network.scef.shell import Shell
from mock_network.scef.t8.bodies import Body
from mock_network.scef.t8.links import Owned


class _Resource(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def scs_as(self) -> str: ...


_R = TypeVar("_R", bound=_Resource)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Collection(Generic[_R]):
    """Handlers for one collection of one SCEF; each SCS/AS sees its own resources.

    `resources` are those of all SCS/ASs by id, `body` writes one, `path` follows the apiRoot and has
    `{scs_as}` in it, `unknown` says that there is no such resource.
    """

    def __init__(
        self,
        service: Shell,
        resources: Mapping[str, _R],
        body: Callable[[_R], Body],
        path: str,
        unknown: Refusal = Refusal.RESOURCE_UNKNOWN,
    ) -> None:
        self.path = path
        self._service, self._resources, self._body, self._unknown = service, resources, body, unknown

    def routes(self, root: str, post: Handler, **changing: Handler) -> list[web.RouteDef]:
        """Return the routes under an apiRoot's path: for reading, for `post`, and for each method that changes one."""
        base, one = f"{root}{self.path}", f"{root}{self.path}/{{id}}"
        routes = [web.get(base, self.all), web.post(base, post), web.get(one, self.one)]
        return routes + [web.route(method.upper(), one, handler) for method, handler in changing.items()]

    async def all(self, request: web.Request) -> web.Response:
        """Answer with all resources of the SCS/AS."""
        mine = [one for one in self._resources.values() if one.scs_as == request.match_info["scs_as"]]
        return web.json_response([self._body(one) for one in mine])

    async def one(self, request: web.Request) -> web.Response:
        """Answer with one resource."""
        return web.json_response(self._body(self.find(request)))

    def find(self, request: web.Request) -> _R:
        """Return the resource that the path names, of this SCS/AS only. Raises RefusedError."""
        found = self._resources.get(request.match_info["id"])
        if found is None or found.scs_as != request.match_info["scs_as"]:
            raise RefusedError(self._unknown)
        return found

    def test(self, resource: Owned, wanted: bool | None) -> None:
        """Send the test notification, if requested and if there is a destination."""
        if wanted and resource.terms.notification_destination is not None:
            self._service.emit(e.NotifyTest(resource))

    def changed(self, resource: _R) -> web.Response:
        """Answer that a resource was changed, as the profile does."""
        return done(self._service, self._body(resource))


def created(body: Body) -> web.Response:
    """Answer that a resource was made."""
    return web.json_response(body, status=201, headers={"Location": body["self"]})


def done(service: Shell, body: Body) -> web.Response:
    """Answer that something was changed: with 204, or with the resource if the profile has no 204."""
    return web.Response(status=204) if service.profile.no_content else web.json_response(body)
