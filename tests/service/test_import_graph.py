"""No module imports itself through others: data flows one way."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("bridge", "bindings", "mock_network", "benchmarks")

Graph = dict[str, set[str]]


def modules() -> dict[str, Path]:
    """Return all modules by name."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(tree: ast.AST, known: set[str]) -> Iterator[str]:
    """Yield the modules of ours that a syntax tree imports, wherever it does: in functions and for types, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in known:
                    yield inner
                elif node.module in known:
                    yield node.module


def graph() -> Graph:
    """Return which module imports which."""
    there = modules()
    known = set(there)
    return {name: {*imported(ast.parse(path.read_text()), known)} - {name} for name, path in there.items()}


def circles(edges: Graph) -> list[list[str]]:
    """Return the sets of modules that import each other, each sorted (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in edges.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            component, stack[at:] = stack[at:], []
            if len(component) > 1:
                found.append(sorted(component))

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return found


def test_no_module_imports_itself_through_others() -> None:
    edges = graph()
    assert len(edges) > 200, "the walk finds the modules"
    assert circles(edges) == []


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"a"}}, [["a", "b"]]),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}, [["a", "b", "c"]]),
    ],
)
def test_a_circle_is_found(edges: Graph, expected: list[list[str]]) -> None:
    assert circles(edges) == expected


def test_imports_within_functions_and_for_types_count() -> None:
    text = "import a\nfrom b import c\nif TYPE_CHECKING:\n    import d\ndef f():\n    from e import g\n"
    assert {*imported(ast.parse(text), {"a", "b", "b.c", "d", "e"})} == {"a", "b.c", "d", "e"}
