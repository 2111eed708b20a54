"""Device Management and Information Reporting operations, but for observations (§6.3, §6.4), as CoAP requests."""

import abc
from collections.abc import Callable, Sequence
from typing import Any

from mock_network.lwm2m.formats import ContentFormat, encode
from mock_network.lwm2m.messages import DELETE, FETCH, GET, IPATCH, POST, PUT, Request
from mock_network.lwm2m.paths import Path, parse_path
from mock_network.lwm2m.values import ObjectLink, Record, TypeOf, Value
from mock_network.lwm2m_server.results import Result


class Operations(abc.ABC):
    """What a server asks of a client. All pass `call` to `request`, and raise what `request` raises."""

    _type_of: TypeOf

    @abc.abstractmethod
    def root_of(self, endpoint: str) -> str:
        """Return the alternate path of a client, with which names in its payloads begin; empty for none."""

    @abc.abstractmethod
    async def request(self, *args: Any, **call: Any) -> tuple[Result, Callable[[], None], bytes]:
        """Send a request: endpoint name, path, request; `LwM2mServer.request` says more."""

    async def read(self, endpoint: str, path: str, *, accept: int | None = None, **call: Any) -> Result:
        """Read a path, asking for a content format if `accept` is given."""
        return (await self.request(endpoint, parse_path(path), Request(GET, accept=accept), **call))[0]

    async def discover(self, endpoint: str, path: str, **call: Any) -> Result:
        """Discover a path; see `Result.links`."""
        request = Request(GET, accept=int(ContentFormat.LINK))
        return (await self.request(endpoint, parse_path(path), request, **call))[0]

    async def write(
        self,
        endpoint: str,
        path: str,
        content: Value | Sequence[Record],
        *,
        content_format: ContentFormat = ContentFormat.TLV,
        replace: bool = True,
        **call: Any,
    ) -> Result:
        """Write one value, or records below `path`; with `replace` PUT, else a partial Write (POST)."""
        target = parse_path(path)
        payload = encode(
            content_format, target, as_records(target, content), self._type_of, root=self.root_of(endpoint)
        )
        request = Request(PUT if replace else POST, payload=payload, content_format=int(content_format))
        return (await self.request(endpoint, target, request, **call))[0]

    async def execute(self, endpoint: str, path: str, arguments: str = "", **call: Any) -> Result:
        """Execute a resource."""
        return (await self.request(endpoint, parse_path(path), Request(POST, payload=arguments.encode()), **call))[0]

    async def create(
        self,
        endpoint: str,
        path: str,
        content: Sequence[Record] = (),
        *,
        content_format: ContentFormat = ContentFormat.TLV,
        **call: Any,
    ) -> Result:
        """Create an instance of the object at `path`: the one that the records name, or one the device chooses."""
        target = parse_path(path)
        payload = encode(content_format, target, list(content), self._type_of, root=self.root_of(endpoint))
        request = Request(POST, payload=payload, content_format=int(content_format))
        return (await self.request(endpoint, target, request, **call))[0]

    async def delete(self, endpoint: str, path: str, **call: Any) -> Result:
        """Delete an object instance."""
        return (await self.request(endpoint, parse_path(path), Request(DELETE), **call))[0]

    async def write_attributes(self, endpoint: str, path: str, attributes: Sequence[str], **call: Any) -> Result:
        """Send Write-Attributes, each attribute as `pmin=10`, or `pmin` to remove it."""
        return (await self.request(endpoint, parse_path(path), Request(PUT, query=tuple(attributes)), **call))[0]

    async def read_composite(
        self,
        endpoint: str,
        paths: Sequence[str],
        *,
        content_format: ContentFormat = ContentFormat.SENML_CBOR,
        **call: Any,
    ) -> Result:
        """Read several paths together."""
        records = [Record(parse_path(path), None) for path in paths]
        payload = encode(content_format, (), records, self._type_of, root=self.root_of(endpoint))
        request = Request(FETCH, (), (), payload, int(content_format), int(content_format))
        return (await self.request(endpoint, (), request, **call))[0]

    async def write_composite(
        self,
        endpoint: str,
        records: Sequence[Record],
        *,
        content_format: ContentFormat = ContentFormat.SENML_CBOR,
        **call: Any,
    ) -> Result:
        """Write several values together."""
        payload = encode(content_format, (), list(records), self._type_of, root=self.root_of(endpoint))
        return (await self.request(endpoint, (), Request(IPATCH, (), (), payload, int(content_format)), **call))[0]


def as_records(path: Path, content: Value | Sequence[Record]) -> list[Record]:
    """Return one value as a record of its own; records as they are."""
    if isinstance(content, str | int | float | bytes | ObjectLink):
        return [Record(path, content)]
    return list(content)
