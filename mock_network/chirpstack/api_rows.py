"""Create, Get, Update, Delete and List of one kind of rows, for the services of the emulated server to mix in."""

# ruff: noqa: N802 - gRPC methods have the names of the .proto files

from typing import Any, ClassVar

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from .driver import Driver
from .errors import Refused, Status
from .table import Table
from .tables import Tables
from .values import timestamp, uuid


def required(request: Any, name: str) -> Any:
    """Return a message field that the request must have; INVALID_ARGUMENT without it."""
    if not request.HasField(name):
        raise Refused(Status.INVALID_ARGUMENT, f"{name} is missing")
    return getattr(request, name)


class Rows:
    """The calls that are the same for every kind. A service sets its table and messages, and adds its own calls."""

    table: ClassVar[str]  # of `Tables`
    field: ClassVar[str]  # the row in requests and answers
    key: ClassVar[str] = "id"
    created: ClassVar[type[Message] | None] = None  # None where the caller chooses the key: Create answers Empty
    got: ClassVar[type[Message]]
    listed: ClassVar[type[Message]]
    list_below: ClassVar[str | None] = None  # the parent that a List must name; others it may name

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    @property
    def _tables(self) -> Tables:
        return self._driver.server.context.tables

    @property
    def _table(self) -> Table[Any, Any, Any]:
        table: Table[Any, Any, Any] = getattr(self._tables, self.table)
        return table

    async def Create(self, request: Any, _: object) -> Message:
        """Add a row."""
        row = self._table.create(required(request, self.field), self._driver.now())
        return self.created(id=str(row.id)) if self.created else Empty()

    async def Get(self, request: Any, _: object) -> Message:
        """Read a row."""
        row = self._table.get(getattr(request, self.key))
        answer = self.got(
            created_at=timestamp(row.created_at), updated_at=timestamp(row.updated_at), **{self.field: row.message}
        )
        self.more_of(row, answer)
        return answer

    async def Update(self, request: Any, _: object) -> Empty:
        """Change a row."""
        self._table.update(required(request, self.field), self._driver.now())
        return Empty()

    async def Delete(self, request: Any, _: object) -> Empty:
        """Remove a row, and with it all that refers to it."""
        self._table.delete(getattr(request, self.key))
        return Empty()

    async def List(self, request: Any, _: object) -> Any:
        """List rows by name; a limit of 0 gives the count only."""
        named = [column for column in self._table.parents if getattr(request, column) or column == self.list_below]
        parents = {column: uuid(getattr(request, column)) for column in named}
        rows = [
            row
            for row in self._table.rows.values()
            if all(getattr(row, column) == value for column, value in parents.items())
            and request.search.lower() in row.message.name.lower()
            and self.wanted(row, request)
        ]
        rows.sort(key=lambda row: row.message.name)
        answer: Any = self.listed(total_count=len(rows))
        for row in rows[request.offset : request.offset + request.limit]:
            item = answer.result.add(created_at=timestamp(row.created_at), updated_at=timestamp(row.updated_at))
            _share(row.message, item)
            self.more_of(row, item)
        return answer

    def wanted(self, _row: Any, _request: Any) -> bool:
        """Return whether a row matches the further members of a List."""
        return True

    def more_of(self, row: Any, answer: Any) -> None:
        """Add members that are not in the row's message to the answer of Get, or to an item of List."""


def _share(message: Message, item: Message) -> None:
    """Copy the fields that an item of a list has in common with the kind's own message."""
    for field, value in message.ListFields():
        if field.name not in item.DESCRIPTOR.fields_by_name:
            continue
        if hasattr(value, "MergeFrom"):  # a message, a list or a map
            getattr(item, field.name).MergeFrom(value)
        else:
            setattr(item, field.name, value)
