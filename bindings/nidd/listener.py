"""The listener for T8 notifications: one URL for all configurations of a network instance.

One URL, not one for each configuration: the path proves no more than that the caller knows our secret, the
configuration named in the body is checked against the records anyway, and a changed URL is one value to compare when
configurations are adopted.
"""

from collections.abc import Awaitable, Callable

import msgspec

from bindings.http.callbacks import CallbackListener, Names
from bindings.http.messages import Request
from bindings.http.server import Limits
from bindings.nidd.auth import basic
from bindings.nidd.models import Notification, TolerantNotification, decode_data, decode_notification, decode_tolerant
from bindings.nidd.settings import Callbacks
from bindings.tls import server_context
from bridge.errors import ConfigurationError, NotificationError

NAMES = Names("callbacks", "the SCEF/NEF", "nidd_callbacks", "nidd_notifications", "nidd_internal_errors")

Handler = Callable[[Notification, bytes | None], Awaitable[None]]
"""Commits one notification; the second argument is its decoded data. Raises as `bindings.http.callbacks.Take` does."""


def listener(
    settings: Callbacks, handler: Handler, count: Callable[[str], None], limits: Limits | None = None
) -> CallbackListener:
    """Make the listener that takes notifications for `handler`. Raises ConfigurationError."""

    def take(request: Request) -> Awaitable[None]:
        return handler(*read_notification(request.body))

    return CallbackListener(
        NAMES,
        settings,
        take,
        count,
        context=server_context(settings.certificate, settings.key, settings.client_ca),
        authorization=_authorization(settings),
        limits=limits,
    )


def read_notification(body: bytes) -> tuple[Notification, bytes | None]:
    """Read a notification; data that is no base64 reads as None with the member kept. Raises NotificationError."""
    try:
        notification = decode_notification(body)
    except msgspec.ValidationError:
        try:
            tolerant: TolerantNotification = decode_tolerant(body)
        except msgspec.ValidationError as error:
            raise NotificationError(f"no T8 notification: {error}") from error
        if tolerant.data is None:
            return tolerant, None
        return tolerant, decode_data(tolerant.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotificationError(f"not JSON: {error}") from error
    return notification, notification.data


def _authorization(settings: Callbacks) -> str:
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
