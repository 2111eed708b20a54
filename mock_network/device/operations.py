"""CoAP requests of a server as LwM2M operations on the objects of a device (Core TS 1.1 §6.3, §6.4, §6.5)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mock_network.device.notify import AttributeTable
from mock_network.device.objects import BAD_REQUEST, NOT_ALLOWED, NOT_FOUND, ObjectTree, OperationError
from mock_network.lwm2m.definitions import resource_definition, type_of
from mock_network.lwm2m.formats import ContentFormat, UnsupportedFormat, decode, encode, parse_format
from mock_network.lwm2m.links import format_links
from mock_network.lwm2m.messages import DELETE, FETCH, GET, IPATCH, POST, PUT, Request, Response
from mock_network.lwm2m.paths import (
    OBJECT_LEVEL,
    RESOURCE_INSTANCE_LEVEL,
    RESOURCE_LEVEL,
    Path,
    PathError,
    format_path,
    parse_segments,
)
from mock_network.lwm2m.values import DataType, FormatError, Record

CREATED, DELETED, CHANGED, CONTENT = "2.01", "2.02", "2.04", "2.05"
NOT_ACCEPTABLE, UNSUPPORTED_CONTENT_FORMAT = "4.06", "4.15"
SENML = frozenset({ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR})

_READS: Mapping[int | None, str] = {0: "Observe", 1: "Cancel Observation"}

Executable = Callable[[bytes], None]
"""What an Execute does; takes the arguments. OperationError refuses."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done: the operation's name as Core TS spells it, where, and the answer."""

    operation: str
    path: Path
    response: Response


