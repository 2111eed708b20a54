"""What one can ask of a running service: operations, in the same words as through its socket."""

from dataclasses import replace

import pytest

from bindings.contract import Accepted, NetworkState, Refusal, Refused
from bridge.coap.message import Type
from bridge.coap.numbers import Code
from bridge.coap.udp import frame
from bridge.control.client import DirectClient
from bridge.delivery.states import DownlinkState
from bridge.errors import BindingError, NotFound
from bridge.north.contract import LinkState
from bridge.operations.types.endpoints import (
    AddEndpoints,
    DisableEndpoint,
    ExplainEndpoint,
    NewEndpoint,
    ProvisionEndpoint,
    RemoveEndpoint,
)
from bridge.operations.types.messages import (
    CancelDownlink,
    CountMessages,
    DownlinkView,
    ListDownlinks,
    ListUplinks,
)
from bridge.operations.types.request import Access
from bridge.operations.types.state import GetMetrics, GetReadiness, GetStatus, Phase, Readiness
from bridge.operations.types.stories import GetDownlinkPayload, GetUplinkPayload, Moment, ShowDownlink, ShowUplink
from tests.service.kit import Kit
from tests.waiting import until


async def waiting(kit: Kit, client: DirectClient, state: DownlinkState) -> list[DownlinkView]:
    """Return the downlinks in a state, once there are some."""

    async def found() -> tuple[DownlinkView, ...]:
        return (await client.ask(ListDownlinks(endpoint="e1", state=state))).items

    return list(await until(found))


async def test_it_says_how_it_is(kit: Kit) -> None:
    async with kit.running() as service:
        client = DirectClient(service)
        assert await client.ask(GetReadiness()) == Readiness(ready=True, phase=Phase.RUNNING)
        status = await client.ask(GetStatus())
        assert (status.phase, status.ready, status.endpoints, status.scheme) == (Phase.RUNNING, True, 1, "prefix")
        assert status.servers == {"lab": f"127.0.0.1:{kit.server.getsockname()[1]}"}
        calls = {"under_way": 0, "at_most": 32, "waiting": 0, "paused_for": None, "limits": None}
        assert status.networks == {"net": {"attempts": 0, "calls": calls}}
        assert "lwm2m_bridge_north" in (await client.ask(GetMetrics())).text


async def test_it_says_of_each_message_why_it_is_not_out_yet(kit: Kit) -> None:
    async with kit.running() as service:
        client = DirectClient(service)
        kit.ask(1)
        (held,) = await waiting(kit, client, DownlinkState.BUFFERED)
        kit.ask(2)
        (queued,) = await waiting(kit, client, DownlinkState.QUEUED)
        explained = await client.ask(ExplainEndpoint("e1"))
        assert explained.endpoint.seen_as == (f"127.64.0.1:{kit.address[1]}",)
        first, second = explained.waiting
        assert (first.downlink, first.state) == (held.id, DownlinkState.BUFFERED)
        assert (second.downlink, second.blocked_by) == (queued.id, held.id)
        assert "one request at a time" in second.why


async def test_messages_are_listed_newest_first_page_by_page(kit: Kit) -> None:
    async with kit.running() as service:
        client = DirectClient(service)
        for mid in (1, 2, 3):
            kit.ask(mid)
        await until(lambda: _rows(kit, 3))
        page = await client.ask(ListDownlinks(endpoint="e1", limit=2))
        rest = await client.ask(ListDownlinks(endpoint="e1", limit=2, after=page.next or ""))
        ids = [one.id for one in (*page.items, *rest.items)]
        assert ids == sorted(ids, reverse=True)
        assert (len(page.items), len(rest.items), rest.next) == (2, 1, None)
        assert {one.endpoint for one in page.items} == {"e1"}
        assert (await client.ask(ShowDownlink(ids[0]))).id == page.items[0].id
        with pytest.raises(NotFound, match=f"no uplink {ids[0]}: it is a downlink"):
            await client.ask(ShowUplink(ids[0]))
        counts = await client.ask(CountMessages(endpoint="e1"))
        assert sum(one.messages for one in counts.downlinks) == 3


async def test_an_address_of_other_settings_is_no_open_link(kit: Kit) -> None:
    async with kit.running() as service:
        record = await service.directory.by_name("e1")
        assert record is not None
        assert [link.state for link in service.links(record).values()] == [LinkState.OPEN]
        (link,) = service.links(replace(record, locals=("127.64.0.1:1",))).values()
        assert link.state is LinkState.CLOSED
        assert "nodes need the [north] under which it got one" in link.reason


async def _rows(kit: Kit, number: int) -> bool:
    return len(await kit.rows()) == number


