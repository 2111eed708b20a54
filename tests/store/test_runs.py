"""Changes of rows become few statements: those of one table that need the same statement go together, in order."""

from bridge.delivery.reports import UnattributedReport
from bridge.delivery.rows import Change, Delete, Insert, Update
from bridge.quota.usage import Usage
from bridge.store.sql.changes import runs


def insert(number: int) -> Change:
    return Insert(UnattributedReport, (number,))


def update(number: int) -> Change:
    return Update(Usage, (number,))


def test_what_another_table_gets_in_between_does_not_part_a_run() -> None:
    found = list(runs([insert(1), update(1), insert(2), update(2)]))
    assert found == [((Insert, UnattributedReport), [(1,), (2,)]), ((Update, Usage), [(1,), (2,)])]


def test_the_changes_of_a_table_stay_in_order() -> None:
    gone = Delete(UnattributedReport, (1,))
    found = list(runs([insert(1), update(1), gone, insert(1), insert(2)]))
    assert [(form[0], values) for form, values in found if form[1] is UnattributedReport] == [
        (Insert, [(1,)]),
        (Delete, [(1,)]),
        (Insert, [(1,), (2,)]),
    ]


def test_no_change_is_no_statement() -> None:
    assert list(runs([])) == []
