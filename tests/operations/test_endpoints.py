"""Operations on endpoints, asked in the same words as through a socket."""

import pytest

from bridge.control.client import DirectClient
from bridge.errors import DirectoryError, NotFound, NotRunning
from bridge.operations.types.endpoints import (
    AddEndpoints,
    DisableEndpoint,
    EnableEndpoint,
    EndpointPage,
    ExplainEndpoint,
    ImportEndpoints,
    ListEndpoints,
    NewEndpoint,
    ProvisionEndpoint,
    RemoveEndpoint,
    ShowEndpoint,
    UpdateEndpoint,
)


async def add(client: DirectClient, *names: str, network: str = "nidd") -> None:
    wanted = tuple(NewEndpoint(network=network, address=f"{name}@iot.example", name=name) for name in names)
    await client.ask(AddEndpoints(wanted))


def names(page: EndpointPage) -> list[str]:
    return [one.name for one in page.items]


async def test_endpoints_are_listed_page_by_page(client: DirectClient) -> None:
    await add(client, "e1", "e2", "e3")
    first = await client.ask(ListEndpoints(limit=2))
    assert names(first) == ["e1", "e2"]
    assert first.next is not None
    last = await client.ask(ListEndpoints(limit=2, after=first.next))
    assert (names(last), last.next) == (["e3"], None)


async def test_a_page_that_is_just_full_is_the_last(client: DirectClient) -> None:
    await add(client, "e1", "e2")
    assert (await client.ask(ListEndpoints(limit=2))).next is None


async def test_a_list_may_be_filtered(client: DirectClient) -> None:
    await add(client, "a1", "a2")
    await add(client, "b1", network="second")
    await client.ask(UpdateEndpoint(endpoint="a2", servers=("other",)))
    await client.ask(DisableEndpoint("a1"))
    assert names(await client.ask(ListEndpoints(network="second"))) == ["b1"]
    assert names(await client.ask(ListEndpoints(server="other"))) == ["a2"]
    assert names(await client.ask(ListEndpoints(prefix="a"))) == ["a1", "a2"]
    assert names(await client.ask(ListEndpoints(enabled=False))) == ["a1"]


async def test_an_endpoint_is_added_with_what_the_configuration_says_of_the_rest(client: DirectClient) -> None:
    wanted = NewEndpoint(network="nidd", address="METER-1@iot.example", options={"max_packet_size": "100"})
    (made,) = (await client.ask(AddEndpoints((wanted,)))).items
    assert (made.name, made.address) == ("urn:METER-1@iot.example", "METER-1@iot.example")
    assert (made.servers, made.options, made.enabled) == (("lab",), {"max_packet_size": "100"}, True)
    assert await client.ask(ShowEndpoint(made.name)) == made


async def test_of_several_endpoints_all_are_added_or_none(client: DirectClient) -> None:
    good = NewEndpoint(network="nidd", address="good@iot.example", name="good")
    wrong = NewEndpoint(network="nowhere", address="x@iot.example", name="wrong")
    with pytest.raises(DirectoryError, match="network 'nowhere' is not configured"):
        await client.ask(AddEndpoints((good, wrong)))
    assert names(await client.ask(ListEndpoints())) == []


async def test_a_change_keeps_what_it_does_not_name(client: DirectClient) -> None:
    await add(client, "e1")
    await client.ask(UpdateEndpoint(endpoint="e1", default_ttl=60.0, options={"max_packet_size": "100"}))
    await client.ask(UpdateEndpoint(endpoint="e1", options={"pdn_establishment_option": "WAIT_FOR_UE"}))
    changed = await client.ask(UpdateEndpoint(endpoint="e1", name="e2", address="e2@iot.example"))
    assert (changed.name, changed.address, changed.default_ttl) == ("e2", "e2@iot.example", 60.0)
    assert changed.options == {"max_packet_size": "100", "pdn_establishment_option": "WAIT_FOR_UE"}
    less = await client.ask(UpdateEndpoint(endpoint="e2", default_ttl=None, options={"max_packet_size": None}))
    assert (less.default_ttl, less.options) == (None, {"pdn_establishment_option": "WAIT_FOR_UE"})


async def test_an_endpoint_is_disabled_and_enabled(client: DirectClient) -> None:
    await add(client, "e1")
    assert not (await client.ask(DisableEndpoint("e1"))).enabled
    assert (await client.ask(EnableEndpoint("e1"))).enabled


@pytest.mark.parametrize(
    "asked",
    [
        ShowEndpoint("nobody"),
        ExplainEndpoint("nobody"),
        UpdateEndpoint(endpoint="nobody", confirmed=True),
        EnableEndpoint("nobody"),
        DisableEndpoint("nobody"),
        ProvisionEndpoint("nobody"),
    ],
)
async def test_an_endpoint_that_is_not_there_is_not_found(client: DirectClient, asked: ShowEndpoint) -> None:
    with pytest.raises(NotFound, match="no endpoint 'nobody'"):
        await client.ask(asked)


@pytest.mark.parametrize("asked", [ExplainEndpoint("e1"), ProvisionEndpoint("e1"), RemoveEndpoint("e1")])
async def test_what_only_the_service_can_do_is_not_done_without_it(
    client: DirectClient, asked: ExplainEndpoint
) -> None:
    await add(client, "e1")
    with pytest.raises(NotRunning, match=r"start it: lwm2m-bridge run --config FILE"):
        await client.ask(asked)
    assert names(await client.ask(ListEndpoints())) == ["e1"]


async def test_an_import_names_each_line_that_is_wrong(client: DirectClient) -> None:
    csv = b"endpoint,network,address\ne1,nidd,e1@iot.example\ne2,nowhere,e2@iot.example\n\xff\xfe,nidd,x@y\n"
    done = await client.ask(ImportEndpoints(csv=csv))
    assert (done.added, [fault.line for fault in done.faults]) == (0, [3, 4])
    assert "is not UTF-8" in done.faults[1].reason
    assert (await client.ask(ImportEndpoints(csv=csv, partial=True))).added == 1
    assert names(await client.ask(ListEndpoints())) == ["e1"]


async def test_an_endpoint_cannot_have_two_servers_at_one_address(client: DirectClient) -> None:
    await add(client, "e1")
    await client.ask(UpdateEndpoint(endpoint="e1", servers=("twin",)))
    with pytest.raises(DirectoryError, match=r"servers 'lab' and 'twin' are both at 127\.0\.0\.1 port 10583"):
        await client.ask(UpdateEndpoint(endpoint="e1", servers=("lab", "twin")))
