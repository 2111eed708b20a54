"""What runs the tests of mutations says what came of them, and each run sees the tree as it is then."""

from collections.abc import Iterator

import pytest

from tests.mutations.trials import Tree

TEST = """
import os, signal, time
import shown

def test_it():
    {}
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    made = Tree(tmp_path_factory.mktemp("tree"))
    yield made
    made.stop()


def _write(tree: Tree, value: int, statement: str) -> None:
    (tree.path / "shown.py").write_text(f"VALUE = {value}\n")
    (tree.path / "test_it.py").write_text(TEST.format(statement))


def test_each_run_imports_the_tree_anew(tree: Tree) -> None:
    _write(tree, 1, "assert shown.VALUE == 1")
    assert tree.run("test_it.py", 60).code == 0
    _write(tree, 22, "assert shown.VALUE == 1")
    code, text = tree.run("test_it.py", 60)
    assert code == 1
    assert "assert 22 == 1" in text


def test_tests_that_cannot_run_are_told_from_those_that_fail(tree: Tree) -> None:
    assert tree.run("test_absent.py", 60).code == 4


def test_a_run_that_is_killed_is_no_failure_and_the_next_one_runs(tree: Tree) -> None:
    _write(tree, 1, "os.kill(os.getpid(), signal.SIGKILL)")
    assert tree.run("test_it.py", 60).code == -9
    _write(tree, 1, "pass")
    assert tree.run("test_it.py", 60).code == 0


def test_a_run_that_does_not_end_is_ended_and_the_next_one_runs(tree: Tree) -> None:
    _write(tree, 1, "time.sleep(1000)")
    with pytest.raises(TimeoutError, match="has not ended after 1 s"):
        tree.run("test_it.py", 1)
    _write(tree, 1, "pass")
    assert tree.run("test_it.py", 60).code == 0
