"""Access control: what each server may do with each object instance (Core TS 1.1 §8, object 2). No I/O."""

import enum
from collections.abc import Iterator, Mapping

from mock_network.device.refusal import UNAUTHORIZED, OperationError
from mock_network.device.tree import ObjectTree, Resource
from mock_network.lwm2m.definitions import ACCESS_CONTROL, OSCORE, SECURITY
from mock_network.lwm2m.paths import Path

ANY_SERVER = 0  # resource instance of the ACL that holds for servers without one of their own
WHOLE_OBJECT = 65535  # /2/x/1 of the instance that says who may create
BOOTSTRAP_SERVER = 65535  # /2/x/3 where no server owns the instance
_OBJECT, _INSTANCE, _ACL, _OWNER = range(4)


class Right(enum.IntFlag):
    """Bits of an entry in the Access Control List, /2/x/2."""

    READ = 1
    """Read, Observe, Write-Attributes, and Send."""
    WRITE = 2
    EXECUTE = 4
    DELETE = 8
    CREATE = 16


OWNER_RIGHTS = Right.READ | Right.WRITE | Right.EXECUTE | Right.DELETE


class AccessControl:
    """Reads object 2 of a tree at each question. A device without object 2 grants everything but /0 and /21."""

    def __init__(self, tree: ObjectTree) -> None:
        self._tree = tree

    @property
    def active(self) -> bool:
        """Return whether this device has object 2."""
        return ACCESS_CONTROL in self._tree.objects()

    def check(self, server: int, path: Path, right: Right) -> None:
        """Raise OperationError 4.01 unless a server, by its Short Server ID, has a right on an object or instance."""
        if not self.allows(server, path, right):
            raise OperationError(UNAUTHORIZED, f"server {server} has no right to {(right.name or '').lower()}")

    def allows(self, server: int, path: Path, right: Right) -> bool:
        """Return whether a server has a right on the object instance at, or above, `path`.

        For CREATE the path is an object's. Objects 0 and 21 are for no server.
        """
        if path[0] in {SECURITY, OSCORE}:
            return False
        if not self.active:
            return True
        if path[0] == ACCESS_CONTROL:
            return right is Right.READ or (right is Right.WRITE and self._owner_by(path[:2]) == server)
        instance = WHOLE_OBJECT if right is Right.CREATE else path[1]
        return bool(right & self.rights(server, path[0], instance))

    def rights(self, server: int, object_id: int, instance_id: int) -> Right:
        """Return all rights of a server on one object instance (§8.2)."""
        control = next(self._controls(object_id, instance_id), None)
        if control is None:
            return Right(0)
        entries = self._tree.get_all((*control, _ACL))
        if server in entries:
            return Right(int(entries[server]) & 31)  # type: ignore[arg-type]  # an integer resource
        if self._owner_by(control) == server:
            return OWNER_RIGHTS
        return Right(int(entries.get(ANY_SERVER, 0)) & 31)  # type: ignore[arg-type]  # as above

    def _owner_by(self, control: Path) -> int:
        return int(self._tree.get_or((*control, _OWNER), BOOTSTRAP_SERVER))  # type: ignore[arg-type]  # as above

    def owner(self, path: Path) -> int | None:
        """Return the Short Server ID of the owner of an object instance, None if object 2 names none."""
        control = next(self._controls(path[0], path[1]), None)
        return None if control is None else self._owner_by(control)

    def _controls(self, object_id: int, instance_id: int) -> Iterator[Path]:
        for control in self._tree.instances((ACCESS_CONTROL,)):
            about = (self._tree.get_or((*control, _OBJECT), -1), self._tree.get_or((*control, _INSTANCE), -1))
            if about == (object_id, instance_id):
                yield control

    def created(self, server: int, path: Path) -> None:
        """Make the server that created an object instance its owner (§8.1)."""
        if self.active:
            control = (ACCESS_CONTROL, self._tree.free_instance(ACCESS_CONTROL))
            self._tree.add_instance(control, control_of(path, server))

    def deleted(self, path: Path) -> None:
        """Remove the access rights to an object instance that is gone."""
        for control in list(self._controls(path[0], path[1])):
            self._tree.remove(control)


def control_of(path: Path, owner: int, entries: Mapping[int, int] | None = None) -> dict[int, Resource]:
    """Return the values of an Access Control instance for an object instance; `entries` map servers to rights."""
    return {_OBJECT: path[0], _INSTANCE: path[1], _ACL: dict(entries or {}), _OWNER: owner}
