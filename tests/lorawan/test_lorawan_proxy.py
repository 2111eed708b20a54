"""A proxy before ChirpStack that holds back streamed answers: no history is lost in silence, and doctor says why."""

import asyncio
import contextlib

import pytest
from emulated_chirpstack import DEVICE

from bindings.contract import UplinkMessage
from bindings.lorawan import catch_up
from tests.waiting import until


class Proxy:
    """Passes bytes on. While `holds` is set, the answers of streams are kept; they are dropped at the end."""

    def __init__(self, upstream):
        self._host, _, self._port = upstream.rpartition(":")
        self.holds = True

    async def __aenter__(self):
        self._tasks = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.address = f"{host}:{port}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        up_reader, up_writer = await asyncio.open_connection(self._host, self._port)
        streams = asyncio.Event()

        async def requests():
            while data := await reader.read(65536):
                if b"StreamDeviceEvents" in data:
                    streams.set()
                up_writer.write(data)

        async def answers():
            while data := await up_reader.read(65536):
                if not (streams.is_set() and self.holds):
                    writer.write(data)

        both = [asyncio.create_task(requests()), asyncio.create_task(answers())]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            pass  # the end of the test
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            for one in (writer, up_writer):
                one.close()
                with contextlib.suppress(ConnectionError):
                    await one.wait_closed()


@pytest.fixture
async def proxy(chirpstack):
    async with Proxy(chirpstack.server.grpc_address) as one:
        yield one


async def test_a_history_that_is_held_back_is_counted_and_read_again(make, chirpstack, side, proxy, monkeypatch):
    for name in ("FIRST_RETRY", "LONGEST_RETRY"):
        monkeypatch.setattr(catch_up, name, 0.05)
    first = await make()
    chirpstack.up(b"live", f_cnt=0)
    await until(lambda: side.of(UplinkMessage))
    await first.stop()
    chirpstack.activate(f_cnt_up=3)
    for f_cnt in (1, 2):
        chirpstack.up(b"missed %d" % f_cnt, f_cnt=f_cnt)
    second = await make(api_settings={"server": proxy.address, "timeout": 0.5})
    await until(lambda: side.counts["lorawan_catch_up_failures"])
    assert "FCnt 2" in second.status()["catch_up"]["last_error"]
    assert len(side.of(UplinkMessage)) == 1
    findings = [one for one in await second.check() if one.what == "event history"]
    assert [one.grade for one in findings] == ["bad"]
    assert "proxy" in findings[0].cure
    proxy.holds = False
    await until(lambda: len(side.of(UplinkMessage)) == 3)
    await until(lambda: "failed" not in second.status()["catch_up"])


async def test_an_answer_that_is_whole_leaves_the_doctor_content(make, chirpstack, proxy):
    proxy.holds = False
    binding = await make(api_settings={"server": proxy.address})
    chirpstack.activate(f_cnt_up=1)
    chirpstack.up(b"x", f_cnt=0)
    (finding,) = [one for one in await binding.check() if one.what == "event history"]
    assert (finding.grade, DEVICE in finding.detail) == ("good", True)
