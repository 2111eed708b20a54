"""What a bootstrap server may do in a bootstrap session (Core TS 1.1 §6.1.3 to §6.1.7). No I/O."""

from collections.abc import Callable
from dataclasses import dataclass

from mock_network.device.accounts import Accounts
from mock_network.device.discovery import bootstrap_discover
from mock_network.device.operations import CHANGED, CONTENT, DELETED, Outcome, refusal
from mock_network.device.refusal import BAD_REQUEST, NOT_ACCEPTABLE, NOT_ALLOWED, NOT_FOUND, OperationError
from mock_network.device.tree import ObjectTree, Resource
from mock_network.lwm2m.definitions import ACCESS_CONTROL, DEVICE, SERVER
from mock_network.lwm2m.formats import ContentFormat, UnsupportedFormat, decode, encode, parse_format
from mock_network.lwm2m.links import format_links
from mock_network.lwm2m.messages import DELETE, GET, POST, PUT, Request, Response
from mock_network.lwm2m.paths import INSTANCE_LEVEL, OBJECT_LEVEL, Path, PathError, format_path, parse_segments
from mock_network.lwm2m.tlv import UNNAMED_INSTANCE
from mock_network.lwm2m.values import FormatError, Record

_READABLE = frozenset({SERVER, ACCESS_CONTROL})  # §6.1.6: Bootstrap-Read is for /1 and /2 only


@dataclass(slots=True)
class BootstrapInterface:
    """Carries out the requests of a bootstrap server on an ObjectTree.

    `finish` is called when the server ends the session, with the fault of the accounts, or None.
    """

    tree: ObjectTree
    accounts: Accounts
    finish: Callable[[str | None], None]
    prefix: str = ""

    def perform(self, request: Request) -> Outcome:
        """Return the bootstrap operation that the request is, and its response; every refusal is a response too."""
        name: str = "Unknown"
        paths: tuple[Path, ...] = ()
        try:
            if request.code == POST and request.path == ("bs",):
                return Outcome("Bootstrap-Finish", (), self._finish())
            path = parse_segments([segment for segment in request.path if segment])
            paths = (path,)
            name, action = self._operation(request)
            response = action(request, path)
        except (PathError, OperationError, UnsupportedFormat, FormatError) as error:
            response = refusal(error, reading=request.code == GET)
        return Outcome(name, paths, response)

    def _operation(self, request: Request) -> tuple[str, Callable[[Request, Path], Response]]:
        if request.code == GET and request.accept == ContentFormat.LINK:
            return "Bootstrap-Discover", self._discover
        if request.code == GET:
            return "Bootstrap-Read", self._read
        if request.code == PUT:
            return "Bootstrap-Write", self._write
        if request.code == DELETE:
            return "Bootstrap-Delete", self._delete
        raise OperationError(NOT_ALLOWED, "no such operation of a bootstrap server")

    def _discover(self, _request: Request, path: Path) -> Response:
        links = bootstrap_discover(self.tree, path, self.prefix)
        return Response(CONTENT, format_links(links), content_format=int(ContentFormat.LINK))

    def _read(self, request: Request, path: Path) -> Response:
        if not path or path[0] not in _READABLE or len(path) > INSTANCE_LEVEL:
            raise OperationError(NOT_ALLOWED, "Bootstrap-Read is for the Server and Access Control objects")
        self.tree.check_exists(path)
        chosen = ContentFormat.TLV if request.accept is None else parse_format(request.accept)
        records = list(self.tree.records(path))
        shown = self.tree.instances(path) if len(path) == OBJECT_LEVEL else []
        payload = encode(chosen, path, records, self.tree.model.type_of, instances=shown, root=self.prefix)
        return Response(CONTENT, payload, content_format=int(chosen))

    def _write(self, request: Request, path: Path) -> Response:
        if not path or path[0] not in self.tree.objects():
            raise OperationError(NOT_FOUND, "no such object")
        chosen = ContentFormat.TEXT if request.content_format is None else parse_format(request.content_format)
        records = decode(chosen, path, request.payload, self.tree.model.type_of, root=self.prefix)
        if any(record.path[0] != path[0] for record in records):
            raise OperationError(BAD_REQUEST, f"a value outside {format_path(path)}")
        before = self.tree.snapshot([path[0]])
        try:
            if len(path) <= INSTANCE_LEVEL:
                self._write_instances(path, records)
            else:
                if path[:INSTANCE_LEVEL] not in self.tree.instances(path[:OBJECT_LEVEL]):
                    self.tree.add_instance(path[:INSTANCE_LEVEL], {})
                self.tree.write(path, records, replace=True, any_resource=True)
        except (OperationError, FormatError, KeyError) as error:
            self.tree.restore(before)
            if isinstance(error, KeyError):
                raise OperationError(NOT_FOUND, f"no resource {error.args[0]}") from None
            raise
        return Response(CHANGED)

    def _write_instances(self, path: Path, records: list[Record]) -> None:
        """Each instance that is written is replaced as a whole, or made (§6.1.5)."""
        grouped: dict[Path, dict[int, Resource]] = {path: {}} if len(path) == INSTANCE_LEVEL else {}
        for record in records:
            instance = record.path[:INSTANCE_LEVEL]
            if instance[1] == UNNAMED_INSTANCE:
                instance = (path[0], 0)
            if len(path) == INSTANCE_LEVEL and instance != path:
                raise OperationError(BAD_REQUEST, f"{format_path(record.path)} is outside {format_path(path)}")
            resources = grouped.setdefault(instance, {})
            if record.value is None:
                raise OperationError(BAD_REQUEST, f"no value for {format_path(record.path)}")
            if len(record.path) == INSTANCE_LEVEL + 1:
                resources[record.path[2]] = record.value
            else:
                several = resources.setdefault(record.path[2], {})
                if not isinstance(several, dict):
                    raise OperationError(BAD_REQUEST, f"two shapes of {format_path(record.path[:3])}")
                several[record.path[3]] = record.value
        for instance, resources in sorted(grouped.items()):
            self.tree.add_instance(instance, resources)

    def _delete(self, _request: Request, path: Path) -> Response:
        if len(path) > INSTANCE_LEVEL:
            raise OperationError(BAD_REQUEST, "Bootstrap-Delete is for /, objects and object instances")
        account = self.accounts.bootstrap()
        keep = {(DEVICE, 0)} | ({account.security} if account is not None else set())
        found = self.tree.instances(path)
        if len(path) == INSTANCE_LEVEL and (not found or path in keep):
            raise OperationError(BAD_REQUEST, "this instance is not to be deleted")  # §6.1.8
        for instance in found:
            if instance not in keep:
                self.tree.remove(instance)
        return Response(DELETED)

    def _finish(self) -> Response:
        problem = self.accounts.problem()
        self.finish(problem)
        return Response(CHANGED) if problem is None else Response(NOT_ACCEPTABLE, problem.encode())
