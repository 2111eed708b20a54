"""How values go to PostgreSQL: types that do not depend on the value, so that a prepared statement fits all of them."""

import psycopg
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import StrDumper


class _Text(StrDumper):
    """PostgreSQL's text has no NUL; what a peer sent with one keeps a mark in its place."""

    def dump(self, obj: str) -> bytes | bytearray | memoryview | None:
        return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}") if "\0" in obj else obj)


def adapt(connection: psycopg.Connection) -> None:
    """Have a connection send values so."""
    connection.adapters.register_dumper(int, Int8Dumper)
    connection.adapters.register_dumper(bool, Int8Dumper)  # flags are numbers, as they are in SQLite
    connection.adapters.register_dumper(str, _Text)
