"""Runs a command of the operator's that moves addresses of shards: for many shards at once, or for one.

The command is told prefixes as further arguments. For each that has moved it prints a line `done PREFIX`; so it proves
what it did, also when it fails or hangs in the middle. Of a command for one shard the exit status says enough.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge.errors import ConfigurationError
from bridge.service.actor import CountFunction
from bridge.service.commands import started

PROOF = "done "  # begins a line; a prefix follows, as the command got it
KEPT = 5  # lines of its output that an error shows


@dataclass(frozen=True, slots=True)
class CommandLimits:
    """Seconds that a command may take: `command_silence`, `command_limit` and `command_kill_wait` of [cluster]."""

    silence: float = 4.0  # until it moves its next shard, or ends if it moves one
    many: float = 60.0  # of one that moves several
    kill_wait: float = 1.0  # for which the next one waits for one that was killed and does not end


class Ending:
    """By this a command that runs is ended before its time, and told why it has ended."""

    def __init__(self) -> None:
        self.at = math.inf  # time of the loop
        self.limit: asyncio.Timeout | None = None  # of the command, while it runs
        self.came = False  # whether this is what has ended the command
        self.hung = False  # whether the command was killed since it moved nothing more

    def within(self, seconds: float) -> None:
        """Let the command end by itself in so many seconds, then end it."""
        self.at = min(self.at, asyncio.get_running_loop().time() + seconds)
        if self.limit is not None and not self.limit.expired():
            self.limit.reschedule(min(self.at, self.limit.when() or self.at))


class AddressCommand:
    """One command of [cluster]; `program` with its arguments may be empty: then nothing is run."""

    def __init__(self, name: str, program: Sequence[str], count: CountFunction, kill_wait: float = 1.0) -> None:
        """`kill_wait`: seconds for which `run` waits for a command that was killed and does not end."""
        self.name = name
        self.program = program
        self._count = count
        self._kill_wait = kill_wait

    async def run(
        self,
        prefixes: Sequence[str],
        proved: Callable[[str], None],
        *,
        seconds: float,
        silent: float | None = None,
        ending: Ending | None = None,
    ) -> bool:
        """Run it to its end; `proved` is called with each prefix that it says is done, at once.

        The command is ended after `seconds`, or when it has proved nothing more for `silent` seconds. Return whether it
        has ended with 0; False if it was ended by `ending`. Raises ConfigurationError if it fails, or takes too long.
        """
        if not self.program:
            return True
        ending = ending or Ending()
        try:
            await self._run(prefixes, proved, seconds, seconds if silent is None else silent, ending)
        except ConfigurationError:
            if ending.came:
                self._count("address_commands", command=self.name, result="ended")
                return False
            self._count("address_commands", command=self.name, result="failed")
            raise
        self._count("address_commands", command=self.name, result="done")
        return True

    async def _run(
        self, prefixes: Sequence[str], proved: Callable[[str], None], seconds: float, silent: float, ending: Ending
    ) -> None:
        asked, said, timer = set(prefixes), deque[str](maxlen=KEPT), asyncio.get_running_loop().time
        end = timer() + seconds
        where = f"[cluster] {self.name}: {self.program[0]}"
        async with started([*self.program, *prefixes], f"[cluster] {self.name}", self._kill_wait) as process:
            assert process.stdout is not None  # noqa: S101  # it is a pipe
            try:
                async with asyncio.timeout_at(min(end, ending.at, timer() + silent)) as limit:
                    ending.limit = limit
                    while raw := await _line(process.stdout):
                        line = raw.decode(errors="replace").rstrip()
                        prefix = line.removeprefix(PROOF)
                        if line.startswith(PROOF) and prefix in asked and raw.endswith(b"\n"):
                            proved(prefix)
                            if not limit.expired():
                                limit.reschedule(min(end, ending.at, timer() + silent))
                        else:
                            said.append(line)
                    status = await process.wait()
            except TimeoutError:
                ending.came = limit.when() == ending.at
                ending.hung = not ending.came and (silent >= seconds or limit.when() != end)
                took = f"longer than {seconds:g} s" if silent >= seconds else f"{silent:g} s for one prefix"
                raise ConfigurationError(f"{where} took {took} and was ended") from None
            finally:
                ending.limit = None
            if status:  # what it has started ends with it
                raise ConfigurationError(f"{where} ended with {status}: {' / '.join(said)[-500:]}")


async def _line(output: asyncio.StreamReader) -> bytes:
    """Return the next line with its end, "" after the last one; a line that is too long to be read comes as a mark."""
    try:
        return await output.readline()
    except ValueError:
        return b"(a long line)\n"
