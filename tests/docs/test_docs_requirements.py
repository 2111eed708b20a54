"""The page of requirements tells what the tests show."""

import re
from types import SimpleNamespace

import pytest

from tests.requirements.collecting import collect_apart, digest_of, is_end_to_end, labels_of
from tests.requirements.labels import all_labels
from tests.requirements.page import page
from tests.requirements.results import Recorder, Result


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
    part, whole = "tests/relay/test_walk.py::test_x", "tests/e2e/test_operations.py::test_x"
    shown = page({LABEL: [part]}, {part: "1"}, {part: result()})
    assert re.search(f"- \\[ \\] `{LABEL}`: open.*\n  - in part: \\[x\\]\\(../tests/relay/test_walk.py\\)\n", shown)
    assert f"- [x] `{LABEL}`: " in page({LABEL: [whole]}, {whole: "1"}, {whole: result()})


LABEL = "LightweightM2M-LPW-1"


def result(outcome="passed", code="1"):
    return Result(outcome, "abc", "2026-01-31", code)


@pytest.mark.parametrize(
    ("results", "why"),
    [
        ({}, "did not run"),
        ({"tests/e2e/test_x.py::test_y": result("failed")}, "failed"),
        ({"tests/e2e/test_x.py::test_y": result("skipped")}, "skipped"),
        ({"tests/e2e/test_x.py::test_y": result(code="2")}, "changed since it ran"),
    ],
)
def test_a_label_is_open_if_one_of_its_tests_did_not_pass(results, why):
    good, other = "tests/e2e/test_x.py::test_x", "tests/e2e/test_x.py::test_y"
    shown = page({LABEL: [good, other]}, {good: "1", other: "1"}, {good: result(), **results})
    assert f"- [ ] `{LABEL}`: open" in shown
    assert f"\n  - [x](../tests/e2e/test_x.py)\n  - [y](../tests/e2e/test_x.py), {why}\n" in shown


def test_the_page_says_which_runs_it_rests_on():
    assert "those of 1 tests at abc (2026-01-31).\n" in page({}, {"t": "1"}, {"t": result()})


def report(when, outcome, code="1"):
    properties = [("requirement_test", ["tests/x.py::test_x", code])]
    return pytest.TestReport("tests/x.py::test_x[1]", ("", 0, ""), {}, outcome, None, when, user_properties=properties)


@pytest.mark.parametrize(
    ("reports", "outcome"),
    [
        ([("setup", "passed"), ("call", "passed"), ("teardown", "passed")], "passed"),
        ([("call", "passed"), ("call", "failed"), ("call", "passed")], "failed"),
        ([("call", "passed"), ("setup", "skipped")], "skipped"),
        ([("call", "passed"), ("teardown", "failed")], "failed"),
        ([("setup", "failed")], "failed"),
    ],
)
def test_a_test_with_parameters_counts_as_its_worst_case(reports, outcome):
    recorder = Recorder()
    for when, said in reports:
        recorder.pytest_runtest_logreport(report(when, said))
    assert recorder.found == {"tests/x.py::test_x": (outcome, "1")}


def test_a_set_up_alone_is_no_result():
    recorder = Recorder()
    recorder.pytest_runtest_logreport(report("setup", "passed"))
    assert recorder.found == {}


def test_a_test_is_another_one_if_its_code_changes_and_not_if_its_words_do():
    def one():
        """Say something."""
        assert 1 + 1 == 2

    first = digest_of(one)

    def one():  # the same in other words
        # as everybody knows
        assert 1 + 1 == 2

    assert digest_of(one) == first

    def one():
        assert 1 + 1 == 3

    assert digest_of(one) != first
