"""The directory as CSV: every line is checked before any is imported; wrong lines are reported."""

import asyncio
import csv
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from bridge.directory.directory import CHUNK, Directory
from bridge.directory.keys import ByDevice, ByName
from bridge.directory.record import Draft, EndpointRecord
from bridge.errors import ConfigurationError, DirectoryError, NotServedHere
from bridge.spreadsheet import unguarded

COLUMNS = ("endpoint", "network", "address", "servers", "profile", "default_ttl", "object_list")
REQUIRED = ("network", "address")
TURN = 100  # lines checked before other work gets its turn: a few ms


@dataclass(frozen=True, slots=True)
class Fault:
    """A line that cannot be imported. The header is line 1."""

    line: int
    reason: str


class RowOutcome(StrEnum):
    """What an import made of a line, or would make of it in a dry run."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    WRONG = "wrong"
    LEFT_OUT = "left out"  # correct, but others are wrong and the import takes all or none


@dataclass(frozen=True, slots=True)
class ReportedRow:
    """A line and what became of it."""

    line: int
    name: str  # "": the line is no endpoint
    outcome: RowOutcome


@dataclass(slots=True)
class Imported:
    """The result of an import, or of its dry run. `unchanged` lines are in the directory already."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    faults: list[Fault] = field(default_factory=list)
    rows: list[ReportedRow] = field(default_factory=list)  # each line, in order


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    draft: Draft  # checked
    given: dict[str, object]  # the fields of the draft that are columns of the file


_NOT_UTF_8 = "is not UTF-8; export the file as UTF-8"


@contextmanager
def open_csv(path: Path) -> Iterator[TextIO]:
    """Open a file for `import_csv`. Bytes that are not UTF-8 become a fault of their line."""
    try:
        file = path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    with closing(file):
        yield file


async def import_csv(
    directory: Directory,
    lines: Iterable[str],
    *,
    partial: bool = False,
    update: bool = False,
    dry_run: bool = False,
    step: Callable[[int], None] = lambda _lines: None,
) -> Imported:
    """Add the endpoints of a CSV file, and with `update` change existing ones whose settings differ.

    One faulty line refuses all, unless `partial` imports the correct ones. The lines are written in several
    transactions: if the store fails in the middle (StoreUnavailable), run the import again; lines that were written are
    `unchanged` then. A `dry_run` changes nothing and reports what would be done. `step` is called with the number of
    lines that are done since the last call. Raises ConfigurationError if the header is wrong.
    """
    imported = Imported()
    good = [line async for line in _checked(directory, lines, imported.faults)]
    step(len(imported.faults))
    fresh: list[_Line] = []
    other: list[_Line] = []
    for start in range(0, len(good), TURN):
        lines_now = good[start : start + TURN]
        there = await asyncio.gather(*(directory.find(ByName(line.draft.name)) for line in lines_now))
        holders = await asyncio.gather(
            *(directory.find(ByDevice(line.draft.network, line.draft.device)) for line in lines_now)
        )
        for line, same_name, same_device in zip(lines_now, there, holders, strict=True):
            _compare(line, same_name, same_device, update, imported, fresh, other)
    refused = bool(imported.faults) and not partial
    if refused:
        imported.unchanged = 0
    elif dry_run:
        imported.changed, imported.added = len(other), len(fresh)
    else:
        step(imported.unchanged)
        for start in range(0, len(other), CHUNK):
            await _update(directory, chunk := other[start : start + CHUNK], imported)
            step(len(chunk))
        for start in range(0, len(fresh), CHUNK):
            await _add(directory, chunk := fresh[start : start + CHUNK], imported)
            step(len(chunk))
    imported.faults.sort(key=lambda fault: fault.line)
    imported.rows = _report(good, fresh, other, imported.faults, refused=refused)
    return imported


def _report(
    good: Sequence[_Line], fresh: Sequence[_Line], other: Sequence[_Line], faults: Sequence[Fault], *, refused: bool
) -> list[ReportedRow]:
    """Return what became of each line, in order."""
    outcomes: dict[int, RowOutcome] = {line.number: RowOutcome.UNCHANGED for line in good}
    outcomes |= {line.number: RowOutcome.CHANGED for line in other}
    outcomes |= {line.number: RowOutcome.ADDED for line in fresh}
    if refused:
        outcomes = dict.fromkeys(outcomes, RowOutcome.LEFT_OUT)
    outcomes |= {fault.line: RowOutcome.WRONG for fault in faults}
    names = {line.number: line.draft.name for line in good}
    return [ReportedRow(number, names.get(number, ""), outcomes[number]) for number in sorted(outcomes)]


