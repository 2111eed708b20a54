"""Request bodies: JSON of the right media type that fits its T8 type, else an answer that names the fault."""

import json
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from aiohttp import web
from msgspec import inspect as info

from mock_network.scef.findings import Findings
from mock_network.scef.schema import T8Type
from mock_network.scef.t8.problems import BadRequestError

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"  # RFC 7396
JSON_PATCH = "application/json-patch+json"  # RFC 6902
PROBLEM = "application/problem+json"

FINDINGS = web.AppKey("findings", Findings)
IGNORED = frozenset({"snssai", "dnn", "locationType", "accuracy", "repPeriod"})  # good members that mean nothing here

_T = TypeVar("_T", bound=T8Type)
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


def check_headers(request: web.Request) -> None:
    """Refuse a request whose body has no length (411), or whose answer would not be taken (406)."""
    headers = request.headers
    if request.method in _WITH_BODY and "Content-Length" not in headers and "Transfer-Encoding" not in headers:
        raise web.HTTPLengthRequired(reason="Length Required")
    if request.method == "GET" and not _accepts_json(headers.get("Accept", "*/*")):
        raise web.HTTPNotAcceptable(reason="Not Acceptable: there is only application/json")


def _accepts_json(accept: str) -> bool:
    for one in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in one.split(";"))
        if kind in {JSON, "application/*", "*/*", ""} and "q=0" not in parameters:
            return True
    return False


async def body_of(request: web.Request, media_type: str) -> Any:
    """Return the JSON value that a request carries. Raises HTTPUnsupportedMediaType or BadRequestError."""
    if request.content_type != media_type:
        raise web.HTTPUnsupportedMediaType(reason=f"the body must be {media_type}")
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise BadRequestError("/", f"is not JSON: {error}") from error


async def read(request: web.Request, kind: type[_T], media_type: str = JSON) -> _T:
    """Return the body of a request as a T8 type. Raises HTTPUnsupportedMediaType or BadRequestError."""
    body = await body_of(request, media_type)
    value = converted(body, kind, nulls=media_type == MERGE_PATCH)
    for name in body.keys() - _names(kind):
        request.app[FINDINGS].note("unknown-member", f"{request.method} {kind.__name__}: {name}")
    return value


def converted(body: Any, kind: type[_T], *, nulls: bool = False) -> _T:
    """Return a JSON value as a T8 type; `nulls`: None removes a member, as in a merge patch. Raises BadRequestError."""
    if not isinstance(body, dict):
        raise BadRequestError("/", "must be a JSON object")
    for name in kind.READ_ONLY & body.keys():
        raise BadRequestError(f"/{name}", "is read-only")
    if not nulls and (path := _null(body, _shape(kind))) is not None:
        raise BadRequestError(path, "must not be null")
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise _bad_request(error) from error


@cache
def _names(kind: type[T8Type]) -> frozenset[str]:
    return frozenset(member.encode_name for member in msgspec.structs.fields(kind)) | IGNORED


@cache
def _shape(kind: type[T8Type]) -> info.Type:
    return info.type_info(kind)


def _null(value: Any, kind: info.Type, path: str = "") -> str | None:
    """Return the JSON pointer of a null in a member of the type; others are ignored."""
    if value is None:
        return path or "/"
    inner: list[tuple[str, Any, info.Type]] = []
    for one in kind.types if isinstance(kind, info.UnionType) else (kind,):
        if isinstance(one, info.StructType) and isinstance(value, dict):
            known = [field for field in one.fields if field.encode_name in value]
            inner += [(field.encode_name, value[field.encode_name], field.type) for field in known]
        elif isinstance(one, info.ListType) and isinstance(value, list):
            inner += [(str(index), item, one.item_type) for index, item in enumerate(value)]
    found = (_null(item, item_kind, f"{path}/{name}") for name, item, item_kind in inner)
    return next((pointer for pointer in found if pointer is not None), None)


def _bad_request(error: msgspec.ValidationError) -> BadRequestError:
    """Turn `… - at `$.rdsPorts[0].portUE`` into a JSON pointer and a reason."""
    reason, _, where = str(error).partition(" - at `$")
    pointer = where.rstrip("`").replace("[", "/").replace("]", "").replace(".", "/")
    for missing in ("missing required field `", "exactly one of "):
        if missing in reason:
            pointer += "/" + reason.partition(missing)[2].split(",")[0].split("`")[0]
    return BadRequestError(pointer or "/", reason)


def changes_of(patch: T8Type) -> dict[str, Any]:
    """Return the members that a patch names."""
    return {name: value for name, value in msgspec.structs.asdict(patch).items() if value is not msgspec.UNSET}


def check_destination(uri: str | None, name: str = "notificationDestination") -> None:
    """Refuse a notification destination that nothing can be posted to."""
    if uri is None:
        return
    try:
        parts = urlsplit(uri)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        raise BadRequestError(f"/{name}", "is not an absolute HTTP URI")
