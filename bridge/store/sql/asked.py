"""The requests that one read can answer, and the read itself."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from bridge.directory.contract import FoundRecord
from bridge.directory.keys import ByDevice, Key
from bridge.directory.record import EndpointRecord
from bridge.errors import StoreUnavailable
from bridge.relay.model import EndpointRows
from bridge.store.contract import FoundEndpoint, FoundWithNote, StoredEndpoint
from bridge.store.notes import FoundNote
from bridge.store.sealing import Bodies
from bridge.store.sql.connection import Connection
from bridge.store.sql.directory_rows import records_of
from bridge.store.sql.endpoint_rows import rows_of
from bridge.store.sql.note_rows import Notes, NotesByKey, notes_of, notes_with


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of one read."""

    records: dict[Key, EndpointRecord]
    kept: dict[int, EndpointRows]
    notes: NotesByKey
    of_devices: dict[tuple[str, str], Notes]  # (network, device) → all its notes

    def found(self, key: Key) -> StoredEndpoint | None:
        record = self.records.get(key)
        if record is None or record.id not in self.kept:
            return None
        return StoredEndpoint(record, self.kept[record.id], self.of_devices.get((record.network, record.device), {}))


class ReadRequest:
    """One request, and its callback. `now` is the wall time for which rows are requested; None: no rows."""

    now: float | None = None

    def keys(self, _notes: NotesByKey) -> Iterable[Key]:
        """Return the key of the endpoint, after the notes were read."""
        return ()

    def concerns(self, _answer: Answer) -> Iterable[Hashable]:
        """Return the keys whose change makes this answer out of date."""
        return ()

    def hand_over(self, answer: Answer) -> None:
        raise NotImplementedError

    def refuse(self, error: StoreUnavailable) -> None:
        raise NotImplementedError


class RecordRequest(ReadRequest):
    def __init__(self, key: Key, done: FoundRecord) -> None:
        self.key = key
        self._done = done

    def keys(self, _notes: NotesByKey) -> Iterable[Key]:
        return (self.key,)

    def hand_over(self, answer: Answer) -> None:
        self._done(answer.records.get(self.key), None)

    def refuse(self, error: StoreUnavailable) -> None:
        self._done(None, error)


class EndpointRequest(ReadRequest):
    def __init__(self, key: Key, now: float, done: FoundEndpoint) -> None:
        self.key = key
        self.now = now
        self._done = done

    def keys(self, _notes: NotesByKey) -> Iterable[Key]:
        return (self.key,)

    def concerns(self, answer: Answer) -> Iterable[Hashable]:
        return _concerns(answer.records.get(self.key))

    def hand_over(self, answer: Answer) -> None:
        self._done(answer.found(self.key), None)

    def refuse(self, error: StoreUnavailable) -> None:
        self._done(None, error)


class NoteRequest(ReadRequest):
    def __init__(self, network: str, key: str, done: FoundNote) -> None:
        self.note = network, key
        self._done = done

    def concerns(self, _answer: Answer) -> Iterable[Hashable]:
        return (self.note,)

    def hand_over(self, answer: Answer) -> None:
        there = answer.notes.get(self.note)
        self._done(None if there is None else there[1], None)

    def refuse(self, error: StoreUnavailable) -> None:
        self._done(None, error)


class NoteWithEndpointRequest(ReadRequest):
    def __init__(self, network: str, key: str, now: float, done: FoundWithNote) -> None:
        self.note = network, key
        self.now = now
        self._done = done

    def keys(self, notes: NotesByKey) -> Iterable[Key]:
        there = notes.get(self.note)
        return () if there is None or not there[0] else (ByDevice(self.note[0], there[0]),)

    def concerns(self, answer: Answer) -> Iterable[Hashable]:
        for key in self.keys(answer.notes):
            yield from _concerns(answer.records.get(key))
        yield self.note

    def hand_over(self, answer: Answer) -> None:
        there = answer.notes.get(self.note)
        found = None
        for key in self.keys(answer.notes):
            found = answer.found(key)
        self._done(None if there is None else there[1], found, None)

    def refuse(self, error: StoreUnavailable) -> None:
        self._done(None, None, error)


def _concerns(record: EndpointRecord | None) -> Iterable[Hashable]:
    return () if record is None else (record.id, (record.network, "", record.device))


def read(connection: Connection, group: Sequence[ReadRequest], bodies: Bodies) -> Answer:
    """Return the answers to a group of requests, as of one moment."""
    connection.execute("BEGIN")
    try:
        wanted = [one.note for one in group if isinstance(one, NoteRequest | NoteWithEndpointRequest)]
        notes = notes_with(connection, wanted) if wanted else {}
        keys = {key: one.now for one in group for key in one.keys(notes)}
        records = records_of(connection, keys) if keys else {}
        times = [one.now for one in group if one.now is not None]
        if not times:
            return Answer(records, {}, notes, {})
        with_rows = [
            record
            for one in group
            if one.now is not None
            for key in one.keys(notes)
            if (record := records.get(key)) is not None
        ]
        kept = rows_of(connection, {record.id for record in with_rows}, min(times), bodies) if with_rows else {}
        devices = {(record.network, record.device) for record in with_rows}
        return Answer(records, kept, notes, notes_of(connection, devices) if devices else {})
    finally:
        connection.execute("COMMIT")