def read_drafts(lines: Iterable[str]) -> Iterator[tuple[int, Draft | str, Sequence[str]]]:
    """Return (line, draft, header) for each line, or (line, reason, header).

    Raises ConfigurationError if the header is wrong.
    """
    reader = csv.reader(lines, strict=True)
    header: list[str] | None = None
    while True:
        number = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            if header is None:
                raise ConfigurationError(f"line {number}: not CSV: {error}") from error
            yield number, f"not CSV: {error}", header
            continue
        if not any(fields):
            continue
        if any("\udc80" <= character <= "\udcff" for field in fields for character in field):  # PEP 383
            if header is None:
                raise ConfigurationError(f"line {number}: {_NOT_UTF_8}")
            yield number, _NOT_UTF_8, header
        elif header is None:
            header = _header(fields)
        elif len(fields) != len(header):
            reason = f"{len(fields)} fields instead of {len(header)}; a field with commas needs quotes"
            yield number, reason, header
        else:
            texts = (unguarded(field.strip()) for field in fields)  # as `endpoint export` writes them
            yield number, _draft(dict(zip(header, texts, strict=True))), header
    if header is None:
        raise ConfigurationError(f"the file is empty; the first line must be a header like {','.join(COLUMNS)}")


def _header(fields: Sequence[str]) -> list[str]:
    header = [name.strip().lower().removeprefix("\ufeff") for name in fields]
    for name in header:
        if name not in COLUMNS:
            hint = "" if len(fields) > 1 else ", and commas stand between them"
            raise ConfigurationError(f"line 1: unknown column {name!r}; the columns are {','.join(COLUMNS)}{hint}")
    if len(set(header)) != len(header):
        raise ConfigurationError("line 1: a column is named twice")
    if missing := [name for name in REQUIRED if name not in header]:
        raise ConfigurationError(f"line 1: the column {missing[0]!r} is missing; the columns are {','.join(COLUMNS)}")
    return header


def _draft(row: dict[str, str]) -> Draft | str:
    for name in REQUIRED:
        if not row[name]:
            return f"{name} is empty"
    ttl = row.get("default_ttl", "")
    try:
        seconds = float(ttl) if ttl else None
    except ValueError:
        return f"default_ttl {ttl!r} is not a number of seconds"
    return Draft(
        network=row["network"],
        device=row["address"],
        name=row.get("endpoint", ""),
        servers=tuple(row.get("servers", "").replace(";", " ").split()),
        profile=row.get("profile", ""),
        default_ttl=seconds,
        object_list=row.get("object_list") or None,
    )


def _given(draft: Draft, header: Sequence[str]) -> dict[str, object]:
    """Return the fields that a line sets; fields without a column are left out."""
    fields = {column: "device" if column == "address" else column for column in header if column != "endpoint"}
    return {name: getattr(draft, name) for name in fields.values()}


async def _checked(directory: Directory, lines: Iterable[str], faults: list[Fault]) -> AsyncIterator[_Line]:
    names: dict[str, int] = {}
    devices: dict[tuple[str, str], int] = {}
    for count, (number, found, header) in enumerate(read_drafts(lines)):
        if count % TURN == 0:
            await asyncio.sleep(0)
        if isinstance(found, str):
            faults.append(Fault(number, found))
            continue
        try:
            draft = directory.catalogue.check(found)
        except DirectoryError as error:
            faults.append(Fault(number, str(error)))
            continue
        before = names.setdefault(draft.name, number)
        device = devices.setdefault((draft.network, draft.device), number)
        if before != number:
            faults.append(Fault(number, f"endpoint {draft.name!r} is in line {before} already"))
        elif device != number:
            faults.append(Fault(number, f"device {draft.device!r} is in line {device} already"))
        else:
            yield _Line(number, draft, _given(draft, header))


def _compare(
    line: _Line,
    there: EndpointRecord | None,
    holder: EndpointRecord | None,
    update: bool,
    imported: Imported,
    fresh: list[_Line],
    other: list[_Line],
) -> None:
    """Compare a line with the endpoints that have its name and its device, if there are any."""
    draft = line.draft
    if holder is not None and holder.name != draft.name:
        reason = f"device {draft.device!r} of network {draft.network!r} is endpoint {holder.name!r} already"
        imported.faults.append(Fault(line.number, reason))
    elif there is None:
        fresh.append(line)
    elif not (differing := [name for name, value in line.given.items() if getattr(there, name) != value]):
        imported.unchanged += 1
    elif update:
        other.append(line)
    else:
        reason = f"endpoint {draft.name!r} exists with another {differing[0]}; an import with update would change it"
        imported.faults.append(Fault(line.number, reason))


async def _update(directory: Directory, chunk: list[_Line], imported: Imported) -> None:
    try:
        imported.changed += len(await directory.update_all([(line.draft.name, line.given) for line in chunk]))
    except (DirectoryError, NotServedHere):  # something changed meanwhile, or two lines swap devices: find those lines
        for line in chunk:
            try:
                await directory.update(line.draft.name, **line.given)
                imported.changed += 1
            except DirectoryError as error:
                imported.faults.append(Fault(line.number, str(error)))
            except NotServedHere as error:  # not passed on: the other node has no more of the file than this one
                reason = f"{error}, or change the endpoint by `endpoint set`, which any node takes"
                imported.faults.append(Fault(line.number, reason))


async def _add(directory: Directory, chunk: list[_Line], imported: Imported) -> None:
    try:
        imported.added += len(await directory.add_all([line.draft for line in chunk]))
    except DirectoryError:  # an endpoint was added meanwhile, or no address is left: find the faulty line
        for line in chunk:
            try:
                await directory.add(line.draft)
                imported.added += 1
            except DirectoryError as error:
                imported.faults.append(Fault(line.number, str(error)))
