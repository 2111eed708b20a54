"""The store's statements are in the words of SQLite (`bridge/store/sql`); here they are said in PostgreSQL's."""

import re
from functools import cache

_PARAMETER = r"(\?|:\w+|e\.servers)"
_WORDS = (
    (rf"json_each\({_PARAMETER}\) v\b", r"json_array_elements_text(CAST(\1 AS json)) AS v(value)"),
    (rf"json_each\({_PARAMETER}\) (\w)", r"json_array_elements(CAST(\1 AS json)) AS \2(value)"),
    (r"\bCROSS JOIN\b", "JOIN"),  # tells SQLite an order; PostgreSQL finds its own
    (r" INDEXED BY \w+", ""),
    (r"\binstr\(", "strpos("),
    (r"\bGLOB :glob\b", "~ :regex"),
    (r"\bAS BLOB\)", "AS BYTEA)"),
    (r"\bsqlite_sequence\b", "id_sequence"),
    (r"is_registered\(r\.registrations, :now\) = 1", "(r.registered_until > :now)"),
    # SQLite numbers a new event by itself. Whoever inserts one here has raised the sequence by the number of new events
    # before, and says how many of them follow this one.
    (
        r'(INSERT INTO "event" \("id", .*?\) VALUES \()\?',
        r"\1(SELECT seq FROM id_sequence WHERE name = 'event') - CAST(? AS BIGINT)",
    ),
    (r"\?", "%s"),
    (r"(?<!:):([a-z]\w*)", r"%(\1)s"),
)


@cache
def translated(statement: str) -> bytes:
    """Return a statement of `bridge/store/sql` as psycopg takes it."""
    for word, ours in _WORDS:
        statement = re.sub(word, ours, statement)
    return statement.encode()
