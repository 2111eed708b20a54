"""A bridge whose service is down: its ledger and its directory, from the file."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NoReturn, Self

from bindings.contract import Binding
from bridge.config import Config, Network, catalogue
from bridge.delivery.downlinks import Downlink
from bridge.delivery.explain import Explanation
from bridge.directory import Directory, Record
from bridge.errors import NotRunning
from bridge.north.contract import Link, LinkState
from bridge.operations.types.state import Phase, Readiness, Status, StoreStatus
from bridge.service.state_directory import make_state_directory
from bridge.store.contract import Reads
from bridge.store.sqlite import SqliteStore


class BridgeAtRest:
    """Answers what can be answered without the service. Use it as an asynchronous context, while no service runs.

    An endpoint that is added gets its address toward servers at the next start.
    """

    def __init__(self, config: Config, complete: Callable[[], Config]) -> None:
        """`config` may be without secrets; `complete` reads it with them, and is called only if a network is needed."""
        self._config = config
        self.networks: Mapping[str, Binding] = _Networks(config, complete)

    async def __aenter__(self) -> Self:
        """Open the ledger. Raises ConfigurationError (a service has it, for example) or StoreUnavailable."""
        make_state_directory(self._config.state_directory)
        self._store = SqliteStore.open(self._config.database)
        self.directory = Directory(self._store.directory, catalogue(self._config, self.networks, None), self.now)
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._store.close()

    def now(self) -> float:
        return time.time()

    @property
    def reads(self) -> Reads:
        return self._store.reads

    def readiness(self) -> Readiness:
        return Readiness(ready=False, phase=Phase.DOWN)

    def status(self) -> Status:
        return Status(
            phase=Phase.DOWN,
            ready=False,
            work=(),
            time=self.now(),
            endpoints=self.directory.size,
            in_memory=None,
            scheme=None,
            store=StoreStatus(**self._store.status()),
            servers=dict.fromkeys(self._config.servers),
            networks={name: {} for name in self._config.networks},
        )

    def metrics_text(self) -> bytes:
        _refuse("counters exist only while the service runs")

    async def explain(self, endpoint: int) -> Sequence[Explanation]:
        _refuse(f"only the running service can tell why a message of endpoint {endpoint} waits")

    def links(self, record: Record) -> Mapping[str, Link]:
        return dict.fromkeys(record.servers, Link(LinkState.CLOSED, "the service is down"))

    async def cancel(self, downlink: Downlink) -> None:
        _refuse(f"downlink {downlink.id} can only be cancelled while the service runs")

    async def provision(self, record: Record) -> None:
        _refuse(f"network {record.network!r} can only be asked while the service runs")

    async def remove_endpoint(self, name: str) -> Record:
        _refuse(f"endpoint {name!r} can only be removed while the service runs: its network must be told")


class _Networks(Mapping[str, Binding]):
    """The configured network instances, unstarted. Each is made when it is first asked for: this needs its secrets."""

    def __init__(self, config: Config, complete: Callable[[], Config]) -> None:
        self._names = tuple(config.networks)
        self._complete = complete
        self._made: dict[str, Binding] = {}

    def __getitem__(self, name: str) -> Binding:
        """Return a network instance. Raises KeyError for an unknown name, ConfigurationError if it cannot be made."""
        if name not in self._names:
            raise KeyError(name)
        if name not in self._made:
            self._made[name] = self._configured[name].create()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @cached_property
    def _configured(self) -> Mapping[str, Network]:
        return self._complete().networks


def _refuse(what: str) -> NoReturn:
    raise NotRunning(f"{what}; start it: lwm2m-bridge run --config FILE")
