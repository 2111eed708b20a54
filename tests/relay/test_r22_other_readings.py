"""R22: a message that means another endpoint in any server's reading of its path or query does not reach a server."""

import posixpath
from collections.abc import Callable
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given, strategies as st
from world import NIDD, World, register, registered, request, response

from bridge.coap.message import Message, encode_body, parse
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.udp import decode, frame
from bridge.relay.model import ServerProfile

Reading = Callable[[list[str], list[str]], tuple[tuple[str, ...], list[tuple[str, str]]]]
"""How a server reads the options of path and query: as the resource that is meant, and its parameters."""


def exactly(path: list[str], query: list[str]):
    return tuple(path), [tuple(one.partition("=")[::2]) for one in query]


def joined(path: list[str], query: list[str]):
    """Join all to a URI, and take that apart again."""
    uri = urlsplit("coap://host/" + "/".join(path) + "?" + "&".join(query))
    return tuple(uri.path[1:].split("/")), parse_qsl(uri.query, keep_blank_values=True)


def decoding(path: list[str], query: list[str]):
    return joined([unquote(one) for one in path], [unquote(unquote(one)) for one in query])


def normalising(path: list[str], query: list[str]):
    found, parameters = decoding(path, query)
    plain = posixpath.normpath("/" + "/".join(found).replace("\\", "/")).strip("/")
    segments = tuple(one.partition(";")[0] for one in plain.split("/"))
    return segments, [(key.strip().lower(), value) for key, value in parameters]


READINGS: list[Reading] = [exactly, joined, decoding, normalising]
OTHERS = (("rd", "l0"), ("tenant", "rd", "l0"))
"""Registrations of another endpoint, `n0`."""


def means_another(message: Message) -> bool:
    """Return whether a server behind any reading would do something to the endpoint `n0`."""
    path, query = message.strings(Opt.URI_PATH), message.strings(Opt.URI_QUERY)
    for read in READINGS:
        found, parameters = read(path, query)
        if ("ep", "n0") in parameters or (found in OTHERS and message.code in (Code.POST, Code.PUT, Code.DELETE)):
            return True
    return False


def message(code: int, path: list[bytes], query: list[bytes], mid: int = 7) -> bytes:
    options = [(int(Opt.URI_PATH), one) for one in path] + [(int(Opt.URI_QUERY), one) for one in query]
    return frame(0, code, mid, b"t", encode_body(options, b"</1/0>" if code == Code.POST else b""))


DELETES = [
    [b"rd", b"l0"],
    [b"rd/l0"],
    [b"", b"rd", b"l0"],
    [b"rd", b"", b"l0"],
    [b"rd", b".", b"l0"],
    [b"x", b"..", b"rd", b"l0"],
    [b"x", b"../rd/l0"],
    [b"rd%2fl0"],
    [b"rd", b"%6c0"],
    [b"%72d", b"l0"],
    [b"rd", b"%256c0"],
    [b"rd\\l0"],
    [b"rd", b"l0?x"],
    [b"rd", b"l0#x"],
    [b"rd;a=b", b"l0"],
    [b"rd", b"l0", b""],
    [b"rd", b"l0\0"],
    ["ｒｄ".encode(), b"l0"],
    [b"tenant", b"rd", b"l0"],
    [b"\xffrd", b"l0"],
]


@pytest.mark.parametrize("path", DELETES, ids=repr)
@pytest.mark.parametrize("code", [Code.DELETE, Code.POST, Code.PUT])
@pytest.mark.parametrize("profile", ["default", "transparent"])
def test_r22_no_path_leads_to_another_registration(path, code, profile):
    world = World(NIDD, ServerProfile(fit_register=profile == "default"))
    registered(world, location=b"mine")
    north = len(world.to_server)
    (refused,) = world.device_sends(message(code, path, []))
    assert decode(refused).code in (Code.BAD_REQUEST, Code.FORBIDDEN, Code.NOT_FOUND)
    assert len(world.to_server) == north
    assert [up["state"] for up in world.uplinks("request")][-1] == "REJECTED"
    assert world.counted("device_requests_refused") == 1


