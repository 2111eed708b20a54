"""Servers' requests to a device: the sender, the execution, and current observations."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from mock_network.clock import current_clock
from mock_network.device.accounts import DEFAULT_PMAX, DEFAULT_PMIN, Account
from mock_network.device.attributes import AttributeTable
from mock_network.device.bootstrap import BootstrapInterface
from mock_network.device.observation import Conditions, Observation
from mock_network.device.operations import Operations, Outcome
from mock_network.device.oplog import OperationLog
from mock_network.device.refusal import UNAUTHORIZED, OperationError
from mock_network.device.reporting import Reporting
from mock_network.device.tree import Changed, ObjectTree
from mock_network.device.watch import Watch
from mock_network.lwm2m.definitions import REPORT_CONTROL, SERVER
from mock_network.lwm2m.messages import FETCH, Request, Response
from mock_network.lwm2m.paths import Path
from mock_network.lwm2m.values import Record

BOOTSTRAP = 0
"""Stands for the bootstrap server where a Short Server ID is meant: no server has it."""
_OBSERVES = frozenset({"Observe", "Observe-Composite"})


class Serving:
    """Carries out requests, and has the observations: `watches` are the current ones.

    `account` returns the account of a server by its Short Server ID.
    """

    def __init__(
        self,
        tree: ObjectTree,
        operations: Operations,
        bootstrap: BootstrapInterface,
        reporting: Reporting,
        account: Callable[[int], Account | None],
        *,
        confirmable: bool,
    ) -> None:
        self.log = OperationLog()
        self.watches: set[Watch] = set()
        self.tables: defaultdict[int, AttributeTable] = defaultdict(AttributeTable)
        """Attributes by Short Server ID: what one server attaches concerns no other."""
        self._tree, self._operations, self._bootstrap, self._reporting = tree, operations, bootstrap, reporting
        self._account = account
        self._confirmable = confirmable

    def perform(self, request: Request, server: int | None) -> Response:
        """Carry out a request of a server, of BOOTSTRAP, or of an unknown sender (None), and return its response."""
        if server is None:
            outcome = Outcome("Unknown", (), Response(UNAUTHORIZED, b"this device knows no such server"))
        elif server == BOOTSTRAP:
            outcome = self._bootstrap.perform(request)
        else:
            outcome = self._operations.perform(request, server)
        now = asyncio.get_running_loop().time()
        self.log.add(
            now,
            current_clock().wall(),
            outcome.operation,
            "/" + "/".join(request.path),
            outcome.response.code,
            request.payload,
            request.mid,
            request.token,
        )
        if outcome.operation == "Write-Attributes":
            self.refresh()
        if server and outcome.operation in _OBSERVES and outcome.response.ok:
            return self._observe(request, server, outcome, now)
        return outcome.response

    # Observations.

    def _observe(self, request: Request, server: int, outcome: Outcome, now: float) -> Response:
        conditions = [self._conditions(path, server) for path in outcome.paths]
        observation = Observation.begin(outcome.paths, conditions, now)
        watch = Watch(server, request, observation, self._values, self._content, self.watches.discard)
        observation.sent(self._values(watch), now)
        self.watches.add(watch)
        first = outcome.response
        return Response(
            first.code, first.payload, first.content_format, confirmable=self._confirmable, subscription=watch
        )

    def _conditions(self, path: Path, server: int) -> Conditions:
        account = self._account(server)
        periods = [0.0, 0.0]
        if account is not None:
            for index, resource in enumerate((DEFAULT_PMIN, DEFAULT_PMAX)):
                value = self._tree.get_or((*account.server, resource), 0)
                periods[index] = float(value) if isinstance(value, int) else 0.0
        return self._reporting.conditions(path, self.tables[server].effective(path, periods[0], periods[1]))

    def _values(self, watch: Watch) -> list[Record]:
        return self._operations.composite_records(watch.observation.paths, watch.server)

    def _content(self, watch: Watch) -> Response:
        """Return the next notification; a refusal ends the observation."""
        self._reporting.report(watch.observation.causes())
        paths, accept = watch.observation.paths, watch.request.accept
        try:
            if watch.request.code == FETCH:
                content = self._operations.composite_content(paths, accept, watch.server)
            else:
                content = self._operations.content(paths, accept, watch.server)
        except OperationError as error:
            return Response(error.code, error.reason.encode())
        return Response(content.code, content.payload, content.content_format, confirmable=self._confirmable)

    def changed(self, changed: Changed) -> None:
        """Learn that something changed in the tree."""
        if any(path[0] in {SERVER, REPORT_CONTROL} for path in changed.paths):
            self.refresh()
        for watch in list(self.watches):
            for path in changed.paths:
                watch.changed(path)

    def refresh(self) -> None:
        """Take over attributes and conditions that were written since."""
        for watch in self.watches:
            for one in watch.observation.watched:
                one.conditions = self._conditions(one.path, watch.server)
            watch.wake.set()

    def reset(self) -> None:
        """Forget the attributes of all servers (factory reset)."""
        self.tables.clear()
