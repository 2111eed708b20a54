"""The listener for what networks post: who may call, and in which forms a request may come (RFC 9110)."""

import asyncio
import gzip
import zlib
from collections import Counter

import aiohttp
import pytest

from bindings.commits import Commit
from bindings.http.callbacks import CallbackListener, ListenerNames
from bindings.http.messages import Request
from bindings.t8.settings import Callbacks
from bridge.errors import StoreUnavailable

NAMES = ListenerNames("callbacks", "the network", "callers", "messages", "internal")


class Network:
    """A listener, what it took, and what it counted."""

    def __init__(self, authorization="", max_body=65536):
        self.taken, self.counts = [], Counter()
        self.listener = CallbackListener(
            NAMES, Callbacks(port=0, max_body=max_body), self._take, self._count, authorization=authorization
        )

    def _take(self, request: Request):
        self.taken.append(request.body)
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def _count(self, name):
        self.counts[name] += 1

    async def post(self, path="/secret", body=b"{}", **headers):
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        url = self.listener.url.removesuffix("/secret") + path
        async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=sent) as answer:
            await answer.read()
            return answer.status, answer.headers


@pytest.fixture
async def start():
    running = []

    async def begin(**options):
        one = Network(**options)
        await one.listener.start("secret")
        running.append(one)
        return one

    yield begin
    for one in running:
        await one.listener.stop()


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ("Bearer t0ken", "bearer t0ken"),
        ("Bearer t0ken", "BEARER t0ken"),
        ("Bearer t0ken", "Bearer   t0ken"),
        ("Basic dTpw", "basic dTpw"),
    ],
)
async def test_a_scheme_knows_no_case(start, wanted, shown):
    network = await start(authorization=wanted)
    assert (await network.post(Authorization=shown))[0] == 204


@pytest.mark.parametrize(
    "shown", ["Bearer T0KEN", "t0ken", "Basic t0ken", "Bearer t0ken x", "Bearer", "", "bearer\tt0ken"]
)
async def test_credentials_do(start, shown):
    network = await start(authorization="Bearer t0ken")
    status, headers = await network.post(Authorization=shown)
    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    assert not network.taken


@pytest.mark.parametrize("path", ["/secret", "/secret/", "/secret//", "/prefix/secret/", "/secret?a=b", "/secret/?a=b"])
async def test_a_slash_at_the_end_is_no_other_path(start, path):
    network = await start()
    assert (await network.post(path))[0] == 204


@pytest.mark.parametrize("path", ["/", "/secre", "/secretx", "/secret/x", "/?/secret", "/x%2Fsecret", "/SECRET"])
async def test_another_path_is_not_found(start, path):
    network = await start()
    assert (await network.post(path))[0] == 404


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", "identity, gzip", " gzip "])
async def test_gzip_is_understood(start, coding):
    network = await start()
    assert (await network.post(body=gzip.compress(b'{"data":1}'), Content_Encoding=coding))[0] == 204
    assert network.taken == [b'{"data":1}']


@pytest.mark.parametrize("after", [b"", bytes(3)], ids=["nothing", "padding"])
async def test_all_members_of_gzip_are_the_body(start, after):
    """RFC 1952 §2.2: a part that was dropped could make the rest another message."""
    network = await start()
    body = gzip.compress(b'{"data":') + gzip.compress(b"1}") + after
    assert (await network.post(body=body, Content_Encoding="gzip"))[0] == 204
    assert network.taken == [b'{"data":1}']


@pytest.mark.parametrize("after", [b"x", gzip.compress(b"")[:-1], 8 * gzip.compress(b"")], ids=["junk", "cut", "many"])
async def test_what_comes_after_a_member_is_gzip_or_400(start, after):
    network = await start()
    assert (await network.post(body=gzip.compress(b"{}") + after, Content_Encoding="gzip"))[0] == 400
    assert not network.taken


@pytest.mark.parametrize("coding", ["identity", "identity, identity"])
async def test_identity_is_no_coding(start, coding):
    network = await start()
    assert (await network.post(body=b"{}", Content_Encoding=coding))[0] == 204
    assert network.taken == [b"{}"]


@pytest.mark.parametrize("coding", ["br", "deflate", "compress", "zstd", "gzip, gzip", "aes128gcm", "gzip;q=1"])
async def test_another_coding_is_415_with_what_is_understood(start, coding):
    network = await start()
    status, headers = await network.post(body=zlib.compress(b"{}"), Content_Encoding=coding)
    assert (status, headers["Accept-Encoding"]) == (415, "gzip, identity")
    assert not network.taken
    assert network.counts["callers_wrong_coding"] == 1


@pytest.mark.parametrize(
    "body", [b"", b"{}", gzip.compress(b"{}", mtime=0)[:-1], gzip.compress(b"{}", mtime=0)[:5], zlib.compress(b"{}")]
)
async def test_what_is_no_gzip_is_400(start, body):
    network = await start()
    assert (await network.post(body=body, Content_Encoding="gzip"))[0] == 400
    assert not network.taken
    assert not network.counts["internal"]


async def test_what_unpacks_to_too_much_is_413(start):
    network = await start(max_body=2048)
    assert (await network.post(body=gzip.compress(bytes(2048)), Content_Encoding="gzip"))[0] == 204
    assert (await network.post(body=gzip.compress(bytes(1 << 20)), Content_Encoding="gzip"))[0] == 413
    assert (await network.post())[0] == 204


async def test_a_post_is_answered_when_its_commit_is_known_and_not_before(start):
    network, commit = await start(), Commit()
    network.listener.settings.handlers[""] = lambda _request: commit
    answer = asyncio.create_task(network.post())
    async with asyncio.timeout(5):
        while commit.then is None:
            await asyncio.sleep(0.005)
    assert network.listener.taken == 0
    commit.complete(None)
    assert network.listener.taken == 1
    assert (await answer)[0] == 204


async def test_a_post_whose_commit_fails_is_answered_503(start):
    network, commit = await start(), Commit()
    network.listener.settings.handlers[""] = lambda _request: commit
    answer = asyncio.create_task(network.post())
    async with asyncio.timeout(5):
        while commit.then is None:
            await asyncio.sleep(0.005)
    commit.complete(StoreUnavailable("the disk is full"))
    assert (await answer)[0] == 503


async def test_a_post_whose_commit_has_failed_at_once_is_answered_503(start):
    network, commit = await start(), Commit()
    commit.complete(StoreUnavailable("too many commits wait for the disk"))
    network.listener.settings.handlers[""] = lambda _request: commit
    assert (await network.post())[0] == 503