class Operations:
    """Carries out requests on an ObjectTree. `executable` gives what Execute does at a path."""

    def __init__(
        self,
        tree: ObjectTree,
        attributes: AttributeTable,
        executable: Callable[[Path], Executable | None],
        default_format: ContentFormat,
    ) -> None:
        self._tree = tree
        self._attributes = attributes
        self._executable = executable
        self._default_format = default_format

    def perform(self, request: Request) -> Outcome:
        """The operation and its response; every refusal is a response too."""
        name: str = "Unknown"
        path: Path = ()
        try:
            path = parse_segments([segment for segment in request.path if segment])
            name, action = self._operation(request, path)
            response = action(request, path)
        except PathError as error:
            response = Response(NOT_FOUND, str(error).encode())
        except OperationError as error:
            response = Response(error.code, error.reason.encode())
        except UnsupportedFormat as error:
            reading = request.code in {GET, FETCH}
            response = Response(NOT_ACCEPTABLE if reading else UNSUPPORTED_CONTENT_FORMAT, str(error).encode())
        except FormatError as error:
            response = Response(BAD_REQUEST, str(error).encode())
        return Outcome(name, path, response)

    def _operation(self, request: Request, path: Path) -> tuple[str, Callable[[Request, Path], Response]]:
        """Table 6.4-1 ff.: which operation a method on a path is."""
        if request.code == GET:
            if request.accept == ContentFormat.LINK:
                return "Discover", self._discover
            return _READS.get(request.observe, "Read"), self._read
        if request.code == PUT:
            if request.query and not request.payload and request.content_format is None:
                return "Write-Attributes", self._write_attributes
            return "Write", self._write
        if request.code == POST:
            return self._post(request, path)
        for code, name, action in (
            (DELETE, "Delete", self._delete),
            (FETCH, "Read-Composite", self._read_composite),
            (IPATCH, "Write-Composite", self._write_composite),
        ):
            if request.code == code:
                return name, action
        raise OperationError(NOT_ALLOWED, "no such operation")

    def _post(self, request: Request, path: Path) -> tuple[str, Callable[[Request, Path], Response]]:
        """POST creates on an object, executes what is executable, and else is a partial Write."""
        if len(path) == OBJECT_LEVEL:
            return "Create", self._create
        if len(path) == RESOURCE_LEVEL:
            definition = resource_definition(path)
            if request.content_format is None or (definition is not None and "E" in definition.operations):
                return "Execute", self._execute
        return "Write", self._write

    def _read(self, request: Request, path: Path) -> Response:
        return self.content(path, request.accept)

    def content(self, path: Path, accept: int | None) -> Response:
        """The response to a Read of `path`, also the next notification of an observation; OperationError."""
        records = self._tree.read(path)
        chosen = self._choose(path, records) if accept is None else parse_format(accept)
        instances = self._tree.instances_at(path) if len(path) == OBJECT_LEVEL else []
        payload = encode(chosen, path, records, type_of, instances=instances)
        return Response(CONTENT, payload, content_format=int(chosen))

    def _choose(self, path: Path, records: list[Record]) -> ContentFormat:
        """Without Accept the client chooses (§6.4.2)."""
        single = len(path) >= RESOURCE_LEVEL and len(records) == 1 and records[0].path == path
        if not single:
            return self._default_format
        return ContentFormat.OPAQUE if type_of(path) is DataType.OPAQUE else ContentFormat.TEXT

    def _discover(self, _request: Request, path: Path) -> Response:
        links = self._tree.discover(path, self._attributes.attached)
        return Response(CONTENT, format_links(links), content_format=int(ContentFormat.LINK))

    def _write(self, request: Request, path: Path) -> Response:
        if len(path) <= OBJECT_LEVEL:
            raise OperationError(NOT_ALLOWED, "Write is for object instances and what is below")
        self._tree.check_exists(path[:2])
        chosen = ContentFormat.TEXT if request.content_format is None else parse_format(request.content_format)
        if len(path) >= RESOURCE_LEVEL and type_of(path) is None:
            raise OperationError(NOT_FOUND, "no such resource")
        records = decode(chosen, path, request.payload, type_of)
        if len(path) >= RESOURCE_LEVEL and not records:
            raise OperationError(BAD_REQUEST, "no value")
        self._tree.write(path, records, replace=request.code == PUT)
        return Response(CHANGED)

    def _write_attributes(self, request: Request, path: Path) -> Response:
        if not path:
            raise OperationError(NOT_ALLOWED, "no attributes on the root")
        self._tree.check_exists(path)
        self._attributes.write(path, request.query, type_of(path))
        return Response(CHANGED)

    def _execute(self, request: Request, path: Path) -> Response:
        self._tree.check_exists(path)
        action = self._executable(path)
        if action is None:
            definition = resource_definition(path)
            if definition is None or "E" not in definition.operations:
                raise OperationError(NOT_ALLOWED, "not executable")
            raise OperationError(NOT_ALLOWED, f"{definition.name} does nothing on this device")
        action(request.payload)
        return Response(CHANGED)

    def _create(self, request: Request, path: Path) -> Response:
        records: list[Record] = []
        if request.payload:
            chosen = ContentFormat.TLV if request.content_format is None else parse_format(request.content_format)
            records = decode(chosen, path, request.payload, type_of)
            if any(record.path[0] != path[0] or len(record.path) < RESOURCE_LEVEL for record in records):
                raise OperationError(BAD_REQUEST, "a value outside the object")
        created = self._tree.create(path, records)
        return Response(CREATED, location=tuple(str(identifier) for identifier in created))

    def _delete(self, _request: Request, path: Path) -> Response:
        self._tree.delete(path)
        self._attributes.forget(path)
        return Response(DELETED)

    def _read_composite(self, request: Request, path: Path) -> Response:
        records: list[Record] = []
        for wanted in self._composite(request, path):
            try:
                records += self._tree.read(wanted.path)
            except OperationError:
                continue  # §6.3.10: what cannot be read is left out
        accept = parse_format(request.accept if request.accept is not None else ContentFormat.SENML_CBOR)
        if accept not in SENML:
            raise UnsupportedFormat("composite operations speak SenML")
        return Response(CONTENT, encode(accept, (), records, type_of), content_format=int(accept))

    def _write_composite(self, request: Request, path: Path) -> Response:
        records = self._composite(request, path)
        for record in records:  # §6.3.11: all or nothing
            definition = resource_definition(record.path)
            if definition is None:
                raise OperationError(NOT_FOUND, f"no resource {format_path(record.path)}")
            if "W" not in definition.operations:
                raise OperationError(NOT_ALLOWED, f"{definition.name} is not writable")
            self._tree.check_exists(record.path[:2])
            if definition.multiple != (len(record.path) == RESOURCE_INSTANCE_LEVEL) or record.value is None:
                raise OperationError(BAD_REQUEST, f"no value for {format_path(record.path)}")
        for record in records:
            self._tree.write(record.path, [record], replace=False)
        return Response(CHANGED)

    def _composite(self, request: Request, path: Path) -> list[Record]:
        if path:
            raise OperationError(BAD_REQUEST, "composite operations have no path")
        if request.content_format is None or parse_format(request.content_format) not in SENML:
            raise OperationError(UNSUPPORTED_CONTENT_FORMAT, "composite operations speak SenML")
        return decode(parse_format(request.content_format), (), request.payload, type_of)
