"""CoAP requests of a server as LwM2M operations on the objects of a device (Core TS 1.1 §6.3, §6.4, §6.5). No I/O."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mock_network.device import composite
from mock_network.device.access import AccessControl, Right
from mock_network.device.attributes import AttributeTable
from mock_network.device.discovery import discover
from mock_network.device.refusal import (
    BAD_REQUEST,
    NOT_ACCEPTABLE,
    NOT_ALLOWED,
    NOT_FOUND,
    UNAUTHORIZED,
    UNSUPPORTED_CONTENT_FORMAT,
    OperationError,
)
from mock_network.device.tree import ObjectTree
from mock_network.lwm2m.definitions import ACCESS_CONTROL, SECURITY, SERVER
from mock_network.lwm2m.formats import ContentFormat, UnsupportedFormat, decode, encode, parse_format
from mock_network.lwm2m.links import format_links
from mock_network.lwm2m.messages import DELETE, FETCH, GET, IPATCH, POST, PUT, Request, Response
from mock_network.lwm2m.paths import INSTANCE_LEVEL, OBJECT_LEVEL, RESOURCE_LEVEL, Path, PathError, parse_segments
from mock_network.lwm2m.tlv import UNNAMED_INSTANCE
from mock_network.lwm2m.values import DataType, FormatError, Record

CREATED, DELETED, CHANGED, CONTENT = "2.01", "2.02", "2.04", "2.05"
_MANAGED_BY_BOOTSTRAP = frozenset({SECURITY, SERVER, ACCESS_CONTROL})
"""Objects whose instances no server creates or deletes."""

Executable = Callable[[bytes], None]
"""What an Execute does; takes the arguments. OperationError refuses."""


@dataclass(frozen=True, slots=True)
class Writing:
    """What a server, by its Short Server ID, is about to write at and below a path, or to delete there."""

    server: int
    path: Path
    records: Sequence[Record] = ()
    replace: bool = False
    delete: bool = False


Guard = Callable[[Writing], None]
"""Checks what a server is about to change; OperationError refuses."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done: the operation's name as Core TS spells it, on which paths, and the answer."""

    operation: str
    paths: tuple[Path, ...]
    response: Response


