"""JSON patch (RFC 6902): a thin, typed wrapper of `jsonpatch`."""

from typing import Any

import jsonpatch

from mock_network.scef.t8.problems import BadRequestError


def patched(document: dict[str, Any], operations: object) -> Any:
    """Return a document after some operations. Raises BadRequestError if one of them is wrong or cannot be done."""
    if not isinstance(operations, list) or not operations:
        raise BadRequestError("/", "must be an array of operations")
    try:
        return jsonpatch.apply_patch(document, operations)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError, KeyError, AttributeError) as error:
        raise BadRequestError("/", f"is not a JSON patch for this resource: {error}") from error
