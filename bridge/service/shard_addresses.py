"""Moves the addresses of shards to this node, by commands of the operator's, when shards are taken or released."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence

from bridge.config import Config
from bridge.errors import ConfigurationError
from bridge.metrics import Metrics
from bridge.north.udp.prefixes import SHARDS, Pool, networks_of_shard, pools
from bridge.service.actor import CountFunction
from bridge.service.address_commands import AddressCommand, CommandLimits, Ending
from bridge.service.command_turns import Call, CommandTurns, Purpose
from bridge.service.together import Group, GroupedWork

FOR_ALL = 4  # times `silence`: a command for all shards may print its lines at its end
AT_STOP = 15.0  # seconds for what is still held at a stop
AGAIN = 5.0  # seconds between attempts to release addresses that could not be released
FAILURES = 3  # shards in a row, each by itself, for which a command fails before it is not run for the others
HANGS = 2  # calls in a row for several shards that hang before they move one, before shards are moved one by one
UNPROVED = (
    "[cluster] release_command ended with 0, did not print `done PREFIX` for their prefixes, and could not be run for "
    "each of them in time (docs/cluster.md)"
)
GIVEN_UP = (
    "[cluster] the command failed for three other shards in a row, and was not run for this one. The last of them: "
)
GAVE_WAY = "[cluster] the command was ended for other shards, or since the node stops"

log = logging.getLogger(__name__)


class ShardAddresses:
    """`bridge.cluster.contract.ShardFollower`; the last one, so that servers reach a shard when it can be served.

    A command gets the networks of all shards of the moment as further arguments. What it does not prove
    (`bridge.service.address_commands`) it is asked for once more, shard by shard. One that fails then, or is silent
    for too long, makes `taken` fail: the shard is given back. Addresses that cannot be released are tried again by
    `run`.

    One command runs at a time (`bridge.service.command_turns`). One that gave way is run again for the rest afterwards.
    Where one hangs, the shard at which it did is suspected: it comes last, by itself, and waits for the others.
    """

    def __init__(
        self,
        pools: Mapping[int, Pool],
        take: Sequence[str],
        release: Sequence[str],
        count: CountFunction,
        limits: CommandLimits = CommandLimits(),  # noqa: B008  # it cannot be changed
    ) -> None:
        """`take` and `release`: program and arguments; empty for none."""
        self.time_limit = 10 * limits.many  # each command has its own, and they run one after the other
        self._pools = pools
        self._limits = limits
        self._take = AddressCommand("take_command", take, count, limits.kill_wait)
        self._release = AddressCommand("release_command", release, count, limits.kill_wait)
        self._one_by_one: set[AddressCommand] = set()  # those that move one shard at a time
        self._hung = {self._take: set[int](), self._release: set[int]()}  # shards at which a command hung lately
        self._turns = CommandTurns(lambda: self._taking.waits or self._releasing.waits)
        self._taking = GroupedWork[None](lambda group: self._move(self._take, group), self._turns.give_way)
        self._releasing = GroupedWork[None](lambda group: self._move(self._release, group), self._turns.give_way)
        self.stuck: set[int] = set()  # released shards whose addresses are here still, as far as is known

    def prefixes(self, shard: int) -> list[str]:
        """Return the networks that have the addresses of a shard's endpoints."""
        return [str(network) for network in networks_of_shard(self._pools, shard)]

    async def taken(self, shard: int, _epoch: int) -> None:
        """Move the addresses to this node. Raises ConfigurationError if the command fails."""
        self.stuck.discard(shard)
        await self._taking.ask(shard)

    async def released(self, shard: int) -> None:
        """Release the addresses, in at most two attempts."""
        self.stuck.add(shard)
        await self._release_once(shard)

    async def release_all(self) -> None:
        """Release what an earlier process of this node may have left: it may have been killed."""
        why = await self._release_at_once(range(SHARDS), self._limits.many)
        if why:
            log.warning("addresses of an earlier run may still lead to this node: %s", why)

    async def release_rest(self, shards: Collection[int]) -> None:
        """Release the addresses of shards, and those that are stuck, by one command: the process ends.

        A failure is logged.
        """
        self.stuck |= {*shards}
        why = await self._release_at_once(sorted(self.stuck), AT_STOP)
        if why:
            log.error("addresses still lead to this node, which stops: %s", why)

    async def run(self) -> None:
        """Try again to release what could not be released, until cancelled."""
        while True:
            await asyncio.sleep(AGAIN)
            await asyncio.gather(*(self._release_once(shard) for shard in self.stuck))

    async def _release_once(self, shard: int) -> None:
        try:
            await self._releasing.ask(shard)
        except ConfigurationError as error:
            text = "shard %d: its addresses may still lead to this node: %s"
            log.error(text, shard, error, extra={"sample": "addresses stuck"})  # noqa: TRY400  # the text says it

    async def _move(self, command: AddressCommand, group: Group[None]) -> None:
        """Have a command move the addresses of a group: by one call, then shard by shard where that proved nothing."""
        if not command.program:
            for shard in group.left:
                self._done(command, group, shard)
            return
        number, attempts = len(group.left), 1 if command is self._take else 2
        together = number > 1 and command not in self._one_by_one
        one_by_one, hangs = False, 0
        while together and hangs < HANGS:
            call = await self._move_together(command, group)
            one_by_one = call is not None and call.moved_nothing
            attempts = 1
            if call is None or not (call.gave_way or call.ending.hung):
                break
            if call.ending.hung:
                hangs = 0 if call.has_moved else hangs + 1
        in_a_row, all_worked, cause = list[tuple[int, str]](), True, ""
        left = self._last_those_that_hung(command, group.left)
        for shard in left:
            is_tried = len(in_a_row) + hangs < FAILURES
            if is_tried:
                why = cause = await self._move_one(command, group, shard, attempts)
            else:
                why = GIVEN_UP + cause
            if why:
                in_a_row.append((shard, why))
                all_worked = False
            else:
                hangs = 0
                _fail(group, in_a_row)
        _fail(group, in_a_row)  # not before: the others would wait for the releases of these
        if one_by_one and left and all_worked:
            self._one_by_one.add(command)
            log.warning(
                "%s moves one shard at a time, so a take-over takes longer: it proved nothing when it was asked for %d "
                "at once. Let it take all its arguments, and print a line `done PREFIX` for each (docs/cluster.md)",
                command.name,
                number,
            )

    def _last_those_that_hung(self, command: AddressCommand, shards: Sequence[int]) -> list[int]:
        return sorted(shards, key=self._hung[command].__contains__)

    async def _move_together(self, command: AddressCommand, group: Group[None]) -> Call | None:
        """Return the call, which has ended, or None if there was none: for shards at which it did not hang lately."""
        hung = self._hung[command]
        async with self._turns.turn(self._purpose(command)):
            shards = [shard for shard in self._due(command, group) if shard not in hung]
            if len(shards) < 2:  # noqa: PLR2004  # others were released or taken meanwhile
                return None
            work = _Work(self, shards, lambda shard: self._done(command, group, shard))
            limits = self._limits
            with self._turns.may_end(self._purpose(command), group) as call:
                try:
                    worked = await command.run(
                        work.prefixes, work.proved, seconds=limits.many, silent=limits.silence, ending=call.ending
                    )
                except ConfigurationError as error:
                    log.warning("%s; %d shards are tried again", error, len(work.left))
                    if call.ending.hung:
                        hung.update([*work.left][:1])
                else:
                    call.gave_way = not worked
                    call.moved_nothing = worked and len(work.left) == len(shards)
            return call

    async def _move_one(self, command: AddressCommand, group: Group[None], shard: int, attempts: int) -> str:
        """Return why the addresses of a shard have not moved; "" if they have, or need not any more."""
        why, hung = "", self._hung[command]
        for _ in range(attempts):
            async with self._turns.turn(self._purpose(command)):
                if shard not in self._due(command, group):
                    return ""
                work = _Work(self, [shard], lambda shard: self._done(command, group, shard))
                with self._turns.may_end(self._purpose(command), group, is_doubtful=shard in hung) as call:
                    try:
                        worked = await command.run(
                            work.prefixes, work.proved, seconds=self._limits.silence, ending=call.ending
                        )
                    except ConfigurationError as error:
                        why = str(error)
                        if call.ending.hung:
                            hung.add(shard)
                    else:
                        why = "" if worked else GAVE_WAY
                    if not why:
                        self._done(command, group, shard)
            if not group.waits_for(shard):
                return ""
        return why

    def _purpose(self, command: AddressCommand) -> Purpose:
        return Purpose.RELEASE if command is self._release else Purpose.TAKE

    def _due(self, command: AddressCommand, group: Group[None]) -> list[int]:
        """Return the shards of a group that a command is still to move: none whose release a new take has overtaken."""
        if command is self._release:
            for shard in group.left:
                if shard not in self.stuck:
                    group.end(shard, None)
        return group.left

    def _done(self, command: AddressCommand, group: Group[None], shard: int) -> None:
        if command is self._release:
            self.stuck.discard(shard)
        self._hung[command].discard(shard)
        group.end(shard, None)
        self._turns.has_moved()

    async def _release_at_once(self, shards: Sequence[int], seconds: float) -> str:
        """Release the addresses of shards within some time, by one call if that works; return what is left, and why.

        What it does not prove is released shard by shard, as long as there is time, also when its exit status is 0: a
        command that knows one shard has released the first one.
        """
        if not shards or not self._release.program:
            self.stuck.difference_update(shards)
            return ""
        left, why = [*shards], ""
        timer = asyncio.get_running_loop().time
        end = timer() + seconds

        def released(shard: int) -> None:
            self.stuck.discard(shard)
            if shard in left:
                left.remove(shard)

        async def run(some: Sequence[int], silence: float) -> bool:
            """Run the command once for some shards; return whether it hung. `why`: how it has failed."""
            nonlocal why
            ending, work, limit = Ending(), _Work(self, some, released), max(0.0, end - timer())
            try:
                await self._release.run(
                    work.prefixes, work.proved, seconds=limit, silent=min(limit, silence), ending=ending
                )
            except ConfigurationError as error:
                why = str(error)
            else:
                why = "" if len(some) == 1 else UNPROVED
                if not why:
                    released(some[0])
            return ending.hung

        async with self._turns.turn(Purpose.RELEASE, at_once=True):
            some, suspected, failed = [*left], list[int](), 0
            while some:
                number = len(left)
                if not await run(some, FOR_ALL * self._limits.silence):
                    break
                suspected += [shard for shard in some if shard in left][:1]
                if len(left) == number:
                    failed = 1
                    break
                some = [shard for shard in left if shard not in suspected]
            for shard in sorted(left, key=suspected.__contains__) if len(shards) > 1 else []:
                if timer() >= end or failed == FAILURES:
                    break
                await run([shard], self._limits.silence)
                failed = failed + 1 if why else 0
        return f"{len(left)} shards: {why}" if left else ""


