"""Tests are tried: each mistake of `mutations` is made in a copy of the tree, and its test must fail there."""

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.mutations.mutations import MUTATIONS as MISTAKES, Mutation
from tests.mutations.places import Module, find, read_modules
from tests.mutations.requirements import REMOVED as CORE
from tests.mutations.security import REMOVED as SECURITY
from tests.mutations.servers import MUTATIONS as SERVERS
from tests.mutations.trials import Ended, Trials
from tests.requirements.labels import groups

ROOT = Path(__file__).parents[2]
SIDE_BY_SIDE = 3  # many of their tests wait and do not compute
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
    """The groups are those of §6.1.1, and of §6.1.3 those whose tests need no Java."""
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
def trials(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, modules: list[Module]
) -> Iterator[dict[str, Future[Ended]]]:
    """Yield, by the names of the tests below that were asked for, what will have come of them."""
    with Trials(ROOT, tmp_path_factory.mktemp("trees"), modules, SIDE_BY_SIDE) as made:
        futures = {}
        for item in request.session.items:
            if item.name == UNBROKEN:
                tests = sorted({test for mutation in MUTATIONS for test in mutation.test.split()})
                futures[item.name] = made.begin_unbroken(" ".join(tests), limit=1100)
            elif isinstance(item, pytest.Function) and item.originalname == BROKEN:
                futures[item.name] = made.begin(item.callspec.params["mutation"], limit=300)
        yield futures


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_without_a_mutation_their_tests_pass(trials: dict[str, Future[Ended]]) -> None:
    ended = trials[UNBROKEN].result()
    assert ended.code == 0, ended.text


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=NAMES)
def test_every_mutation_is_noticed(
    trials: dict[str, Future[Ended]], mutation: Mutation, request: pytest.FixtureRequest
) -> None:
    code, text = trials[request.node.name].result()
    assert code == FAILED, f"{mutation.what}: not noticed (exit {code})\n{text[-2000:]}"
    assert "error" not in text.splitlines()[-1], f"{mutation.what}: the tests could not run\n{text[-2000:]}"


UNBROKEN = test_without_a_mutation_their_tests_pass.__name__
BROKEN = test_every_mutation_is_noticed.__name__
