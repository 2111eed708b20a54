"""What all control APIs share: a wrong call is answered with the reason, and faults are armed alike."""

import random
import socket

import aiohttp
import pytest
from aiohttp import web
from click.testing import CliRunner

from mock_network.clock.command import clock
from mock_network.control_api import Problem, body_of, errors_as_json, fault_routes, listening
from mock_network.faults import Faults
from mock_network.lwm2m_server.command import server


@pytest.fixture
def faults():
    return Faults(random.Random(1), {"loss": "a frame is lost"})


@pytest.fixture
async def ask(faults):
    """Return a function that calls an API with a few routes; it gives status and JSON."""
    errors = {
        "problem": Problem(418, "short"),
        "key": KeyError("x"),
        "value": ValueError("bad"),
        "taken": OSError("no"),
    }

    async def fail(request):
        raise errors[request.match_info["kind"]]

    async def echo(request):
        return web.json_response(await body_of(request))

    app = web.Application(middlewares=[errors_as_json])
    app.add_routes([web.get("/fail/{kind}", fail), web.post("/echo", echo), *fault_routes(lambda: faults)])
    async with listening(app, ("127.0.0.1", 0)) as bound, aiohttp.ClientSession(f"http://{bound}") as session:

        async def call(method, path, data=None):
            async with session.request(method, path, data=data) as response:
                text = await response.text()
                return response.status, await response.json() if text else None

        yield call


@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [("problem", 418, "short"), ("key", 404, "not found: 'x'"), ("value", 400, "bad"), ("taken", 409, "no")],
)
async def test_what_is_wrong_is_answered_with_a_status_and_words(ask, kind, status, text):
    assert await ask("GET", f"/fail/{kind}") == (status, {"error": text})


@pytest.mark.parametrize(
    ("data", "status"), [(b"", 200), (b'{"a": 1}', 200), (b"[", 400), (b"[]", 400), (b"\xff", 400)]
)
async def test_a_body_is_a_json_object_or_nothing(ask, data, status):
    assert (await ask("POST", "/echo", data))[0] == status


async def test_faults_are_armed_listed_and_disarmed(ask, faults):
    assert await ask("POST", "/faults", b'{"kind": "loss", "count": 2}') == (201, {"id": 1})
    assert (await ask("POST", "/faults", b'{"kind": "loss"}'))[1] == {"id": 2}
    assert faults.draw("loss")
    _, listed = await ask("GET", "/faults")
    assert ([one["id"] for one in listed["armed"]], listed["happened"]) == ([1, 2], {"loss": 1})
    assert listed["known"] == {"loss": "a frame is lost"}
    assert (await ask("DELETE", "/faults/1"))[0] == 204
    assert await ask("DELETE", "/faults/1") == (404, {"error": "no such fault"})
    assert (await ask("DELETE", "/faults"))[0] == 204
    assert faults.draw("loss") is None
    status, answer = await ask("POST", "/faults", b'{"kind": "no such"}')
    assert (status, answer["error"]) == (400, "unknown fault 'no such'; known are loss")


async def test_json_ends_with_a_newline_for_those_who_read_it_in_a_terminal(faults):
    async def echo(request):
        return web.json_response(await body_of(request))

    app = web.Application(middlewares=[errors_as_json])
    app.add_routes([web.post("/echo", echo)])
    async with listening(app, ("127.0.0.1", 0)) as bound, aiohttp.ClientSession(f"http://{bound}") as session:
        for data, text in (('{"a": 1}', '{"a": 1}\n'), ("x", '"}\n')):
            async with session.post("/echo", data=data) as response:
                assert (await response.text()).endswith(text)


@pytest.mark.parametrize(("command", "kind"), [(clock, socket.SOCK_STREAM), (server, socket.SOCK_DGRAM)])
def test_an_address_that_is_taken_is_named_with_the_cure(command, kind):
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            other.listen()
        port = other.getsockname()[1]
        done = CliRunner().invoke(command, ["--listen", f"127.0.0.1:{port}"])
    assert done.exit_code == 1
    assert str(port) in done.output.splitlines()[-1]
    assert "end the program that uses it" in done.output