@pytest.mark.parametrize(
    "query",
    [
        [b"ep=n0"],
        [b"lt=3&ep=n0"],
        [b"lt=3;ep=n0"],
        [b"ep=urn:dev:1", b"ep=n0"],
        [b"ep=urn:dev:1&ep=n0"],
        [b"EP=n0"],
        [b" ep=n0"],
        [b"%65p=n0"],
        [b"e%70=n0"],
        [b"e%2570=n0"],
        [b"lt=3%26ep=n0"],
        [b"lt=3%2526ep=n0"],
        [b"lt=3+ep=n0"],
        [b"?ep=n0"],
        [b"ep=%6e0"],
        ["ｅｐ=n0".encode()],
        [b"%2525252525252565p=n0"],
    ],
    ids=repr,
)
@pytest.mark.parametrize("path", [[b"rd"], [b"rd", b"mine"], [b"bs"], [b"tenant", b"rd"]], ids=repr)
def test_r22_no_query_names_another_endpoint(path, query):
    world = World(NIDD)
    registered(world, location=b"mine")
    north = len(world.to_server)
    (refused,) = world.device_sends(message(Code.POST, path, query))
    assert decode(refused).code in (Code.BAD_REQUEST, Code.FORBIDDEN)
    assert len(world.to_server) == north


@pytest.mark.parametrize("code", [Code.GET, Code.POST, Code.DELETE])
@pytest.mark.parametrize("path", [[b"rd/l0"], [b"rd", b"..", b"l0"], [b"rd", b"%6c0"]], ids=repr)
def test_r22_a_path_that_servers_read_differently_is_refused_as_such(code, path):
    world = World(NIDD)
    (refused,) = world.device_sends(message(code, path, []))
    assert decode(refused).code == Code.BAD_REQUEST


def test_r22_a_zero_byte_in_a_query_is_no_encoding():
    world = World(NIDD)
    world.device_sends(message(Code.GET, [b"x"], [b"\0"]))
    assert world.last_north().options == decode(message(Code.GET, [b"x"], [b"\0"])).options


@pytest.mark.parametrize("option", [(int(Opt.PROXY_URI), b"coap://other/rd/l0"), (int(Opt.PROXY_SCHEME), b"coap")])
def test_r22_no_server_is_asked_to_be_a_proxy(option):
    world = World(NIDD)
    (refused,) = world.device_sends(request(2, "dp", 5, b"s", b"[]", [option]))
    assert decode(refused).code == Code.PROXYING_NOT_SUPPORTED
    assert world.to_server == []


@pytest.mark.parametrize(
    ("code", "path", "query"),
    [
        (Code.POST, [b"rd"], [b"ep=urn:dev:1", b"lt=300"]),
        (Code.POST, [b"rd", b""], [b"ep=urn:dev:1"]),
        (Code.POST, [b"tenant", b"rd"], [b"ep=urn:dev:1"]),
        (Code.POST, [b"rd", b"mine"], [b"lt=300&b=U"]),
        (Code.POST, [b"dp"], []),
        (Code.POST, [b"bs"], [b"ep=urn:dev:1"]),
        (Code.GET, [b"bspack"], [b"ep=urn:dev:1"]),
        (Code.GET, [b"fw", b"image 1.bin"], []),
    ],
)
def test_r22_what_a_device_may_say_passes(code, path, query):
    world = World(NIDD, ServerProfile(fit_register=False))
    registered(world, location=b"mine")
    world.device_sends(message(code, path, query))
    assert world.last_north().options == decode(message(code, path, query)).options


def test_r22_a_registration_of_its_own_may_have_any_path():
    """The server chose it, so the server reads it."""
    world = World(NIDD)
    location = [b"a/b", b"%20;x"]
    world.device_sends(register())
    created = response(world.last_north(), 65, b"", [(int(Opt.LOCATION_PATH), one) for one in location])
    world.server_sends(created)
    world.device_sends(message(Code.POST, location, []))
    assert [value for number, value in world.last_north().options if number == Opt.URI_PATH] == location


SEGMENTS = st.lists(
    st.sampled_from([b"rd", b"l0", b"rd/l0", b"/", b"", b".", b"..", b"%2f", b"%72d", b"x", b"?", b";"])
)
QUERIES = st.lists(
    st.sampled_from([b"lt=3", b"&", b"ep=n0", b"ep=urn:dev:1", b"%65", b"p=n0", b"e", b"%26", b"+", b"="])
)


@given(SEGMENTS, st.lists(QUERIES.map(b"".join), max_size=3), st.sampled_from([1, 2, 3, 4]))
def test_r22_whatever_a_device_says_no_server_takes_it_for_another(path, query, code):
    world = World(NIDD)
    registered(world, location=b"mine")
    before = len(world.to_server)
    world.device_sends(message(code, path, query))
    for data in world.to_server[before:]:
        assert not means_another(decode(data)), (path, query)


def test_r22_the_readings_do_differ():
    """The test's own servers read what the bridge refuses as another registration."""
    bad = [parse(Code.DELETE, decode(message(Code.DELETE, path, [])).body) for path in DELETES[1:6]]
    assert all(means_another(one) for one in bad)
