"""Operations of T8 APIs as values: the request, and the answers in the OpenAPI.

A binding has its operations as constants. A test compares them with 3GPP's own files.
"""

from dataclasses import dataclass, field
from urllib.parse import quote

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"  # RFC 7396
JSON_PATCH = "application/json-patch+json"  # RFC 6902

REDIRECTS = frozenset({307, 308})


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of one API.

    `api` is name and version as in the URL; `path` is what follows `{scsAsId}`, with `{}` for each name that
    the caller fills in. `media_type` is that of the request's body, empty if there is none.
    """

    api: str
    method: str
    path: str
    successes: frozenset[int]
    media_type: str = ""
    redirects: bool = True  # whether 307 and 308 are among its answers: not for the creation of a resource
    _pieces: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pieces", tuple(self.path.split("{}")))

    def target(self, *names: str) -> str:
        """Return the path below `{scsAsId}`, each name percent-encoded into its segment."""
        first, *rest = self._pieces
        return first + "".join(quote(name, safe="") + piece for name, piece in zip(names, rest, strict=True))
