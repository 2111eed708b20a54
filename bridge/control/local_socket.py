"""The local socket: through it the command line calls the running service. HTTP with JSON bodies, on a Unix socket.

`POST /NAME` with a request as JSON is answered with the result of the operation NAME as JSON, or with a `Problem`.
A user who may open the socket's file may do everything; only the service's own user and group may.
"""

import contextlib
import logging
import os
import pwd
import socket as sockets
import struct
from pathlib import Path

from aiohttp import web

from bridge.errors import BridgeError, ConfigurationError, RequestError, ServiceFailed
from bridge.operations.bridge import Bridge
from bridge.operations.registry import call, problem

log = logging.getLogger(__name__)

LARGEST_REQUEST = 256 * 1024 * 1024  # bytes: an import of a million endpoints
UMASK = 0o117  # leaves reading and writing to the service's own user and group


class LocalSocket:
    """Serves the operations of a bridge from `start` to `stop`."""

    def __init__(self, bridge: Bridge, path: Path) -> None:
        self._bridge = bridge
        self._path = path
        app = web.Application(client_max_size=LARGEST_REQUEST)
        app.router.add_post("/{operation}", self._call)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)

    async def start(self) -> None:
        """Listen. A socket file of an earlier process is replaced: the store's lock proves that this process ended.

        Raises ConfigurationError with the reason.
        """
        path = self._path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigurationError(f"control_socket {path}: {error.strerror or error}") from error
        await self._runner.setup()
        before = os.umask(UMASK)
        try:
            await web.UnixSite(self._runner, str(path)).start()
        except OSError as error:
            raise ConfigurationError(f"control_socket {path}: {error.strerror or error}") from error
        finally:
            os.umask(before)

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _call(self, request: web.Request) -> web.Response:
        name = request.match_info["operation"]
        try:
            return _json(await call(self._bridge, name, await request.read(), _user(request)))
        except BridgeError as error:
            return _json(problem(error), error.http_status)
        except web.HTTPRequestEntityTooLarge as error:
            too_large = RequestError(f"{name}: a request has at most {LARGEST_REQUEST} bytes; send it in parts")
            return _json(problem(too_large), error.status)
        except Exception:
            log.exception("operation %s failed because of a bug in the bridge", name, extra={"sample": name})
            failed = ServiceFailed(f"the service failed to carry out {name}; its log says why")
            return _json(problem(failed), failed.http_status)


def _user(request: web.Request) -> str:
    """Return the user of the process at the other end, from the kernel."""
    socket = None if request.transport is None else request.transport.get_extra_info("socket")
    if socket is None:
        return "local"
    size = struct.calcsize("3i")  # struct ucred: process, user, group
    _, user, _ = struct.unpack("3i", socket.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, size))
    with contextlib.suppress(KeyError):
        return f"local user {pwd.getpwuid(user).pw_name}"
    return f"local user {user}"


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")
