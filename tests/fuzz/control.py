"""What callers of the API send: paths, queries and bodies of every route."""

from urllib.parse import parse_qsl

from bridge.control.rest.reading import Reader
from bridge.control.rest.routes import ROUTES
from bridge.errors import RequestError
from tests.fuzz.target import Target, joined, pieces, refusal

READERS = tuple((route, Reader(route)) for route in ROUTES)


def request(data: bytes) -> None:
    """Any path, query and body are a request of the operation, or RequestError that says what is wrong."""
    parts = pieces(data[1:])
    route, reader = READERS[data[0] % len(READERS)] if data else READERS[0]
    texts = [part.decode("utf-8", "surrogateescape") for part in parts]
    path = dict.fromkeys(route.in_path, texts[0] if texts else "")
    query = parse_qsl(texts[1], keep_blank_values=True) if len(texts) > 1 else []
    body = parts[2] if len(parts) > 2 else None
    assert refusal(lambda: reader.request(path, query, body), RequestError) != ""


def _requests() -> list[bytes]:
    bodies = (b"", b'{"endpoints": [{"name": "a", "network": "n", "address": "d@e"}]}', b'{"endpoint": "a", "ttl": 60}')
    queries = (b"", b"limit=10&after=x", b"wait=5&endpoint=a")
    return [
        bytes((number,)) + joined(b"name", query, body)
        for number in range(len(READERS))
        for query, body in zip(queries, bodies, strict=True)
    ]


REQUEST = Target("api-request", request, _requests)
