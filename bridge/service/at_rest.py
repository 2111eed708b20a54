"""The operations of a bridge whose service is down, on the file of its ledger and directory.

The file is opened by the first operation that needs it: checks of networks do not.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, Self

from bindings.contract import Binding
from bridge.cluster.ledger import ClusterLedger
from bridge.config import Config, Network, catalogue
from bridge.config.difference import Difference
from bridge.config.store_keys import store_seal
from bridge.delivery.downlinks import Downlink
from bridge.delivery.explain import Explanation
from bridge.directory import Directory, EndpointRecord
from bridge.errors import ConfigurationError, LedgerInUse, NotRunning
from bridge.north.contract import Link, LinkState
from bridge.operations.codes import Codes
from bridge.operations.minutes import Minutes
from bridge.operations.types.state import Phase, Readiness, Status, StoreStatus, WorkView
from bridge.quota.limits import Quota
from bridge.quota.report import EndpointQuotas
from bridge.quota.usage import Amount
from bridge.relay.registrations import Registration
from bridge.service.progress import Progress, Work
from bridge.service.state_directory import make_state_directory
from bridge.store.access import AccessTable
from bridge.store.contract import ReadOnlyStore, Reads
from bridge.store.direct import DirectTable
from bridge.store.fleet import Fleet, FleetCounts
from bridge.store.opening import open_store, open_to_read
from bridge.store.outbox import Outbox
from bridge.store.sealing import KEY_BYTES, NO_SEAL, Seal
from bridge.trace.traces import Traces


class BridgeAtRest:
    """Does what can be done without the service. Use it as an asynchronous context, while no service runs.

    An endpoint that is added gets its address toward servers at the next start. An operation that needs the ledger
    raises NotRunning if there is none yet, ConfigurationError (for example if a service uses it) or StoreUnavailable.
    """

    def __init__(self, config: Config, complete: Callable[[], Config], *, changes: bool = False) -> None:
        """`config` may be without secrets; `complete` reads it with them, and is called only if a network is needed.

        `changes`: the ledger will be changed. Otherwise it is only read, and no file is created.
        """
        self._config = config
        self._changes = changes
        self._complete = complete
        self.networks: Mapping[str, Binding] = _Networks(config, complete)
        self._progress = Progress(time.monotonic)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        if "_store" in self.__dict__:
            await self._store.close()

    @cached_property
    def _store(self) -> ReadOnlyStore:
        store = self._opened()
        store.use_seal(self._seal())
        return store

    def _seal(self) -> Seal:
        """Return what opens bodies of messages; where the keys cannot be read, only questions about messages fail."""
        if not (self._config.service.store_key or self._config.service.former_store_key):
            return NO_SEAL
        try:
            return store_seal(self._complete())
        except ConfigurationError:
            return Seal(None, bytes(KEY_BYTES))  # opens nothing, and says which key is wanted

    def _opened(self) -> ReadOnlyStore:
        database = self._config.database
        if self._changes:
            _check_owner(self._config)
            make_state_directory(self._config.state_directory)
            try:
                return open_store(database)
            except LedgerInUse as error:
                if not (self._config.cluster.enabled or self._config.standby.enabled):
                    raise
                text = "the service is down here, and another node or bridge serves the ledger: type the command there"
                raise LedgerInUse(text) from error
        if isinstance(database, Path) and not _is_there(database):
            raise NotRunning(f"there is no ledger {database} yet: the service creates it at its first start")
        return open_to_read(database)

    @cached_property
    def directory(self) -> Directory:
        return Directory(self._store.directory, catalogue(self._config, self.networks, None), self.now)

    def now(self) -> float:
        return time.time()

    @property
    def reads(self) -> Reads:
        return self._store.reads

    @property
    def fleet(self) -> Fleet:
        return self._store.fleet

    async def fleet_counts(self) -> FleetCounts:
        return await self.fleet.counts(self.now())

    @property
    def outbox(self) -> Outbox:
        return self._store.outbox

    @property
    def has_events(self) -> bool:
        return self._config.events.keep > 0

    def newer_events(self) -> asyncio.Event:
        _refuse("events happen only while the service runs")

    @property
    def known_direct(self) -> DirectTable:
        return self._store.direct

    @property
    def direct(self) -> NoReturn:
        _refuse("requests are only sent while the service runs")

    @property
    def traces(self) -> Traces:
        _refuse("an endpoint can only be traced while the service runs")

    @property
    def codes(self) -> Codes:
        _refuse("the dashboard is there only while the service runs")

    def minutes(self) -> Minutes:
        _refuse("what happened in the last hours is known only while the service runs")

    def webhooks_changed(self) -> None:
        pass  # the next start reads them

    async def reload(self, *, dry_run: bool) -> Sequence[Difference]:
        _refuse(
            f"{'there is nothing to compare with' if dry_run else 'the next start reads the file'}: the service is down"
        )

    @property
    def access(self) -> AccessTable:
        return self._store.access

    def work(self, name: str, total: int) -> AbstractContextManager[Work]:
        return self._progress.work(name, total)

    def readiness(self) -> Readiness:
        return Readiness(ready=False, phase=Phase.DOWN)

    async def status(self) -> Status:
        return Status(
            phase=Phase.DOWN,
            ready=False,
            work=tuple(WorkView(name=work.name, done=work.done, total=work.total or None) for work in self._progress),
            time=self.now(),
            endpoints=self.directory.size,
            node=None,
            in_memory=None,
            scheme=None,
            store=StoreStatus(**self._store.status()),
            servers=dict.fromkeys(self._config.servers),
            networks={name: {} for name in self._config.networks},
        )

    def network_states(self) -> Mapping[str, Mapping[str, Any]]:
        return {}

    async def metrics_text(self) -> bytes:
        _refuse("counters exist only while the service runs")

    async def forget_limits(self, network: str) -> NoReturn:
        _refuse(f"only the running service can forget limits of network {network}")

    async def explain(self, endpoint: int) -> Sequence[Explanation]:
        _refuse(f"only the running service can tell why a message of endpoint {endpoint} waits")

    async def registrations(self, endpoint: int) -> Sequence[tuple[Registration, int]]:
        _refuse(f"only the running service can tell where endpoint {endpoint} is registered")

    @property
    def node(self) -> str:
        return self._config.cluster.name

    def holder(self, shard: int) -> str | None:  # noqa: ARG002  # as the protocol has it
        return None

    @property
    def cluster(self) -> ClusterLedger:
        _refuse("the nodes of a cluster are known only to a node that runs")

    def quotas(self) -> Sequence[tuple[Quota, str, Amount | None]]:
        _refuse("the use of quotas is known only while the service runs")

    async def quotas_of(self, endpoint: int) -> EndpointQuotas:
        _refuse(f"what endpoint {endpoint} has left of its quotas is known only while the service runs")

    def links(self, record: EndpointRecord) -> Mapping[str, Link]:
        return dict.fromkeys(record.servers, Link(LinkState.CLOSED, "the service is down"))

    async def cancel(self, downlink: Downlink) -> None:
        _refuse(f"downlink {downlink.id} can only be cancelled while the service runs")

    async def provision(self, record: EndpointRecord) -> None:
        _refuse(f"network {record.network!r} can only be asked while the service runs")

    def check_served(self, record: EndpointRecord) -> None:
        """Return: there is no service that another one would be asked of."""

    async def ask_owner(self, *_args: Any, **_more: Any) -> bytes:
        raise NotRunning("the service is down")

    async def remove_endpoint(self, name: str) -> EndpointRecord:
        _refuse(
            f"endpoint {name!r} can only be removed while the service runs: its network must be asked to remove it, too"
        )


class _Networks(Mapping[str, Binding]):
    """The configured network instances, not started. Each is made at its first use, which needs its secrets."""

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


def _is_there(database: Path) -> bool:
    try:
        return database.exists()
    except PermissionError:
        return True  # opening the ledger says which user may do so


def _check_owner(config: Config) -> None:
    """Refuse to create an installation's state directory as root: a service of another user could not use it.

    One beside its configuration file belongs to the caller. Raises ConfigurationError with the cure.
    """
    directory = config.state_directory
    if os.geteuid() == 0 and Path(config.service.state_directory).is_absolute() and not directory.exists():
        raise ConfigurationError(
            f"state_directory {directory} does not exist, and the service's user could not use one that root makes: "
            f"start the service once, or create it: install -d -m 750 -o USER {directory}"
        )


def _refuse(what: str) -> NoReturn:
    raise NotRunning(f"{what}; start it: lwm2m-bridge run --config FILE")
