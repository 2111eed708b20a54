"""The runner over a store in memory: load, step, commit, then act; nothing is lost, done twice or done on old rows."""

import asyncio
from dataclasses import replace

import pytest

from bindings.contract import Accepted, NetworkState, SouthProfile
from bridge.coap.message import Type, encode_body
from bridge.coap.numbers import Code, OptionNumber
from bridge.coap.udp import frame
from bridge.delivery.states import DownlinkState
from bridge.errors import StoreUnavailable
from bridge.relay import events as ev
from bridge.relay.effects import Count, SendToServer, Submit
from bridge.relay.model import Server, ServerProfile
from bridge.service.placed import Placed
from tests.service.runner_bench import ENDPOINT, Bench, read_request
from tests.service.scripted_binding import PROFILE


async def accept_and_submit(bench: Bench, mid: int = 7) -> Submit:
    await bench.take(read_request(mid))
    submit = bench.actor.of(Submit)[-1]
    bench.actor.calls[1] = submit.attempt.downlink
    assert isinstance(submit, Submit)
    return submit


async def answered(bench: Bench, submit: Submit, state: NetworkState, handle: str | None = "h") -> None:
    await bench.call_ends(ev.Submitted(submit.attempt.downlink, submit.attempt.number, Accepted(handle, state)))


async def test_r32_a_start_takes_up_what_waits_long_in_the_network(bench: Bench) -> None:
    await answered(bench, await accept_and_submit(bench), NetworkState.BUFFERED)
    bench.runner.stop()
    bench.restart()
    await bench.runner.take_up(1)
    assert len(bench.actor.of(SendToServer)) == 1  # the Empty ACK
    await bench.take(read_request(8))
    assert [row.state for row in await bench.rows()] == [DownlinkState.BUFFERED, DownlinkState.QUEUED]


async def test_an_event_at_an_endpoint_that_only_waits_sees_the_event_before_it(bench: Bench) -> None:
    await answered(bench, await accept_and_submit(bench), NetworkState.BUFFERED)
    bench.runner.stop()
    bench.restart()
    bench.store.faults.commits_wait = True
    await bench.event(read_request(8))
    await bench.event(read_request(8))  # its retransmission, before the first one is on the disk
    await bench.go()
    assert [row.north_mid for row in await bench.rows()] == [7, 8]


async def test_dropped_memory_is_read_anew_only_when_its_commits_are_told(bench: Bench) -> None:
    bench.store.faults.commits_wait = True
    await bench.event(read_request(7))
    bench.runner.forget(1)
    told: list[BaseException | None] = []
    bench.runner.event(1, read_request(7), told.append)
    assert told == []
    await bench.go()
    await bench.loaded()
    await bench.go()
    assert told == [None]
    assert len(await bench.rows()) == 1


async def test_r25_an_endpoint_stays_in_memory_while_a_servers_transfer_has_its_time(bench: Bench) -> None:
    server = Server("srv", ServerProfile(transfer=120.0))
    bench.placed = Placed(replace(ENDPOINT, servers=(server,)), 1, lambda _device: PROFILE, bench.calls)
    bench.runner.policy = replace(bench.runner.policy, piggyback_window=0.0)
    body = encode_body([(OptionNumber.URI_PATH, b"5"), (OptionNumber.BLOCK1, b"\x0a")], bytes(64))
    await bench.take(ev.ServerDatagram("srv", frame(Type.CON, Code.PUT, 7, b"7", body)))
    submit = bench.actor.of(Submit)[-1]
    await answered(bench, submit, NetworkState.SENT)
    await bench.take(ev.Tick())
    assert bench.actor.of(SendToServer)  # the Empty ACK: nothing but a time far off is waited for
    assert bench.runner.loaded[1].state.transfers


async def test_after_a_failed_commit_the_waiting_events_run_on_what_is_stored(bench: Bench) -> None:
    bench.store.faults.commits_wait = True
    told: list[BaseException | None] = []
    await bench.event(read_request(7), told.append)
    await bench.event(read_request(8), told.append)
    await bench.fail()
    assert [type(error) for error in told] == [StoreUnavailable, StoreUnavailable]
    assert not bench.actor.of(Submit)
    assert not bench.actor.of(SendToServer)
    await bench.event(read_request(8))
    await bench.go()
    assert [row.north_mid for row in await bench.rows()] == [8]
    assert Count("failed_commits") in bench.actor.effects


