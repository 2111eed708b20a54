"""OAuth2 toward the SCEF: one request to the token endpoint at a time, and none more than it takes (RFC 6749 §4.4)."""

import asyncio
import json

import msgspec
import pytest

from bindings.http.client import NotSent
from bindings.http.exchange import Response
from bindings.t8 import shared_token
from bindings.t8.auth import Authorization
from bindings.t8.settings import Credentials
from bridge.errors import BindingError
from tests.bindings.bridge_side import DictMemory

SETTINGS = Credentials(kind="oauth2", token_url="https://idp.example/token", client_id="me", client_secret="s")


class TokenEndpoint:
    """The HTTP client's side: counts what it is asked, and answers when `hold` is set."""

    def __init__(self, lifetime=3600):
        self.asked = 0
        self.lifetime = lifetime
        self.status = 200
        self.body = None  # instead of a token
        self.hold = asyncio.Event()
        self.hold.set()

    async def request(self, *_):
        self.asked += 1
        number = self.asked
        await self.hold.wait()
        if self.status is None:
            raise NotSent("no connection")
        body = {"access_token": f"t{number}", "expires_in": self.lifetime}
        return Response(self.status, body=self.body or json.dumps(body).encode())


class Time:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def made(time):
    return Authorization(SETTINGS, time, {})


async def all_of(*waiting):
    return await asyncio.gather(*waiting, return_exceptions=True)


async def test_all_who_wait_share_one_token(made):
    endpoint = TokenEndpoint()
    assert await all_of(*(made.header(endpoint) for _ in range(50))) == ["Bearer t1"] * 50
    assert endpoint.asked == 1


async def test_all_who_wait_share_one_failure(made, time):
    """Each asking for itself, one after the other, would hold up the last of 32 for a quarter of an hour."""
    endpoint = TokenEndpoint()
    endpoint.status = 503
    errors = await all_of(*(made.header(endpoint) for _ in range(32)))
    assert all(isinstance(error, BindingError) for error in errors)
    assert endpoint.asked == 1
    time.now += 4
    with pytest.raises(BindingError, match="answered 503"):
        await made.header(endpoint)
    assert endpoint.asked == 1
    time.now += 2
    endpoint.status = 200
    assert await made.header(endpoint) == "Bearer t2"


@pytest.mark.parametrize(
    "answer", [b"<html>", b'{"access_token": 1}', b'{"x": ' + b"[" * 100_000, b'{"access_token": "\xff"}']
)
async def test_an_answer_that_cannot_be_read_is_a_failure_to_get_a_token(made, answer):
    """Whatever its bytes are, the request to the SCEF was certainly not sent, and the endpoint is not asked at once."""
    endpoint = TokenEndpoint()
    endpoint.body = answer
    for _ in range(3):
        with pytest.raises(BindingError, match="usable JSON"):
            await made.header(endpoint)
    assert endpoint.asked == 1


async def test_a_token_is_used_to_its_end_while_no_other_can_be_had(made, time):
    endpoint = TokenEndpoint(lifetime=300)
    await made.header(endpoint)
    endpoint.status = None
    time.now += 299
    assert await made.header(endpoint) == "Bearer t1"
    assert endpoint.asked == 2  # it was to be renewed half a minute before its end
    time.now += 2
    with pytest.raises(BindingError, match="no connection"):
        await made.header(endpoint)


async def test_a_token_that_ends_under_many_requests_is_renewed_once(made):
    endpoint = TokenEndpoint()
    old = await made.header(endpoint)
    again = await all_of(*(made.header_after_401(endpoint, old) for _ in range(50)))
    assert again == ["Bearer t2"] * 50
    assert await made.header_after_401(endpoint, old) == "Bearer t2"  # an answer that came late
    assert endpoint.asked == 2


async def test_a_scef_that_refuses_every_token_does_not_flood_the_token_endpoint(made, time):
    endpoint = TokenEndpoint()
    for _ in range(100):
        refused = await made.header(endpoint)
        await made.header_after_401(endpoint, refused)
    assert endpoint.asked == 2
    time.now += 1
    assert await made.header_after_401(endpoint, await made.header(endpoint)) == "Bearer t3"


async def test_who_gives_up_waiting_takes_the_token_from_nobody(made):
    endpoint = TokenEndpoint()
    endpoint.hold.clear()
    first, second = (asyncio.create_task(made.header(endpoint)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    endpoint.hold.set()
    assert await second == "Bearer t1"
    assert first.cancelled()


async def test_closing_ends_what_waits(made):
    endpoint = TokenEndpoint()
    endpoint.hold.clear()
    waiting = asyncio.create_task(made.header(endpoint))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await made.close()
    with pytest.raises(BindingError, match="closed"):
        await waiting


@pytest.fixture
def nodes(time, monkeypatch):
    """Authorizations of three nodes that share their network's notes."""
    monkeypatch.setattr(shared_token, "_AT_ONCE", 0.0)
    memory, nodes = DictMemory(), [Authorization(SETTINGS, time, {}) for _ in range(3)]
    for node in nodes:
        node.share(memory, lambda: 1.7e9 + time.now)
    nodes.append(memory)
    return nodes


async def test_nodes_use_one_token_and_one_of_them_renews_it(nodes, time):
    endpoint = TokenEndpoint(lifetime=3600)
    *nodes, _ = nodes
    for _ in range(20):
        assert {await node.header(endpoint) for node in nodes} == {f"Bearer t{endpoint.asked}"}
        time.now += 3580  # in the half minute in which the token is to be renewed, or after it
        await nodes[endpoint.asked % 3].header(endpoint)
        time.now += 20
    assert endpoint.asked <= 21, "as often as one bridge would"


async def test_a_token_that_another_node_has_renewed_is_found_after_a_401(nodes):
    """Some token endpoints void the former token of a client when they issue another one."""
    endpoint = TokenEndpoint()
    a, b, c, _ = nodes
    first = await a.header(endpoint)
    assert await b.header(endpoint) == first
    second = await b.header_after_401(endpoint, first)
    assert await a.header_after_401(endpoint, first) == second
    assert await c.header(endpoint) == second
    assert endpoint.asked == 2


async def test_a_token_of_other_credentials_is_not_used(nodes, time):
    endpoint = TokenEndpoint()
    a, *_, memory = nodes
    other = Authorization(msgspec.structs.replace(SETTINGS, client_id="other"), time, {})
    other.share(memory, lambda: 1.7e9 + time.now)
    assert await a.header(endpoint) == "Bearer t1"
    assert await other.header(endpoint) == "Bearer t2"


async def test_a_store_that_fails_keeps_no_node_from_its_token(nodes):
    endpoint = TokenEndpoint()
    a, b, _, memory = nodes
    memory.fails = True
    assert await a.header(endpoint) == "Bearer t1"
    assert await b.header(endpoint) == "Bearer t2"
    memory.notes["token"] = b"not a note"
    assert await b.header_after_401(endpoint, "Bearer t2") == "Bearer t3"
