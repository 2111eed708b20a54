"""Paths of objects, object instances, resources and resource instances (LwM2M Core TS 1.1, 6.4)."""

import re

from bridge.errors import RequestError

Path = tuple[int, ...]

OBJECT, INSTANCE, RESOURCE, RESOURCE_INSTANCE = 1, 2, 3, 4
"""Numbers in a path."""

LARGEST = 65534  # 65535 is no id (Core TS 1.1, 7.1)
_PATH = re.compile(r"/?[0-9]{1,5}(/[0-9]{1,5}){0,3}/?")


def read_path(text: str) -> Path:
    """Return the path that a text such as /3/0/1 means. Raises RequestError."""
    if not _PATH.fullmatch(text):
        raise RequestError(f"{text[:40]!r} is no path; write one such as /3/0/1")
    path = tuple(map(int, text.strip("/").split("/")))
    if max(path) > LARGEST:
        raise RequestError(f"{text[:40]!r}: an id is at most {LARGEST}")
    return path


def shown(path: Path) -> str:
    """Return a path as people write it."""
    return "/" + "/".join(map(str, path))
