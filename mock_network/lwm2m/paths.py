"""LwM2M paths: /object/instance/resource/resource-instance (Core TS 1.1 §7.3), kept as tuples of integers."""

from collections.abc import Iterable, Sequence

Path = tuple[int, ...]
"""Zero (the root) to four identifiers, each 0..65534; 65535 is reserved (Core TS 1.1 §7.1)."""

ROOT: Path = ()
OBJECT_LEVEL, INSTANCE_LEVEL, RESOURCE_LEVEL, RESOURCE_INSTANCE_LEVEL = 1, 2, 3, 4
MAX_IDENTIFIER = 65534


class PathError(ValueError):
    """Not an LwM2M path."""


def parse_segments(segments: Sequence[str]) -> Path:
    """Return the path that these URI path segments name. Raises PathError if they name none."""
    if len(segments) > RESOURCE_INSTANCE_LEVEL:
        raise PathError(f"an LwM2M path has at most four levels, not {len(segments)}")
    path = []
    for segment in segments:
        # str.isdigit accepts digits of other scripts; leading zeros would give one node two names.
        if not (segment.isascii() and segment.isdigit()) or (len(segment) > 1 and segment[0] == "0"):
            raise PathError(f"not an LwM2M identifier: {segment[:20]!r}")
        if len(segment) > len(str(MAX_IDENTIFIER)) or int(segment) > MAX_IDENTIFIER:
            raise PathError(f"identifier above {MAX_IDENTIFIER}: {segment[:20]}")
        path.append(int(segment))
    return tuple(path)


def parse_path(text: str) -> Path:
    """Return the path written as `/3/0/9` (or `/` for the root). Raises PathError for anything else."""
    if not text.startswith("/"):
        raise PathError(f"a path starts with '/': {text[:40]!r}")
    return ROOT if text == "/" else parse_segments(text[1:].split("/"))


def format_path(path: Iterable[int]) -> str:
    """Return `/3/0/9` for (3, 0, 9); `/` for the root."""
    return "/" + "/".join(str(identifier) for identifier in path)


def covers(base: Path, path: Path) -> bool:
    """Return whether `path` is `base` or lies below it."""
    return path[: len(base)] == base