@dataclass(slots=True)
class Operations:
    """Carries out requests on an ObjectTree.

    `attributes` returns the table of a server, `executable` what Execute does at a path. `root` is the alternate path
    that all paths of requests begin with, as `("lwm2m",)`.
    """

    tree: ObjectTree
    access: AccessControl
    attributes: Callable[[int], AttributeTable]
    executable: Callable[[Path], Executable | None]
    guards: Sequence[Guard] = ()
    default_format: ContentFormat = ContentFormat.TLV
    root: tuple[str, ...] = ()

    @property
    def prefix(self) -> str:
        """Return the alternate path as names and links begin with it."""
        return "".join(f"/{segment}" for segment in self.root)

    def perform(self, request: Request, server: int) -> Outcome:
        """Return the operation that a server, by its Short Server ID, asked for, and its response.

        Every refusal is a response too.
        """
        name: str = "Unknown"
        paths: tuple[Path, ...] = ()
        try:
            path = self._path(request)
            paths = (path,)
            name, action = self._operation(request, path)
            if request.code in {FETCH, IPATCH}:
                paths, response = self._composite(request, path, server)
            else:
                response = action(request, path, server)
        except (PathError, OperationError, UnsupportedFormat, FormatError) as error:
            response = refusal(error, reading=request.code in {GET, FETCH})
        return Outcome(name, paths, response)

    def _path(self, request: Request) -> Path:
        segments = tuple(segment for segment in request.path if segment)
        if segments[: len(self.root)] != self.root:
            raise PathError("outside the alternate path of this device")
        return parse_segments(segments[len(self.root) :])

    def _operation(self, request: Request, path: Path) -> tuple[str, Callable[[Request, Path, int], Response]]:
        """Table 6.4-1 ff.: which operation a method on a path is."""
        if request.code == GET:
            if request.accept == ContentFormat.LINK:
                return "Discover", self._discover
            return {0: "Observe", 1: "Cancel Observation"}.get(request.observe, "Read"), self._read  # type: ignore[arg-type]  # None is neither
        if request.code == PUT:
            if request.query and not request.payload and request.content_format is None:
                return "Write-Attributes", self._write_attributes
            return "Write", self._write
        if request.code == POST:
            return self._post(request, path)
        if request.code == DELETE:
            return "Delete", self._delete
        if request.code == FETCH:
            names = {0: "Observe-Composite", 1: "Cancel Observation-Composite"}
            return names.get(request.observe, "Read-Composite"), self._read  # type: ignore[arg-type]  # as above
        if request.code == IPATCH:
            return "Write-Composite", self._write
        raise OperationError(NOT_ALLOWED, "no such operation")

    def _post(self, request: Request, path: Path) -> tuple[str, Callable[[Request, Path, int], Response]]:
        """POST creates on an object, executes what is executable, and else is a partial Write."""
        if len(path) == OBJECT_LEVEL:
            return "Create", self._create
        executes = request.content_format is None or "E" in self.tree.model.operations(path)
        if len(path) == RESOURCE_LEVEL and executes:
            return "Execute", self._execute
        return "Write", self._write

    # Read, Discover.

    def _read(self, request: Request, path: Path, server: int) -> Response:
        return self.content((path,), request.accept, server)

    def content(self, paths: Sequence[Path], accept: int | None, server: int) -> Response:
        """Return the response to a Read of a path, also the next notification of an observation; OperationError."""
        (path,) = paths
        records = self.readable(path, server)
        chosen = self._choose(path, records) if accept is None else parse_format(accept)
        instances = [one for one in self.tree.instances(path) if self.access.allows(server, one, Right.READ)]
        shown = instances if len(path) == OBJECT_LEVEL else []
        payload = encode(chosen, path, records, self.tree.model.type_of, instances=shown, root=self.prefix)
        return Response(CONTENT, payload, content_format=int(chosen))

    def readable(self, path: Path, server: int) -> list[Record]:
        """Return the values at and below a path that a server may read; OperationError if there are none for it.

        A Read of an object shows the instances that the server has the right to (§8.2).
        """
        if not path:
            raise OperationError(NOT_ALLOWED, "the root is not readable")
        if len(path) > OBJECT_LEVEL or path[0] == SECURITY:
            self._exists_for(server, path)
            self.access.check(server, path, Right.READ)
            return self.tree.read(path)
        records = self.tree.read(path)
        instances = self.tree.instances(path)
        allowed = {instance for instance in instances if self.access.allows(server, instance, Right.READ)}
        if instances and not allowed:
            raise OperationError(UNAUTHORIZED, f"server {server} may read no instance")
        return [record for record in records if record.path[:INSTANCE_LEVEL] in allowed]

    def _exists_for(self, server: int, path: Path) -> None:
        """Raise OperationError 4.01 before 4.04 for objects that no server may know of, else if there is nothing."""
        if path[0] == SECURITY:
            self.access.check(server, path, Right.READ)
        self.tree.check_exists(path)

    def _choose(self, path: Path, records: list[Record]) -> ContentFormat:
        """Without Accept the client chooses (§6.4.2)."""
        single = len(path) >= RESOURCE_LEVEL and len(records) == 1 and records[0].path == path
        if not single:
            return self.default_format
        return ContentFormat.OPAQUE if self.tree.model.type_of(path) is DataType.OPAQUE else ContentFormat.TEXT

    def _discover(self, _request: Request, path: Path, server: int) -> Response:
        if path:
            self._exists_for(server, path)
        links = discover(self.tree, path, self.attributes(server).attached, self.prefix)
        return Response(CONTENT, format_links(links), content_format=int(ContentFormat.LINK))

    # Write, Write-Attributes, Execute.

    def _write(self, request: Request, path: Path, server: int) -> Response:
        if len(path) <= OBJECT_LEVEL:
            raise OperationError(NOT_ALLOWED, "Write is for object instances and what is below")
        self._exists_for(server, path[:INSTANCE_LEVEL])
        self.access.check(server, path, Right.WRITE)
        chosen = ContentFormat.TEXT if request.content_format is None else parse_format(request.content_format)
        if len(path) >= RESOURCE_LEVEL and self.tree.model.type_of(path) is None:
            raise OperationError(NOT_FOUND, "no such resource")
        records = decode(chosen, path, request.payload, self.tree.model.type_of, root=self.prefix)
        empty = self.tree.model.resource(path)
        if len(path) >= RESOURCE_LEVEL and not records and not (empty is not None and empty.multiple):
            raise OperationError(BAD_REQUEST, "no value")
        replace = request.code == PUT
        self._guard(Writing(server, path, records, replace))
        self.tree.write(path, records, replace=replace)
        return Response(CHANGED)

    def _guard(self, writing: Writing) -> None:
        for guard in self.guards:
            guard(writing)

    def _write_attributes(self, request: Request, path: Path, server: int) -> Response:
        if not path:
            raise OperationError(NOT_ALLOWED, "no attributes on the root")
        self._exists_for(server, path)
        if len(path) > OBJECT_LEVEL:
            self.access.check(server, path, Right.READ)
        self.attributes(server).write(path, request.query, self.tree.model.type_of(path))
        return Response(CHANGED)

    def _execute(self, request: Request, path: Path, server: int) -> Response:
        self._exists_for(server, path)
        self.access.check(server, path, Right.EXECUTE)
        action = self.executable(path)
        if action is None:
            if "E" not in self.tree.model.operations(path):
                raise OperationError(NOT_ALLOWED, "not executable")
            definition = self.tree.model.resource(path)
            raise OperationError(NOT_ALLOWED, f"{definition and definition.name} does nothing on this device")
        action(request.payload)
        return Response(CHANGED)

    # Create, Delete.

    def _create(self, request: Request, path: Path, server: int) -> Response:
        self._exists_for(server, path)
        definition = self.tree.definition(path[0])
        if not definition.multiple or path[0] in _MANAGED_BY_BOOTSTRAP:
            raise OperationError(NOT_ALLOWED, f"no server creates instances of {definition.name}")
        self.access.check(server, path, Right.CREATE)
        records: list[Record] = []
        if request.payload:
            chosen = ContentFormat.TLV if request.content_format is None else parse_format(request.content_format)
            records = decode(chosen, path, request.payload, self.tree.model.type_of, root=self.prefix)
        if any(record.path[0] != path[0] or len(record.path) < RESOURCE_LEVEL for record in records):
            raise OperationError(BAD_REQUEST, "a value outside the object")
        wanted = {record.path[1] for record in records}
        if len(wanted) > 1:
            raise OperationError(BAD_REQUEST, "one instance at a time")
        instance = next(iter(wanted - {UNNAMED_INSTANCE}), None)
        self._guard(Writing(server, path, records))
        created = self.tree.create(path[0], instance, records)
        self.access.created(server, created)
        location = (*self.root, *(str(identifier) for identifier in created))
        return Response(CREATED, location=location)

    def _delete(self, _request: Request, path: Path, server: int) -> Response:
        if not path:
            raise OperationError(NOT_ALLOWED, "Delete is for object instances and resource instances")
        self._exists_for(server, path)
        definition = self.tree.definition(path[0])
        whole = len(path) == INSTANCE_LEVEL
        if whole and (not definition.multiple or path[0] in _MANAGED_BY_BOOTSTRAP):
            raise OperationError(NOT_ALLOWED, f"no server deletes instances of {definition.name}")
        self.access.check(server, path, Right.DELETE if whole else Right.WRITE)
        self._guard(Writing(server, path, delete=True))
        self.tree.delete(path)
        if whole:
            self.attributes(server).forget(path)
            self.access.deleted(path)
        return Response(DELETED)

    # Several paths at once.

    def _composite(self, request: Request, path: Path, server: int) -> tuple[tuple[Path, ...], Response]:
        records = composite.records_of(request, path, self.tree.model.type_of, self.prefix)
        paths = tuple(record.path for record in records)
        if request.code == FETCH:
            return paths, self.composite_content(paths, request.accept, server)
        composite.check_write(self.tree, records)
        for record in records:
            self._exists_for(server, record.path[:INSTANCE_LEVEL])
            self.access.check(server, record.path, Right.WRITE)
        self._guard(Writing(server, (), records))
        for record in records:
            self.tree.write(record.path, [record], replace=False)
        return paths, Response(CHANGED)

    def composite_content(self, paths: Iterable[Path], accept: int | None, server: int) -> Response:
        """Return the response to a Read-Composite, also the next notification of its observation; UnsupportedFormat."""
        records = self.composite_records(paths, server)
        chosen = composite.format_of(accept)
        payload = encode(chosen, (), records, self.tree.model.type_of, root=self.prefix)
        return Response(CONTENT, payload, content_format=int(chosen))

    def composite_records(self, paths: Iterable[Path], server: int) -> list[Record]:
        """Return the values at all paths, the root being all objects; what cannot be read is left out (§6.3.10)."""
        records: list[Record] = []
        whole: list[Path] = [(number,) for number in self.tree.objects()]
        for path in (one for named in paths for one in ([named] if named else whole)):
            try:
                records += self.readable(path, server)
            except OperationError:
                continue
        return records


_CODES: Mapping[type[Exception], str] = {PathError: NOT_FOUND, FormatError: BAD_REQUEST}


def refusal(error: Exception, *, reading: bool) -> Response:
    """Return the response that says why an operation was refused."""
    if isinstance(error, OperationError):
        return Response(error.code, error.reason.encode())
    if isinstance(error, UnsupportedFormat):
        return Response(NOT_ACCEPTABLE if reading else UNSUPPORTED_CONTENT_FORMAT, str(error).encode())
    return Response(_CODES[type(error)], str(error).encode())
