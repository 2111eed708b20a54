"""Read-Composite, Write-Composite and Observe-Composite: several paths in one request (Core TS 1.1 §6.3.10 ff.)."""

from collections.abc import Sequence

from mock_network.device.refusal import BAD_REQUEST, NOT_ALLOWED, NOT_FOUND, UNSUPPORTED_CONTENT_FORMAT, OperationError
from mock_network.device.tree import ObjectTree
from mock_network.lwm2m.formats import SENML, ContentFormat, UnsupportedFormat, decode, parse_format
from mock_network.lwm2m.messages import Request
from mock_network.lwm2m.paths import RESOURCE_INSTANCE_LEVEL, Path, format_path
from mock_network.lwm2m.values import Record, TypeOf


def records_of(request: Request, path: Path, type_of: TypeOf, root: str) -> list[Record]:
    """Return the paths that a composite request names, with their values if it writes; OperationError, FormatError."""
    if path:
        raise OperationError(BAD_REQUEST, "composite operations have no path")
    if request.content_format is None or parse_format(request.content_format) not in SENML:
        raise OperationError(UNSUPPORTED_CONTENT_FORMAT, "composite operations speak SenML")
    return decode(parse_format(request.content_format), (), request.payload, type_of, root=root)


def format_of(accept: int | None) -> ContentFormat:
    """Return the format of the answer; UnsupportedFormat if it is not SenML."""
    chosen = parse_format(accept if accept is not None else ContentFormat.SENML_CBOR)
    if chosen not in SENML:
        raise UnsupportedFormat("composite operations speak SenML")
    return chosen


def check_write(tree: ObjectTree, records: Sequence[Record]) -> None:
    """Raise OperationError unless every record can be written: a Write-Composite is carried out whole or not at all."""
    for record in records:
        definition = tree.model.resource(record.path)
        if definition is None:
            raise OperationError(NOT_FOUND, f"no resource {format_path(record.path)}")
        if "W" not in definition.operations:
            raise OperationError(NOT_ALLOWED, f"{definition.name} is not writable")
        if definition.multiple != (len(record.path) == RESOURCE_INSTANCE_LEVEL) or record.value is None:
            raise OperationError(BAD_REQUEST, f"no value for {format_path(record.path)}")
