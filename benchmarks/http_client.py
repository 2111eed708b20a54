"""One HTTP client that posts downlinks, as a side under test: `http_client.py KIND API_ROOT ROUNDS`.

KIND is `bridge` or `aiohttp`. Prints the seconds of processor time for one request, a line for each round.
"""

import asyncio
import base64
import json
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp

from bindings.http.client import ClientLimits, HttpClient, split

ROUND = 4000  # requests
AT_ONCE = 32
BODY = json.dumps({"data": base64.b64encode(bytes(4)).decode(), "externalId": "d0@bench.example"}).encode()
PATH = "/3gpp-nidd/v1/bench/configurations/c0/downlink-data-deliveries"
HEADERS = {"Content-Type": "application/json", "Accept": "application/json, application/problem+json"}

Post = Callable[[], Awaitable[tuple[int, bytes]]]
Close = Callable[[], Awaitable[None]]


async def with_bridge(root: str) -> tuple[Post, Close]:
    client = HttpClient(ClientLimits(10.0, 30.0, 15.0), None)
    origin, _ = split(root)

    async def post() -> tuple[int, bytes]:
        response = await client.request("POST", origin, PATH, HEADERS, BODY)
        return response.status, response.body

    return post, client.close


async def with_aiohttp(root: str) -> tuple[Post, Close]:
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=AT_ONCE, keepalive_timeout=15.0),
        timeout=aiohttp.ClientTimeout(total=30.0, connect=10.0),
    )

    async def post() -> tuple[int, bytes]:
        async with session.post(root + PATH, data=BODY, headers=HEADERS, allow_redirects=False) as response:
            return response.status, await response.read()

    return post, session.close


async def measure(post: Post) -> float:
    """Make a round of requests; return the seconds of processor time for each."""
    left = ROUND

    async def one_after_another() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            status, body = await post()
            if status != 200 or b"SUCCESS" not in body:  # the load's own answer
                raise RuntimeError(f"{status} {body!r}")

    began = time.process_time()
    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
    return (time.process_time() - began) / ROUND


async def main() -> None:
    post, close = await {"bridge": with_bridge, "aiohttp": with_aiohttp}[sys.argv[1]](sys.argv[2])
    await measure(post)  # warm-up
    for _ in range(int(sys.argv[3])):
        print(await measure(post), flush=True)
    await close()


if __name__ == "__main__":
    asyncio.run(main())
