"""The answers to an HTTP integration's posts: from these, tests see what was accepted."""

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from chirpstack_api import integration

from .context import Event

MAX_POSTS = 100_000


@dataclass(slots=True)
class Post:
    """One post of one event to one endpoint. `status` 0: nothing was answered; the last three only of an `up`."""

    number: int
    time: float  # UNIX seconds, when it was begun
    kind: str
    dev_eui: str
    status: int = 0
    f_cnt: int | None = None
    f_port: int | None = None
    data: bytes = b""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; bytes as hex."""
        return {**asdict(self), "data": self.data.hex()}


class PostLog:
    """All stored posts in the order of their beginning."""

    def __init__(self) -> None:
        self._posts: deque[Post] = deque(maxlen=MAX_POSTS)
        self._last = 0

    def begin(self, event: Event, now: float) -> Post:
        """Note a post; its `status` is set when there is an answer."""
        self._last += 1
        post = Post(self._last, now, event.kind, event.dev_eui)
        if isinstance(event.message, integration.UplinkEvent):
            message = event.message
            post.f_cnt, post.f_port, post.data = message.f_cnt, message.f_port, message.data
        self._posts.append(post)
        return post

    def listing(self, dev_eui: str = "") -> list[dict[str, Any]]:
        """Return the posts of a device, or of all."""
        return [post.to_json() for post in self._posts if dev_eui in ("", post.dev_eui)]