async def test_r7_memory_dropped_during_a_network_call_does_not_leave_the_call_open(bench: Bench) -> None:
    submit = await accept_and_submit(bench)
    placed, bench.placed = bench.placed, None
    bench.runner.forget(1)
    await answered(bench, submit, NetworkState.SENT)
    bench.placed = placed
    await bench.take(ev.Tick())
    (row,) = await bench.rows()
    assert row.state is DownlinkState.UNKNOWN  # and looked up, instead of SUBMITTING forever


async def test_a_step_that_raises_leaves_the_endpoint_as_it_was_stored(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await accept_and_submit(bench)
    working = bench.placed
    assert working is not None

    def wrong(_device: str) -> SouthProfile:
        raise ValueError("a binding's mistake")

    bench.runner.refresh(1, replace(working, south_profile=wrong))
    told: list[BaseException | None] = []
    await bench.event(read_request(8), told.append)
    assert [type(error) for error in told] == [StoreUnavailable]
    assert "an event could not be processed" in caplog.text
    assert Count("failed_steps", "ServerDatagram") in bench.actor.effects
    await bench.take(read_request(9))
    assert [row.north_mid for row in await bench.rows()] == [7, 9]


async def test_a_disabled_endpoint_takes_nothing_and_its_messages_get_their_outcome(bench: Bench) -> None:
    await accept_and_submit(bench)
    working = bench.placed
    assert working is not None
    bench.runner.refresh(1, replace(working, takes=False))
    await bench.take(ev.EndpointRemoved("the endpoint was disabled"))
    await bench.take(read_request(8))
    (row,) = await bench.rows()
    assert (row.state, row.over, row.reason) == (DownlinkState.UNKNOWN, True, "the endpoint was disabled")
    assert Count("messages_of_disabled_endpoints") in bench.actor.effects


async def test_an_endpoint_with_another_device_submits_to_that_one(bench: Bench) -> None:
    submit = await accept_and_submit(bench)
    working = bench.placed
    assert working is not None
    await answered(bench, submit, NetworkState.BUFFERED)
    bench.placed = replace(working, endpoint=replace(ENDPOINT, device="other@example.com", options={"port": "2"}))
    bench.runner.refresh(1, bench.placed)
    await bench.take(ev.NetworkFlushed("the endpoint has another device now"))
    attempt = bench.actor.of(Submit)[-1].attempt
    assert (attempt.device, attempt.options, attempt.number) == ("other@example.com", {"port": "2"}, 2)


async def test_r32_a_stop_takes_nothing_new_but_the_results_of_calls(bench: Bench) -> None:
    submit = await accept_and_submit(bench)
    bench.runner.stop()
    told: list[BaseException | None] = []
    await bench.event(read_request(8), told.append)
    assert [type(error) for error in told] == [StoreUnavailable]
    await answered(bench, submit, NetworkState.BUFFERED)
    assert [(row.north_mid, row.state) for row in await bench.rows()] == [(7, DownlinkState.BUFFERED)]


async def test_every_event_of_a_burst_is_told(bench: Bench) -> None:
    told: list[BaseException | None] = []
    for mid in range(1, 21):
        await bench.event(read_request(mid), told.append)
    await bench.go()
    await asyncio.sleep(0)
    assert told == [None] * 20
    assert len(await bench.rows()) == 20


async def test_r04_a_refused_request_stays_refused_while_its_endpoint_only_waits(bench: Bench) -> None:
    await answered(bench, await accept_and_submit(bench), NetworkState.BUFFERED)
    working = bench.placed
    assert working is not None
    bench.placed = replace(working, south_profile=lambda _device: replace(PROFILE, max_downlink=1))
    bench.runner.refresh(1, bench.placed)
    await bench.take(read_request(8))
    bench.placed = working  # there is room now
    bench.runner.refresh(1, working)
    await bench.take(read_request(8))
    first, again = bench.actor.of(SendToServer)[-2:]
    assert first == again
    assert [row.north_mid for row in await bench.rows()] == [7]
