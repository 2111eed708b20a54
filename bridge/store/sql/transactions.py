"""How a group of batches becomes one transaction, in the thread that writes.

Batches of a group are applied in the order in which they were given. A group that the database refuses fails as a
whole. A group that fails for any other reason holds a batch that is wrong in itself: the group is done again with a
transaction for each batch, so that only the wrong one fails.

A batch that builds on a failed one is not kept either (`bridge.store.followers`). Work that refuses with a BridgeError
is no failure: it answered, and nothing builds on it.
"""

import logging
from collections.abc import Iterable, Sequence

from bridge.delivery.rows import Change, Run
from bridge.errors import BridgeError, StoreUnavailable
from bridge.store.followers import Followers
from bridge.store.sealing import NO_BODIES
from bridge.store.sql.batches import Batch, Wrong, failed_of
from bridge.store.sql.changes import runs
from bridge.store.sql.connection import Connection

log = logging.getLogger(__name__)

FOLLOWS = "an earlier commit of this endpoint failed"


def _refuse_what_builds_on_them(group: list[Batch]) -> None:
    """Fail each batch without changes that comes after a failed batch of its endpoint in the same group.

    Its step ran on a state that is not kept: it may acknowledge a message that is not stored.
    """
    failed: set[int] = set()
    for batch in group:
        if batch.endpoint is None:
            continue
        if batch.failed:
            failed.add(batch.endpoint)
        elif batch.endpoint in failed:
            batch.error = StoreUnavailable(FOLLOWS)


class Transactions:
    """Writes groups on a connection. All is called in one thread. A kind of database adds `transact`."""

    def __init__(self) -> None:
        self._followers = Followers()
        self.bodies = NO_BODIES

    def write(self, group: list[Batch]) -> int:
        """Commit a group, and set the result in each batch; return how many rows were changed.

        A bug fails the group, whatever became of it in the database, and not the groups after it.
        """
        try:
            return self._write(group)
        except Exception as bug:
            log.exception("a group of batches could not be written because of a bug", extra={"sample": "writer"})
            failure = StoreUnavailable(f"the store failed because of a bug, see the log: {bug!r}")
            self.fail([batch for batch in group if batch.error is None], failure)
            self._followers.group_ended(failed=True)
            return 0

    def _write(self, group: list[Batch]) -> int:
        if self._followers:
            self._followers.forget(group[0].generation)  # generations never fall along the queue
            self._refuse_followers(group)
        asked = [batch for batch in group if batch.error is None]
        try:
            self.check()
        except StoreUnavailable as failure:
            self.fail(asked, failure)
        else:
            wanted = [batch for batch in asked if batch.changes or batch.work]
            if wanted:
                self.commit(wanted)
        failed = bool(failed_of(group))
        if failed:
            _refuse_what_builds_on_them(asked)
        self._followers.group_ended(failed=failed)
        return sum([len(batch.changes) for batch in asked if batch.error is None])

    def tidy(self) -> None:
        """Do what can wait until a group is told."""

    def check(self) -> None:
        """Raise StoreUnavailable if nothing may be committed now."""

    def commit(self, batches: list[Batch]) -> None:
        """Commit batches, and record in each one that was not committed why."""
        try:
            self.transact(batches)
        except Wrong as wrong:
            self.blame(batches, wrong)
        except StoreUnavailable as failure:
            self.fail(batches, failure)

    def blame(self, batches: list[Batch], wrong: Wrong) -> None:
        """Commit batches so that only the wrong one among them fails."""
        log.error("one of %d batches cannot be stored, each is committed alone: %s", len(batches), wrong.__cause__)
        self.one_by_one(batches)

    def transact(self, batches: list[Batch]) -> None:
        """Commit batches as one.

        Raises StoreUnavailable if the database refuses, Wrong from the cause if a batch is to blame.
        """
        raise NotImplementedError

    def one_by_one(self, batches: list[Batch]) -> None:
        """Commit each of these batches alone."""
        for batch in batches:
            self._refuse_followers([batch])
            if batch.error is not None:
                continue
            try:
                self.transact([batch])
            except Wrong as wrong:
                log.error("a batch of endpoint %s cannot be stored", batch.endpoint, exc_info=wrong.__cause__)  # noqa: TRY400  # the cause is what counts
                failure = StoreUnavailable(f"the store cannot take these changes: {wrong.__cause__}")
                failure.__cause__ = wrong.__cause__
                self.fail([batch], failure)
            except StoreUnavailable as failure:
                self.fail([batch], failure)

    def fail(self, batches: Iterable[Batch], failure: StoreUnavailable) -> None:
        """Record that batches are not kept, nor what builds on them."""
        for batch in batches:
            batch.error = failure
            self._followers.failed(batch.endpoint)

    def _refuse_followers(self, batches: list[Batch]) -> None:
        for batch in batches:
            if self._followers.follows(batch.endpoint, batch.generation):
                batch.error = StoreUnavailable(FOLLOWS)

    def apply(self, connection: Connection, batches: Sequence[Batch]) -> None:
        """Carry out all batches within the transaction that has begun. Work that refuses is undone alone."""
        changes: list[Change] = []  # of the batches since the last work: applied together
        for batch in batches:
            if batch.work is None:
                changes += batch.changes
                continue
            if changes:
                self._change(changes)
                changes = []
            connection.execute("SAVEPOINT work")
            try:
                batch.result = batch.work(connection)
            except BridgeError as refusal:  # a considered answer, not a fault
                batch.error = refusal
                batch.refused = True
                connection.execute("ROLLBACK TO work")
            connection.execute("RELEASE work")
        if changes:
            self._change(changes)

    def _change(self, changes: Iterable[Change]) -> None:
        self.change(self.bodies.sealed(runs(changes)))

    def change(self, given: Iterable[Run]) -> None:
        """Apply runs of changes in order. Raises LookupError if a row to update is not there."""
        raise NotImplementedError
