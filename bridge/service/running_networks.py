"""The network instances of a running bridge: each is started, replaced when its settings change, and stopped."""

import asyncio
import logging
from collections.abc import Callable

from bindings.contract import Binding, Events, Memory, ShowsCalls, Succeeds
from bridge.config import Network
from bridge.errors import BindingError, BridgeError, ConfigurationError
from bridge.service.network_calls import NetworkCalls

log = logging.getLogger(__name__)


class RunningNetworks:
    """`bindings` and `calls` are by network, and everybody's: others keep them and find what is there now."""

    def __init__(
        self,
        bindings: dict[str, Binding],
        calls: dict[str, NetworkCalls],
        new_calls: Callable[[str, int], NetworkCalls],
        given: Callable[[str], tuple[Events, Memory]],
        serve: Callable[[NetworkCalls], None],
        started: Callable[[str, Binding], None],
    ) -> None:
        """`given` returns what the instance of a network starts with; `serve` wakes those who wait for a call.

        `started` is called with each instance that has started.
        """
        self._has_started = started
        self.bindings = bindings
        self.calls = calls
        self._new_calls = new_calls
        self._given = given
        self._serve = serve
        self._started: list[str] = []
        for one in calls.values():  # an instance that is not started is called by nobody
            one.suspend()
        self._leaving: set[asyncio.Task[None]] = set()  # earlier instances that finish their calls
        self.down: dict[str, str] = {}  # networks of which no instance could be started, and why; none is called

    async def start_all(self, configured: dict[str, Network]) -> None:
        """Start the instances that are there. Raises a LocalError; those that were started run on until `stop`."""
        for name, binding in self.bindings.items():
            await self._start(binding, configured[name])

    async def add(self, network: Network, binding: Binding) -> None:
        """Start an instance of a network that is new. Raises a LocalError."""
        self.calls[network.name] = calls = self._new_calls(network.name, binding.capacity)
        calls.suspend()
        try:
            await self._start(binding, network)
        except BaseException:
            del self.calls[network.name]
            raise
        self.bindings[network.name] = binding

    async def replace(self, before: Network, after: Network, binding: Binding) -> None:
        """Let an instance with other settings take over; calls under way finish at the one that was there.

        Raises an error: then one with the settings of before runs, unless that could not be started either. Then the
        network is in `down`, and the error says both reasons; the next `replace` starts an instance without stopping
        one.
        """
        name, earlier = after.name, self.bindings[after.name]
        if isinstance(binding, ShowsCalls) and isinstance(earlier, ShowsCalls):
            binding.calls_seen = earlier.calls_seen
        if name in self.down:
            self.bindings[name] = binding
            try:
                await self._start(binding, after)
            except Exception as error:
                self.down[name] = str(error)
                raise
            return
        calls = self.calls[name]
        calls.suspend()
        try:
            await self._succeed(earlier, binding, after)
            self.bindings[name] = binding
        except Exception as error:
            if not (isinstance(earlier, Succeeds) and earlier.runs):
                await self._start_again(before, earlier, error)
            raise
        finally:
            if name not in self.down:
                calls.resume(self.bindings[name].capacity)
                self._serve(calls)
        self._let_finish(earlier)

    async def remove(self, name: str) -> None:
        """Stop an instance once the calls under way are over; the network keeps what it has of the devices."""
        calls = self.calls[name]
        calls.suspend()
        await calls.drained()
        del self.calls[name]
        binding = self.bindings.pop(name)
        if self.down.pop(name, None) is None:
            self._started.remove(name)
            await _stop(binding)

    async def stop(self) -> None:
        """Stop all, the one that was started last first."""
        for name in reversed(self._started):
            await self.bindings[name].stop()
        if self._leaving:
            await asyncio.wait(self._leaving)

    async def _succeed(self, earlier: Binding, binding: Binding, network: Network) -> None:
        events, memory = self._given(network.name)
        try:
            if isinstance(binding, Succeeds) and type(binding) is type(earlier):
                await binding.succeed(earlier, events, memory)
            else:
                await self.calls[network.name].drained()
                await earlier.stop()
                await binding.start(events, memory)
        except (ConfigurationError, BindingError) as error:
            raise _named(error, network) from error
        self._has_started(network.name, binding)

    async def _start_again(self, network: Network, stopped: Binding, why: Exception) -> None:
        """Start an instance with the former settings. Raises BindingError with both reasons: the network is down."""
        name = network.name
        try:
            await _stop(stopped)
            self.bindings[name] = again = network.create()
            await self._start(again, network)
        except Exception as error:  # noqa: BLE001  # any leaves the network down
            self.down[name] = f"{why}; with its former settings it could not be started again either: {error}"
            self._started.remove(name)
            raise BindingError(self.down[name]) from why

    async def _start(self, binding: Binding, network: Network) -> None:
        events, memory = self._given(network.name)
        try:
            await binding.start(events, memory)
        except (ConfigurationError, BindingError) as error:
            raise _named(error, network) from error
        self._has_started(network.name, binding)
        if network.name not in self._started:
            self._started.append(network.name)
        self.down.pop(network.name, None)
        calls = self.calls[network.name]
        calls.resume(binding.capacity)
        self._serve(calls)

    def _let_finish(self, earlier: Binding) -> None:
        leaving = asyncio.create_task(earlier.stop())
        self._leaving.add(leaving)
        leaving.add_done_callback(self._gone)

    def _gone(self, leaving: "asyncio.Task[None]") -> None:
        self._leaving.discard(leaving)
        if not leaving.cancelled() and leaving.exception() is not None:
            log.error("an earlier instance of a network could not be stopped", exc_info=leaving.exception())


async def _stop(binding: Binding) -> None:
    """Stop an instance that is not used any more; a failure concerns nobody but its author."""
    try:
        await binding.stop()
    except Exception:
        log.exception("an instance of a network could not be stopped")


def _named(error: BridgeError, network: Network) -> BridgeError:
    kind = ConfigurationError if isinstance(error, ConfigurationError) else BindingError
    return kind(f"{network.where} {error}")
