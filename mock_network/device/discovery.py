"""CoRE links of a device: for Register (Core TS 1.1 §6.2.1), Discover (§6.3.2) and Bootstrap-Discover (§6.1.4)."""

from collections.abc import Callable, Mapping

from mock_network.device.refusal import BAD_REQUEST, OperationError
from mock_network.device.tree import ObjectTree
from mock_network.lwm2m.definitions import OSCORE, SECURITY, SERVER
from mock_network.lwm2m.links import Link
from mock_network.lwm2m.paths import INSTANCE_LEVEL, OBJECT_LEVEL, RESOURCE_LEVEL, Path, format_path

_UNLISTED = frozenset({SECURITY, OSCORE})
_BOOTSTRAP_SERVER, _SHORT_SERVER_ID, _URI, _SERVER_ID = 1, 10, 0, 0
ENABLER_VERSION = "1.1"


def registration_links(
    tree: ObjectTree, formats: str, root: str = "", omit: frozenset[str] = frozenset()
) -> list[Link]:
    """Return objects and instances as Register lists them, below the alternate path `root`; never /0 and /21.

    `omit` leaves out what a small message has no room for: "root", the link of the root, and "ver", versions.
    """
    links = [] if "root" in omit else [Link(root or "/", {"rt": "oma.lwm2m", "ct": formats})]
    for object_id in tree.objects():
        if object_id in _UNLISTED:
            continue
        version = {} if "ver" in omit else _version(tree, object_id)
        instances = tree.instances((object_id,))
        if version or not instances:
            links.append(Link(f"{root}/{object_id}", version))
        links += [Link(root + format_path(instance)) for instance in instances]
    return links


def _version(tree: ObjectTree, object_id: int) -> dict[str, str | None]:
    version = tree.definition(object_id).version
    return {} if version == "1.0" else {"ver": version}


def discover(
    tree: ObjectTree, path: Path, attributes: Callable[[Path], Mapping[str, str]], root: str = ""
) -> list[Link]:
    """Return the links of Discover: the path itself and what is below it; OperationError.

    `attributes` are those that the asking server attached to a path.
    """
    tree.check_exists(path)
    if not path or len(path) > RESOURCE_LEVEL:
        raise OperationError(BAD_REQUEST, "Discover is for objects, object instances and resources")
    found: list[Path] = [path]
    if len(path) == OBJECT_LEVEL:
        for instance in tree.instances(path):
            found += [instance, *_resource_paths(tree, instance)]
    elif len(path) == INSTANCE_LEVEL:
        found += _resource_paths(tree, path)
    links = []
    for target in found:
        parameters: dict[str, str | None] = {}
        if len(target) == OBJECT_LEVEL:
            parameters.update(_version(tree, target[0]))
        dimension = tree.dimension(target) if len(target) == RESOURCE_LEVEL else None
        if dimension is not None:
            parameters["dim"] = str(dimension)
        parameters.update(attributes(target))
        links.append(Link(root + format_path(target), parameters))
    return links


def _resource_paths(tree: ObjectTree, instance: Path) -> list[Path]:
    present = set(tree.resources(instance)) | {path[2] for path in tree.computed if path[:2] == instance}
    definitions = tree.definition(instance[0]).resources
    executable = {number for number, definition in definitions.items() if "E" in definition.operations}
    return [(*instance, number) for number in sorted(present | executable)]


def bootstrap_discover(tree: ObjectTree, path: Path, root: str = "") -> list[Link]:
    """Return the links of Bootstrap-Discover on `/` or an object: instances, and whose they are; OperationError.

    Security and Server instances carry their `ssid`, Security instances of servers their `uri` too.
    """
    if len(path) > OBJECT_LEVEL:
        raise OperationError(BAD_REQUEST, "Bootstrap-Discover is for / and for objects")
    tree.check_exists(path)
    links = [Link(root or "/", {"lwm2m": ENABLER_VERSION})] if not path else []
    for object_id in path or tree.objects():
        version = _version(tree, object_id)
        instances = tree.instances((object_id,))
        if version or not instances or path:
            links.append(Link(f"{root}/{object_id}", version))
        links += [Link(root + format_path(instance), _whose(tree, instance)) for instance in instances]
    return links


def _whose(tree: ObjectTree, instance: Path) -> dict[str, str | None]:
    if instance[0] == SECURITY and tree.get_or((*instance, _BOOTSTRAP_SERVER), default=False) is not True:
        parameters = {"ssid": _SHORT_SERVER_ID, "uri": _URI}
    elif instance[0] == SERVER:
        parameters = {"ssid": _SERVER_ID}
    else:
        return {}
    values = {name: tree.get_or((*instance, number), "") for name, number in parameters.items()}
    return {name: str(value) for name, value in values.items() if value != ""}
