"""Observe, Observe-Composite, and the ways to end them (Core TS 1.1 §6.4)."""

import abc
from collections.abc import Callable, Sequence
from typing import Any

from mock_network.lwm2m.formats import ContentFormat, encode
from mock_network.lwm2m.messages import FETCH, GET, Request, Response
from mock_network.lwm2m.paths import Path, parse_path
from mock_network.lwm2m.values import Record
from mock_network.lwm2m_server.operations import Operations
from mock_network.lwm2m_server.results import Observed, Result

Key = tuple[str, tuple[Path, ...]]


class Observing(Operations, abc.ABC):
    """`observations` are those that continue, by endpoint name and paths."""

    def __init__(self) -> None:
        self.observations: dict[Key, Observed] = {}

    @abc.abstractmethod
    def on_notification(self, endpoint: str, notification: Response) -> None:
        """Take note of a notification before its observation gets it."""

    async def observe(self, endpoint: str, path: str, *, accept: int | None = None, **call: Any) -> Observed:
        """Observe a path. If the device refuses, `first` has its answer and `ended` is set."""
        target = parse_path(path)
        return await self._observe(endpoint, target, (target,), Request(GET, accept=accept, observe=0), None, call)

    async def observe_composite(
        self,
        endpoint: str,
        paths: Sequence[str],
        *,
        content_format: ContentFormat = ContentFormat.SENML_CBOR,
        **call: Any,
    ) -> Observed:
        """Observe several paths: each notification carries the values of all of them. As `observe`."""
        targets = tuple(parse_path(path) for path in paths)
        request = self._composite(endpoint, targets, content_format, observe=0)
        return await self._observe(endpoint, (), targets, request, content_format, call)

    def _composite(
        self, endpoint: str, paths: Sequence[Path], content_format: ContentFormat, observe: int | None
    ) -> Request:
        records = [Record(path, None) for path in paths]
        payload = encode(content_format, (), records, self._type_of, root=self.root_of(endpoint))
        return Request(FETCH, (), (), payload, int(content_format), int(content_format), observe)

    async def _observe(
        self,
        endpoint: str,
        path: Path,
        paths: tuple[Path, ...],
        request: Request,
        content: ContentFormat | None,
        call: dict[str, Any],
    ) -> Observed:
        early: list[Response | None] = []
        deliver: Callable[[Response | None], None] = early.append

        def on_notification(notification: Response | None) -> None:
            if notification is not None:
                self.on_notification(endpoint, notification)
            deliver(notification)

        result, stop, token = await self.request(endpoint, path, request, on_notification=on_notification, **call)
        observed = Observed(endpoint, paths, token, result, content, stop=stop)
        if result.response.observe is None or not result.ok:
            observed.ended = True
            return observed
        deliver = observed.add
        for notification in early:
            observed.add(notification)
        previous = self.observations.pop((endpoint, paths), None)
        if previous is not None:
            previous.stop()
            previous.add(None)
        self.observations[endpoint, paths] = observed
        return observed

    def observation(self, endpoint: str, paths: Sequence[str]) -> Observed:
        """Return the observation of a path, or of several by Observe-Composite; KeyError."""
        return self.observations[endpoint, tuple(parse_path(path) for path in paths)]

    def forget(self, observed: Observed) -> None:
        """Forget an observation: its next notification is answered RST, which cancels it (§6.4.4)."""
        observed.stop()
        observed.add(None)
        if self.observations.get((observed.endpoint, observed.paths)) is observed:
            del self.observations[observed.endpoint, observed.paths]

    async def cancel(self, observed: Observed, **call: Any) -> Result:
        """Cancel an observation by its request with Observe 1 and its token (RFC 7641 §3.6)."""
        self.forget(observed)
        request = Request(GET, observe=1)
        if observed.content is not None:
            request = self._composite(observed.endpoint, observed.paths, observed.content, observe=1)
        path = observed.first.path
        return (await self.request(observed.endpoint, path, request, token=observed.token, **call))[0]

    def end_observations(self, endpoint: str | None = None) -> None:
        """Forget the observations of one device, or all, without a word."""
        for key in [key for key in self.observations if endpoint in {None, key[0]}]:
            observed = self.observations.pop(key)
            observed.stop()
            observed.add(None)
