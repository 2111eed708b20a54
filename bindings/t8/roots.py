"""The apiRoots of one SCEF or NEF: the first that works is used. No I/O; times are passed in."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from bindings.http.client import Origin, split
from bridge.errors import ConfigurationError

_PATH_CHARACTERS = "!$&'()*+,;=:@"  # in addition to the unreserved ones (RFC 3986 §3.3)
_FIRST_PAUSE = 5.0  # seconds until a root that failed is tried again; doubles with each failure in a row
_LONGEST_PAUSE = 300.0  # seconds
_PATIENCE = 3  # requests without a usable answer, in a row, before the next root is used


@dataclass(slots=True)
class ApiRoot:
    """One apiRoot and its state."""

    origin: Origin
    prefix: str
    down_until: float = 0.0
    failures: int = 0  # in a row
    doubts: int = 0  # the same

    @property
    def url(self) -> str:
        """Return the configured URL, without a final slash."""
        return f"{self.origin.scheme}://{self.origin.authority}{self.prefix}"


class ApiRoots:
    """The roots in the order of the configuration: the first is preferred, and used again after its pause."""

    def __init__(self, urls: Sequence[str]) -> None:
        """Raises ConfigurationError for an invalid apiRoot."""
        self._all = [read_root(url) for url in urls]
        self._origins = {root.origin for root in self._all}

    @property
    def first(self) -> ApiRoot:
        """Return the preferred root."""
        return self._all[0]

    def knows(self, origin: Origin) -> bool:
        """Return whether credentials may be sent there."""
        return origin in self._origins

    def in_order(self, now: float) -> list[ApiRoot]:
        """Return the roots to try for one request, in order; those that failed recently are last."""
        if len(self._all) == 1:
            return self._all
        return sorted(self._all, key=lambda root: max(root.down_until, now))

    def failed(self, root: ApiRoot, now: float) -> None:
        """Record that a root cannot be reached."""
        root.down_until = now + min(_FIRST_PAUSE * 2 ** min(root.failures, 10), _LONGEST_PAUSE)
        root.failures += 1
        root.doubts = 0

    def doubted(self, root: ApiRoot, now: float) -> None:
        """Record that a root gave no usable answer, though it may have accepted: the next request uses another one."""
        root.doubts += 1
        if root.doubts >= _PATIENCE:
            self.failed(root, now)

    def worked(self, root: ApiRoot) -> None:
        """Record that a root answered."""
        root.failures = root.doubts = 0
        root.down_until = 0.0

    def status(self, now: float) -> dict[str, str]:
        """Return the state of each root, by its URL."""
        return {root.url: "up" if root.down_until <= now else "down" for root in self._all}


def read_root(api_root: str) -> ApiRoot:
    """Return an apiRoot, without a final slash. Raises ConfigurationError."""
    root = api_root.rstrip("/")
    try:
        origin, prefix = split(root)
    except ValueError as error:
        raise ConfigurationError(f"api_root {root!r} must be http(s)://host[:port][/prefix]: {error}") from error
    if "?" in root or "#" in root or "@" in root:
        raise ConfigurationError(f"api_root {root!r} must be http(s)://host[:port][/prefix], without user or query")
    if root.endswith("/3gpp-nidd") or "/3gpp-nidd/" in root:
        raise ConfigurationError(f"api_root {root!r} must end before /3gpp-nidd: it is added")
    return ApiRoot(origin, quote(prefix.rstrip("/"), safe=_PATH_CHARACTERS + "/%"))
