"""The listener for posts of a SCEF or NEF: one URL for all resources of a network instance.

One URL, not one for each resource: the path only proves that the caller knows the secret, the resource named in
the body is checked against the records anyway, and a changed URL is one value to compare when resources are adopted.
"""

from collections.abc import Callable, Mapping

from bindings.http.callbacks import CallbackListener, CommitRequest, ListenerNames
from bindings.http.messages import Answer, Request
from bindings.http.server import Limits
from bindings.t8.auth import basic
from bindings.t8.settings import Callbacks
from bindings.tls import server_context
from bridge.errors import ConfigurationError


def t8_listener(
    settings: Callbacks,
    kind: str,
    commit: CommitRequest,
    count: Callable[[str], None],
    limits: Limits | None = None,
    handlers: Mapping[str, CommitRequest] | None = None,
    kept: Callable[[Request], Answer | None] = lambda _request: None,
    *,
    reads_before: bool = False,
) -> CallbackListener:
    """Return the listener whose requests `commit` commits, and `handlers` those with one more part behind its URL.

    `kind` is the prefix of its counters, such as `nidd`. `kept` and `reads_before`: see `CallbackListener`.

    Raises ConfigurationError.
    """
    names = ListenerNames(
        "callbacks", "the SCEF/NEF", f"{kind}_callbacks", f"{kind}_notifications", f"{kind}_internal_errors"
    )
    return CallbackListener(
        names,
        settings,
        commit,
        count,
        context=server_context(settings.certificate, settings.key, settings.client_ca),
        authorization=authorization(settings),
        handlers=handlers,
        kept=kept,
        reads_before=reads_before,
        limits=limits,
    )


def authorization(settings: Callbacks) -> str:
    """Return the Authorization header that callers must show; empty for none. Raises ConfigurationError."""
    match settings.kind:
        case "basic":
            if not settings.username or not settings.password:
                raise ConfigurationError("callbacks.kind is basic: set callbacks.username and callbacks.password")
            return basic(settings.username, settings.password)
        case "bearer":
            if not settings.token:
                raise ConfigurationError("callbacks.kind is bearer: set callbacks.token")
            return f"Bearer {settings.token}"
        case _:
            return ""
