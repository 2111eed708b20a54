"""The page of requirements tells what the tests show."""

from types import SimpleNamespace

import pytest

from tests.requirements.collecting import collect_apart, is_end_to_end, labels_of
from tests.requirements.labels import all_labels
from tests.requirements.page import page


def test_the_page_is_up_to_date():
    code, errors = collect_apart()
    assert code == 0, f"write it anew with `python -m tests.requirements`:\n{errors}"


def test_there_are_81_labels_each_once():
    labels = all_labels()
    assert len(labels) == len(set(labels)) == 81
    assert "LightweightM2 M-LPW-10" in labels  # as the document spells it


def item(*labels):
    return SimpleNamespace(
        nodeid="tests/e2e/test_x.py::test_y", iter_markers=lambda _name: [pytest.mark.requirement(*labels).mark]
    )


def test_a_mark_with_an_unknown_label_is_an_error():
    assert list(labels_of(item("LightweightM2M-LPW-1"))) == ["LightweightM2M-LPW-1"]
    with pytest.raises(pytest.UsageError, match="LightweightM2M-LPW-7"):
        list(labels_of(item("LightweightM2M-LPW-7")))


def test_a_label_counts_only_where_the_test_goes_the_whole_way():
    assert is_end_to_end("tests/e2e/test_operations.py::test_x")
    assert is_end_to_end("tests/interop/test_leshan_through_bridge.py::test_x")
    assert not is_end_to_end("tests/interop/test_leshan_core.py::test_x")
    told = page({"LightweightM2M-LPW-1": ["tests/relay/test_walk.py::test_x"]})
    assert "- [ ] `LightweightM2M-LPW-1`: open\n  - in part: [x]" in told
    told = page({"LightweightM2M-LPW-1": ["tests/e2e/test_operations.py::test_x"]})
    assert "- [x] `LightweightM2M-LPW-1`: " in told
