"""Several apiRoots of one SCEF: the first that works is asked, and what may have been taken is asked of no other."""

import socket

import pytest

from bindings.contract import Accepted, Ambiguous, Kind, Refusal, Submission
from bindings.nidd import NiddBinding, NiddSettings
from bindings.t8.roots import ApiRoots
from bindings.t8.settings import Callbacks, Credentials, Http
from bridge.errors import ConfigurationError
from tests.bindings.bridge_side import BridgeSide, DictMemory
from tests.nidd.scripted_scef import HANG_UP, ScriptedScef
from tests.waiting import until

DEVICE = "dev1@iot.example"
ATTEMPT = Submission(1, 1, DEVICE, b"x", Kind.REQUEST)
URLS = ("https://a.example", "https://b.example/x", "https://c.example")


def urls(roots, now):
    return [root.url for root in roots.in_order(now)]


def test_the_first_is_preferred():
    assert urls(ApiRoots(URLS), 0) == list(URLS)


def test_one_that_failed_comes_last_until_its_pause_is_over():
    roots = ApiRoots(URLS)
    a, b, _ = roots.in_order(0)
    roots.failed(a, 0)
    assert urls(roots, 1) == [URLS[1], URLS[2], URLS[0]]
    roots.failed(b, 1)
    assert urls(roots, 2) == [URLS[2], URLS[0], URLS[1]]
    assert urls(roots, 100) == list(URLS)
    assert roots.status(2) == {URLS[0]: "down", URLS[1]: "down", URLS[2]: "up"}
    roots.worked(a)
    assert urls(roots, 2)[:2] == [URLS[0], URLS[2]]


def test_pauses_grow():
    roots = ApiRoots(URLS)
    a = roots.first
    pauses = []
    for _ in range(10):
        roots.failed(a, 0)
        pauses.append(a.down_until)
    assert pauses[:4] == [5, 10, 20, 40]
    assert pauses[-1] == 300


def test_one_unusable_answer_is_chance_three_are_none():
    roots = ApiRoots(URLS)
    a = roots.first
    roots.doubted(a, 0)
    roots.doubted(a, 0)
    assert urls(roots, 0)[0] == URLS[0]
    roots.worked(a)
    for _ in range(3):
        roots.doubted(a, 0)
    assert urls(roots, 0)[0] == URLS[1]


@pytest.mark.parametrize("url", ["scef.example", "https://x/3gpp-nidd/v1", "https://u:p@x", "https://x?y", ""])
def test_each_is_checked(url):
    with pytest.raises(ConfigurationError, match="api_root"):
        ApiRoots((URLS[0], url))


@pytest.fixture
async def two():
    """Two ways to one SCEF, and a binding with both and a token."""
    async with ScriptedScef() as first, ScriptedScef() as second:
        second.configurations = first.configurations
        settings = NiddSettings(
            api_root=first.root,
            other_api_roots=(second.root,),
            scs_as_id="as1",
            credentials=Credentials(kind="bearer", token="t"),
            http=Http(connect_timeout=1.0, request_timeout=2.0, keepalive=0.0),
            callbacks=Callbacks(port=0),
        )
        binding = NiddBinding("n", settings)
        await binding.start(BridgeSide(), DictMemory())
        await binding.provision(DEVICE, {})
        await until(lambda: binding.status()["configurations"]["active"] == 1)
        yield first, second, binding
        await binding.stop()


async def test_what_was_not_sent_goes_to_the_next(two):
    first, second, binding = two
    await first._runner.cleanup()
    assert isinstance(await binding.submit(ATTEMPT), Accepted)
    assert second.made("submit")[0][1]["Authorization"] == "Bearer t"
    assert binding.status()["client"]["roots"][first.root] == "down"


async def test_what_may_have_been_taken_goes_to_no_other(two):
    first, second, binding = two
    first.script["submit"].append(HANG_UP)
    assert isinstance(await binding.submit(ATTEMPT), Ambiguous)
    assert not second.made("submit")


async def test_a_gateway_that_is_broken_is_left_after_three_answers(two):
    first, second, binding = two
    first.script["submit"].extend([(502, "<html>")] * 5)
    for _ in range(3):
        assert isinstance(await binding.submit(ATTEMPT), Ambiguous)
    assert isinstance(await binding.submit(ATTEMPT), Accepted)
    assert len(second.made("submit")) == 1


async def test_an_error_of_the_scef_is_the_same_by_every_way(two):
    first, second, binding = two
    first.script["submit"].extend([(503, {"title": "busy"})] * 5)
    for _ in range(5):
        assert (await binding.submit(ATTEMPT)).why is Refusal.NETWORK_UNAVAILABLE
    assert not second.made("submit")


async def test_where_none_can_be_reached_it_is_certain(two):
    first, second, binding = two
    await first._runner.cleanup()
    await second._runner.cleanup()
    assert (await binding.submit(ATTEMPT)).why is Refusal.NETWORK_UNAVAILABLE


async def test_the_first_is_asked_again_when_it_is_back(two):
    first, second, binding = two
    port = first.port
    await first._runner.cleanup()
    await binding.submit(ATTEMPT)
    binding._client._roots.first.down_until = 0.0
    with socket.create_server(("127.0.0.1", port)) as back:
        back.settimeout(2)
        await binding.submit(ATTEMPT)
        connection, _ = back.accept()
        connection.close()
    assert len(second.made("submit")) == 1
