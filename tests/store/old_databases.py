"""Databases as earlier releases wrote them, checked in as SQL."""

from pathlib import Path
from typing import Any

import apsw

VERSION_0_1_0 = Path(__file__).parent / "databases" / "version_0_1_0.sql"


def build(path: Path, sql: Path = VERSION_0_1_0) -> dict[str, dict[int, dict[str, Any]]]:
    """Make a database out of its SQL; return its messages as they are there, by table and id."""
    connection = apsw.Connection(str(path))
    connection.execute(sql.read_text("utf-8"))
    messages: dict[str, dict[int, dict[str, Any]]] = {}
    for table in ("downlink", "uplink"):
        cursor = connection.execute(f"SELECT * FROM {table}")
        names = [name for name, *_ in cursor.description]
        messages[table] = {row["id"]: row for row in (dict(zip(names, values, strict=True)) for values in cursor)}
    connection.close()
    return messages