def _fail(group: Group[None], failed: list[tuple[int, str]]) -> None:
    for shard, why in failed:
        group.fail(shard, ConfigurationError(why))
    failed.clear()


class _Work:
    """What one call of a command is for; `left`: what is not proved yet. `done` is called with each shard that is."""

    def __init__(self, addresses: ShardAddresses, shards: Sequence[int], done: Callable[[int], None]) -> None:
        parts = {shard: addresses.prefixes(shard) for shard in shards}
        self.prefixes = [prefix for shard in shards for prefix in parts[shard]]
        self.left = {shard: {*its} for shard, its in parts.items()}
        self._shard_of = {prefix: shard for shard, its in parts.items() for prefix in its}
        self._done = done

    def proved(self, prefix: str) -> None:
        """Record that the command has moved a prefix."""
        shard = self._shard_of[prefix]
        its = self.left.get(shard)
        if its is None:
            return
        its.discard(prefix)
        if not its:
            del self.left[shard]
            self._done(shard)


def shard_addresses(config: Config, metrics: Metrics) -> ShardAddresses:
    """Return what moves the addresses of shards; it does nothing where no command is configured."""
    settings = config.cluster
    limits = CommandLimits(settings.command_silence, settings.command_limit, settings.command_kill_wait)
    found = pools(config.north.prefixes)
    addresses = ShardAddresses(found, settings.take_command, settings.release_command, metrics.count, limits)
    metrics.describe("cluster_addresses_stuck", "Shards whose addresses could not be released yet.")
    metrics.watch("cluster_addresses_stuck", lambda: float(len(addresses.stuck)))
    return addresses
