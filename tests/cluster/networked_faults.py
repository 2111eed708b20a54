"""The faults of `tests.cluster.networked`, and the order in which they happen."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Sequence

from tests.cluster.networked import NODES, NUMBERS, Its, Networked
from tests.cluster.test_cluster_faults import FULL
from tests.cluster.test_cluster_processes import stopped_for_a_while
from tests.store.postgres_server import PostgresServer
from tests.waiting import until

DEADLY = ("kill", "stop", "database", "machine")  # a node dies, or must end itself
WITH_A_BAD_HOOK = ("hook fails", "hook hangs")  # and one of the others cannot take its shards
PASSING = ("servers", "network", "cable")  # a node loses what it needs, but not the database
OF_THE_DATABASE = ("restart", "fail-over", "slow", "sessions", "full")
OTHERS = ("all", "clock")
EVERY = (*DEADLY, *PASSING, *OF_THE_DATABASE, *WITH_A_BAD_HOOK, *OTHERS)
APART = 6.0  # seconds that a fault lasts which ends by itself: longer than a lease
STOPPED = 30.0  # seconds for which a process is stopped
LATE = 0.02  # seconds by which each answer of the database is late: a commit needs several


async def suffer(one: Networked, kinds: Sequence[str], seconds: float = 0.0) -> None:
    """Let faults of these kinds happen in a random order, again and again until so many seconds are over; then judge.

    Each kind happens once at least. Every other fault happens with load.
    """
    number, left, end = 0, one.draw.sample([*kinds], len(kinds)), time.monotonic() + seconds
    while left:
        kind = left.pop()
        async with one.traffic(("without load", "with load")[number % 2]):
            await fault(one, kind)
        one.dead = ""
        await one.heal()
        one.story.faults[kind] += 1
        number += 1
        if not left and time.monotonic() < end:
            left = one.draw.sample([*kinds], len(kinds))
    verdict = await one.judge()
    story = one.story
    one.say(
        f"{story.faults.total()} faults {dict(story.faults)}; {len(one.cluster.accepted)} Executes accepted, "
        f"{verdict.on_air} on air; {story.posts} posts acknowledged; {len(story.moved)} endpoints moved"
    )
    one.summary()


async def noticed(one: Networked) -> None:
    """Stop a node that is not fenced, and let it go on: require that the judge then finds what was sent twice.

    It is the node with the most devices on NIDD: another one may serve none of few devices. The devices are silent, and
    requests may be delivered until long after the stop: else the node had nothing with which it could go on.
    """
    one.cluster.ttl = 3 * STOPPED
    name = max(NODES, key=lambda node: len(one.endpoints_of(node)))
    (devices,) = [process for process in one.cluster.lab.processes if process.name == "device"]
    devices.signal(signal.SIGSTOP)
    await stopped_for_a_while(one.cluster, name, one.cluster.server)

    async def goes_twice() -> bool:
        return bool((await one.cluster.seen_on_air()).twice)

    await until(goes_twice, 60, why="a node that was stopped does not go on with what it had in memory", every=0.5)
    one.tell("the control was noticed: a message was on air twice")


async def fault(one: Networked, kind: str) -> None:
    """Let one fault happen, and wait until all that it hit is served again."""
    name = one.draw.choice(NODES)
    if kind in DEADLY:
        await _death(one, kind, name)
    elif kind in WITH_A_BAD_HOOK:
        other = one.draw.choice([node for node in NODES if node != name])
        (one.cluster.nodes[other].folder / kind.removeprefix("hook ")).touch()
        try:
            await _death(one, "kill", name, as_=kind)
        finally:
            (one.cluster.nodes[other].folder / kind.removeprefix("hook ")).unlink()
            one.cluster.nodes[other].process.signal(signal.SIGTERM)  # it does not try again for a minute
    elif kind in PASSING:
        await _passing(one, kind, name)
    elif kind == "all":
        await _all(one)
    elif kind == "clock":
        one.program[name] = "tests.cluster.hour_ahead"
        one.cluster.nodes[name].kill()
        await one.heal()
        one.tell(f"the clock of {name} is an hour ahead from now on")
    else:
        await _of_the_database(one, kind)


async def _death(one: Networked, kind: str, name: str, as_: str = "") -> None:
    node, machine, one.dead = one.cluster.nodes[name], NUMBERS[name], name
    its = Its(one.endpoints_of(name), one.shards_of(name), one.with_sessions(name))
    since = time.monotonic()
    if kind == "kill":
        node.kill()
        await one.network.withdraw(name)
    elif kind == "stop":
        node.process.signal(signal.SIGSTOP)
    else:
        node.valve.shut()
    if kind == "machine":
        one.network.machines.plug(machine, in_=False)
    await one.served_again(as_ or kind, name, its, since)
    if kind == "stop":
        await asyncio.sleep(since + STOPPED - time.monotonic())
        node.process.signal(signal.SIGCONT)
    await until(lambda: not node.process.running, 40, why=f"{name} goes on")
    one.network.machines.plug(machine, in_=True)


async def _passing(one: Networked, kind: str, name: str) -> None:
    """It goes on with its shards, and nobody takes them."""
    machines, machine = one.network.machines, NUMBERS[name]
    its, shards = one.endpoints_of(name), one.shards_of(name)
    other = {"servers": NUMBERS["server"], "network": NUMBERS["scef"]}.get(kind)
    if other:
        machines.part(machine, other, apart=True)
    else:
        machines.plug(machine, in_=False)
    await asyncio.sleep(APART)
    if other:
        machines.part(machine, other, apart=False)
    else:
        machines.plug(machine, in_=True)
    healed = time.monotonic()
    answered = await asyncio.gather(*(one.answered(endpoint, healed) for endpoint in its))
    assert one.shards_of(name) == shards, "a node with a lease has lost shards"
    one.tell(f"{kind} away from {name} for {APART:.0f} s: answers {max(answered, default=0):.1f} s after that (worst)")


async def _all(one: Networked) -> None:
    """All nodes die at once, and are started again."""
    its = [endpoint for name in NODES for endpoint in one.endpoints_of(name)[:5]]
    since = time.monotonic()
    for name in NODES:
        one.cluster.nodes[name].kill()
    await asyncio.sleep(1)
    await one.heal()
    answered = await asyncio.gather(*(one.answered(endpoint, since) for endpoint in its))
    one.tell(f"all nodes were killed: answers after {max(answered, default=0):.1f} s, their start included (worst)")


async def _of_the_database(one: Networked, kind: str) -> None:
    cluster = one.cluster
    its = [endpoint for name in NODES for endpoint in one.endpoints_of(name)[:5]]
    began = time.monotonic()
    if kind == "restart":
        await asyncio.to_thread(cluster.server.stop_server, one.draw.choice(("fast", "immediate")))
        await asyncio.to_thread(cluster.server.start)
    elif kind == "fail-over":
        await _fail_over(one)
    elif kind == "slow":
        for node in cluster.nodes.values():
            node.valve.delay = LATE
        await asyncio.sleep(2 * APART)
        for node in cluster.nodes.values():
            node.valve.delay = 0.0
    elif kind == "full":
        await cluster.change(FULL)
        await asyncio.sleep(APART)
        await cluster.change("DROP TRIGGER full_disk ON downlink; DROP FUNCTION full_disk()")
    else:
        await _exhaust(cluster.server)
    ended = time.monotonic()
    await one.heal()
    answered = await asyncio.gather(*(one.answered(endpoint, ended) for endpoint in its))
    one.tell(
        f"{kind} of the database for {ended - began:.1f} s: answers {max(answered, default=0):.1f} s after that (worst)"
    )


async def _exhaust(server: PostgresServer) -> None:
    """Take all sessions that are left, for a while."""
    import psycopg

    def take() -> list[psycopg.Connection]:
        found: list[psycopg.Connection] = []
        with contextlib.suppress(psycopg.OperationalError):  # too many clients
            while True:
                found.append(psycopg.connect(server.where("public")))
        return found

    sessions = await asyncio.to_thread(take)
    await asyncio.sleep(APART)
    for session in sessions:
        session.close()


async def _fail_over(one: Networked) -> None:
    """The database is gone; its standby takes its place, and gets a standby of its own."""
    cluster = one.cluster
    gone, standby = cluster.server, cluster.standby
    assert standby is not None
    await asyncio.to_thread(gone.stop_server, "immediate")
    await asyncio.to_thread(standby.sql, "ALTER SYSTEM SET synchronous_standby_names = ''")
    await asyncio.to_thread(standby.promote)
    await asyncio.to_thread(gone.make_standby_of, standby)
    await asyncio.to_thread(standby.sql, "ALTER SYSTEM SET synchronous_standby_names = '*'")
    await asyncio.to_thread(standby.sql, "SELECT pg_reload_conf()")
    cluster.server, cluster.standby = standby, gone
