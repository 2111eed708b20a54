"""A running bridge keeps what it learned of a network's limits over a restart, and forgets it on request (LPW-6)."""

from bindings.contract import Accepted, LimitOf, NetworkState, Refusal, Refused
from bridge.control.client import DirectClient
from bridge.operations.types.networks import ForgetLimits, ListNetworks
from tests.service.kit import Kit
from tests.waiting import until


async def limits(client: DirectClient) -> str | None:
    (one,) = (await client.ask(ListNetworks())).items
    found: str | None = one.status["calls"]["limits"]
    return found


async def test_a_learned_limit_holds_after_a_restart_until_somebody_forgets_it(kit: Kit) -> None:
    kit.have_endpoints(2)
    async with kit.running() as service:
        kit.network.answer = lambda _attempt: Refused(
            Refusal.RATE_LIMITED, "429", service.now() + 600.0, limit_of=LimitOf.NETWORK
        )
        kit.ask(1)
        await until(lambda: kit.network.attempts)
        known = await until(lambda: limits(DirectClient(service)))
        assert known.startswith("the network refused a message for a limit of its own (refused first at ")
    async with kit.running() as service:
        client = DirectClient(service)
        kit.network.answer = lambda attempt: Accepted(f"h{attempt.downlink}", NetworkState.BUFFERED)
        assert await limits(client) == known
        await kit.ask_each(2)
        await until(lambda: service.parts.calls["net"].waiting)
        assert not kit.network.attempts
        assert (await client.ask(ForgetLimits("net"))).limits == known
        await until(lambda: [attempt.device for attempt in kit.network.attempts] == ["d2"])
        assert await limits(client) is None
    async with kit.running() as service:
        assert await limits(DirectClient(service)) is None
