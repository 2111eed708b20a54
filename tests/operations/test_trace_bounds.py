"""What a trace holds is bounded, also by the texts of calls, which have no message."""

from bridge.trace.entry import Entry, EntryKind
from bridge.trace.traces import BYTES, Trace


def test_the_texts_of_calls_count_like_messages() -> None:
    trace = Trace(1, "urn:dev:1", payload=True, read_at=0.0)
    for _ in range(4096):
        trace.add(Entry(0.0, EntryKind.CALL, "nidd", note="x" * 2000))
    assert sum(len(entry.note) for entry in trace.entries) <= BYTES
