"""Tests are tried: each mistake of `mutations` is made in a copy of the tree, and its test must fail there."""

import os
import shutil
import subprocess
import sys
from compileall import compile_dir
from pathlib import Path
from py_compile import PycInvalidationMode

import pytest

from tests.mutations.mutations import MUTATIONS as MISTAKES, Mutation
from tests.mutations.places import Module, find, mutate, read_modules
from tests.mutations.requirements import REMOVED as CORE
from tests.mutations.security import REMOVED as SECURITY
from tests.mutations.servers import MUTATIONS as SERVERS
from tests.requirements.labels import groups

ROOT = Path(__file__).parents[2]
COPIED = ("bridge", "bindings", "mock_network", "tests", "docs", "pyproject.toml")
REMOVED = [*CORE, *SECURITY]
MUTATIONS = [*MISTAKES, *SERVERS, *(removed.mutation for removed in REMOVED)]
NAMES = [mutation.what for mutation in MUTATIONS]
FAILED = 1  # pytest's exit code for "tests ran, and some failed"; others say that they could not run


@pytest.fixture(scope="module")
def modules() -> list[Module]:
    return read_modules(ROOT)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=NAMES)
def test_every_mutation_has_one_place(modules: list[Module], mutation: Mutation) -> None:
    find(modules, mutation.function, mutation.pattern)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=NAMES)
def test_every_mutation_has_its_test(mutation: Mutation) -> None:
    for test in mutation.test.split():
        file, _, name = test.partition("::")
        cure = f"this mutation in tests/mutations/mutations.py names {test}: name the test that keeps the rule now"
        assert (ROOT / file).exists(), cure
        assert name in (ROOT / file).read_text() if name else True, cure


def test_no_two_mutations_are_the_same() -> None:
    assert len({(m.function, m.pattern, m.replacement) for m in MUTATIONS}) == len(MUTATIONS) == len(set(NAMES))


def test_each_requirement_of_these_groups_that_is_shown_has_a_mutation_of_its_own_test() -> None:
    """Those of §6.1.1, and of §6.1.3 those whose tests need no Java."""
    core = {"MBT", "ENC", "BsR", "MaU", "RMo", "DSE", "IR", "PKI", "TLS", "SCS", "E2Eo"}
    by = {label: removed.mutation for removed in REMOVED for label in removed.labels}
    page = (ROOT / "docs" / "requirements.md").read_text()
    shown = [label for group in groups() if group.name in core for label in group.labels if f"- [x] `{label}`" in page]
    assert [label for label in shown if label not in by] == []
    for label in shown:
        file, _, name = by[label].test.partition("::")
        (marks,) = (ROOT / file).read_text().split(f"def {name}(")[0].rsplit("\n\n\n", 1)[-1:]
        assert f'"{label}"' in marks, f"{by[label].test} is not marked with {label}"


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory, modules: list[Module]) -> list[Path]:
    """Return two copies of the tree, to be broken side by side, with code as `mutate` writes it: without comments.

    Byte code is compared with the source's hash when it is loaded, not with its time: a module is broken and mended
    within a second, and hundreds of runs need not compile the others again.
    """
    copies = []
    for n in range(2):
        copy = tmp_path_factory.mktemp(f"tree{n}")
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / name)
        for module in modules:
            (copy / module.file).write_text(module.text())
        compile_dir(copy, quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
        copies.append(copy)
    return copies


def start(tree: Path, tests: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-m",
        "not slow",
        "-p",
        "no:cacheprovider",
        "--timeout=20",
    ]
    environment = {**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(tree / "examples")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.Popen(
        [*command, *tests.split()],
        cwd=tree,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


PAIRS = [tuple(MUTATIONS[at : at + 2]) for at in range(0, len(MUTATIONS), 2)]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_without_a_mutation_their_tests_pass(trees: list[Path]) -> None:
    tests = sorted({test for mutation in MUTATIONS for test in mutation.test.split()})
    run = start(trees[0], " ".join(tests))
    text, _ = run.communicate()
    assert run.returncode == 0, text


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: " | ".join(m.what for m in pair))
def test_every_mutation_is_noticed(trees: list[Path], modules: list[Module], pair: tuple[Mutation, ...]) -> None:
    runs = []
    for tree, mutation in zip(trees, pair, strict=False):
        module = mutate(tree, modules, mutation.function, mutation.pattern, mutation.replacement)
        runs.append((tree, mutation, module, start(tree, mutation.test)))
    ended = [(mutation, run.communicate()[0], run.returncode) for _, mutation, _, run in runs]
    for tree, _, module, _ in runs:
        (tree / module.file).write_text(module.text())
    for mutation, text, code in ended:
        assert code == FAILED, f"{mutation.what}: not noticed (exit {code})\n{text[-2000:]}"
        assert "error" not in text.splitlines()[-1], f"{mutation.what}: the tests could not run\n{text[-2000:]}"
