"""A question to an OCSP responder over HTTP (RFC 6960 appendix A)."""

from http import HTTPStatus
from urllib.parse import urlsplit

PATIENCE = 5.0  # seconds that a responder may take, connection included
LARGEST = 64 * 1024  # bytes of a response

_HEADERS = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}


class NoResponse(Exception):
    """A responder sent nothing usable. The text says why, for people."""


def is_url(text: str) -> bool:
    """Return whether a text is the URL of a responder that `post` can ask."""
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


async def post(url: str, question: bytes) -> bytes:
    """Send a question in DER, and return the response's body. Follows no redirect. Raises NoResponse."""
    import aiohttp  # commands that only read the configuration do without it

    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    try:
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout) as session,
            session.post(url, data=question, headers=_HEADERS, allow_redirects=False) as response,
        ):
            if response.status != HTTPStatus.OK:
                raise NoResponse(f"its OCSP responder {url} answered {response.status}")
            body = bytearray()
            async for piece in response.content.iter_any():
                body += piece
                if len(body) > LARGEST:
                    raise NoResponse(f"its OCSP responder {url} answered more than {LARGEST} bytes")
            return bytes(body)
    except TimeoutError:
        raise NoResponse(f"its OCSP responder {url} did not answer within {PATIENCE:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise NoResponse(f"its OCSP responder {url} cannot be asked: {error}") from None