async def test_messages_from_devices_are_listed_and_shown(kit: Kit) -> None:
    async with kit.running() as service:
        client = DirectClient(service)
        await kit.network.uplink("d1", b"\x50\x02\x00\x07\xb2dp\xff[]")  # NON POST /dp: a Send
        (uplink,) = (await client.ask(ListUplinks(endpoint="e1"))).items
        assert (uplink.operation, uplink.code, uplink.target) == ("Send", "POST", "/dp")
        assert (await client.ask(ShowUplink(uplink.id))).id == uplink.id
        with pytest.raises(NotFound, match=f"no downlink {uplink.id}: it is an uplink"):
            await client.ask(ShowDownlink(uplink.id))
        content = await client.ask(GetUplinkPayload(uplink.id))
        assert (content.code, content.payload, content.text) == ("POST", b"[]", "[]")
        assert [(one.name, one.value) for one in content.options] == [("Uri-Path", "dp")]
        assert uplink.bytes > 0


async def test_a_message_that_is_not_there_is_not_found(kit: Kit) -> None:
    async with kit.running() as service:
        client = DirectClient(service)
        for asked in (ShowDownlink(99), CancelDownlink(99)):
            with pytest.raises(NotFound, match="no downlink 99"):
                await client.ask(asked)
        with pytest.raises(NotFound, match="no uplink 99"):
            await client.ask(ShowUplink(99))
        with pytest.raises(NotFound, match="no endpoint 'nobody'"):
            await client.ask(ListDownlinks(endpoint="nobody"))


async def test_a_cancelled_message_is_shown_as_far_as_that_came(kit: Kit) -> None:
    async with kit.running() as service:
        client = DirectClient(service)
        kit.ask(1)
        (held,) = await waiting(kit, client, DownlinkState.BUFFERED)
        assert (await client.ask(CancelDownlink(held.id))).cancel_asked
        (ended,) = await waiting(kit, client, DownlinkState.CANCELLED)
        assert (ended.id, ended.over) == (held.id, True)


async def test_a_network_is_asked_again_and_its_reason_is_passed_on(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    async with kit.running() as service:
        client = DirectClient(service)
        await until(lambda: kit.network.provisioned == ["d1"])
        await client.ask(ProvisionEndpoint("e1"))
        assert kit.network.provisioned == ["d1", "d1"]

        async def refuse(_device: str, _options: object) -> None:
            raise BindingError("the network does not know d1")

        monkeypatch.setattr(kit.network, "provision", refuse)
        with pytest.raises(BindingError, match="does not know d1"):
            await client.ask(ProvisionEndpoint("e1"))


async def test_endpoints_come_and_go_while_it_runs(kit: Kit) -> None:
    async with kit.running() as service:
        client = DirectClient(service)
        await client.ask(AddEndpoints((NewEndpoint(network="net", address="D2", name="e2"),)))
        await until(lambda: set(kit.network.provisioned) == {"d1", "d2"})
        kit.ask(1)
        (held,) = await waiting(kit, client, DownlinkState.BUFFERED)
        await client.ask(DisableEndpoint("e1"))
        assert (await client.ask(RemoveEndpoint("e1"))).name == "e1"
        gone = await client.ask(ShowDownlink(held.id))
        assert (gone.endpoint, gone.over) == ("", True)
        with pytest.raises(NotFound):
            await client.ask(RemoveEndpoint("e1"))


async def test_the_story_of_a_message_says_what_the_network_said_and_what_the_device_answered(kit: Kit) -> None:
    async with kit.running() as service:
        client = DirectClient(service)
        pause = Refused(Refusal.RATE_LIMITED, "the SCEF asks for a pause", service.now() + 0.01)
        kit.network.answer = lambda one: pause if one.number == 1 else Accepted("h2", NetworkState.SENT)
        kit.ask(1)
        await waiting(kit, client, DownlinkState.SENT)
        row = (await kit.rows())[0]
        answer = frame(Type.ACK, Code.CONTENT, row.south_mid, row.south_token, b"\xff\x05")
        await kit.network.uplink("d1", answer)
        (done,) = await waiting(kit, client, DownlinkState.RESPONDED)
        assert (done.operation, done.target, done.response, done.verdict) == ("Read", "/3", "2.05", None)
        story = await client.ask(ShowDownlink(done.id))
        refused, delivered = story.made
        assert (refused.known, refused.refusal, refused.detail) == (
            "refused",
            "rate limited",
            "the SCEF asks for a pause",
        )
        assert (delivered.known, delivered.handle) == ("delivered", "h2")
        (response,) = story.answers
        assert (response.code, response.downlink) == ("2.05", done.id)
        assert [one.at for one in story.moments] == sorted(one.at for one in story.moments)
        assert story.moments[0] == Moment(at=story.accepted_at, what="accepted from lab")
        assert "attempt 1: the network refused it: the SCEF asks for a pause" in [one.what for one in story.moments]
        assert any(one.what.startswith("outcome RESPONDED") for one in story.moments)


async def test_the_content_of_a_message_is_an_operation_of_its_own_that_needs_more_than_to_read(kit: Kit) -> None:
    assert GetDownlinkPayload.ACCESS is Access.OPERATE
    async with kit.running() as service:
        client = DirectClient(service)
        kit.ask(1)
        (held,) = await waiting(kit, client, DownlinkState.BUFFERED)
        content = await client.ask(GetDownlinkPayload(held.id))
        assert (content.code, content.payload, [(one.name, one.value) for one in content.options]) == (
            "GET",
            b"",
            [("Uri-Path", "3")],
        )
