"""Where a mutation goes: found by a function's qualified name and a pattern of Python syntax, never by quoted lines.

A pattern is Python code in which two things stand for others, written as semgrep and ast-grep write them:

- `$name` matches any expression or any identifier; used twice, both must be the same. `$_` matches without that.
- `...` matches any run of statements, arguments or operands. In a call with `...`, further keywords may be there, too.

The replacement may use the same names, and `...` for each run in the order of the pattern. An empty replacement removes
statements. Layout, comments, quotes and parentheses make no difference, and the file of a function is not named: code
may be moved, reformatted, and its local variables renamed. What must be kept up is the name of the function.
"""

import ast
import copy
import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PRODUCTION = ("bridge", "bindings", "mock_network")
_WILD = "wild_"
_IGNORED = frozenset({"ctx", "type_comment", "kind", "type_params"})


class PlaceIsGone(AssertionError):
    """No place, or more than one, fits a mutation. The message says what to change in `mutations.py`."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place that fits a pattern: `run` nodes from `at` of the field `field` of `parent`, which may be no list."""

    file: Path
    function: str
    parent: ast.AST
    field: str
    at: int
    run: int
    found: "Found"

    @property
    def line(self) -> int:
        nodes = getattr(self.parent, self.field)
        node = nodes[self.at] if isinstance(nodes, list) else nodes
        return int(node.lineno)


@dataclass(slots=True)
class Found:
    """What the wildcards of a pattern stand for."""

    names: dict[str, Any] = field(default_factory=dict)
    runs: list[list[ast.AST]] = field(default_factory=list)

    def take(self, other: "Found") -> None:
        self.names, self.runs = other.names, other.runs


@dataclass(frozen=True, slots=True)
class Module:
    """A parsed module, and the functions, classes and assigned names in it by qualified name."""

    file: Path
    tree: ast.Module
    scopes: list[tuple[str, ast.AST]]

    def text(self) -> str:
        """Return the source again, without comments and layout."""
        return ast.unparse(ast.fix_missing_locations(self.tree)) + "\n"


def read_modules(root: Path) -> list[Module]:
    """Return every module of the production code under `root`, parsed."""
    files = sorted(file for room in PRODUCTION for file in (root / room).rglob("*.py"))
    modules = []
    for file in files:
        tree = ast.parse(file.read_text())
        modules.append(Module(file.relative_to(root), tree, list(_scopes(tree, ""))))
    return modules


def find(modules: list[Module], function: str, pattern: str) -> Place:
    """Return the one place inside `function` that fits `pattern`; raise PlaceIsGone if there is none, or several."""
    wanted = _parse(pattern)
    named = [(module, scope) for module in modules for name, scope in module.scopes if name == function]
    places = [place for module, scope in named for place in _places(module.file, function, scope, wanted)]
    if len(places) == 1:
        return places[0]
    raise PlaceIsGone(_advice(modules, function, pattern, wanted, places, is_named=bool(named)))


def mutate(root: Path, modules: list[Module], function: str, pattern: str, replacement: str) -> Module:
    """Write one mutation into the copy of the production code under `root`; return the module that it is in."""
    place = find(modules, function, pattern)
    module = next(one for one in modules if one.file == place.file)
    before = getattr(place.parent, place.field)
    setattr(place.parent, place.field, _after(place, before, replacement))
    try:
        (root / place.file).write_text(module.text())
    finally:
        setattr(place.parent, place.field, before)
    return module


def _after(place: Place, before: Any, replacement: str) -> Any:
    """Return what stands at a place instead."""
    runs = iter(place.found.runs)
    new = [_filled(node, place.found, runs) for node in _parse(replacement)]
    if isinstance(before, list) and isinstance(before[0], ast.stmt):
        return [*before[: place.at], *new, *before[place.at + place.run :]] or [ast.Pass()]
    (value,) = [node.value for node in new]
    return [*before[: place.at], value, *before[place.at + 1 :]] if isinstance(before, list) else value


def _parse(pattern: str) -> list[ast.stmt]:
    return ast.parse(re.sub(r"\$(\w+)", rf"{_WILD}\1", pattern)).body


def _scopes(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        names: list[str] = []
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [child.name]
        elif isinstance(child, ast.Assign | ast.AnnAssign):
            targets = child.targets if isinstance(child, ast.Assign) else [child.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
        for name in names:
            yield prefix + name, child
        yield from _scopes(child, f"{prefix}{names[0]}." if names else prefix)


def _places(file: Path, function: str, scope: ast.AST, pattern: list[ast.stmt]) -> Iterator[Place]:
    """Yield what fits inside a scope: a run of statements, or one expression if the pattern is an expression."""
    alone = pattern[0].value if len(pattern) == 1 and isinstance(pattern[0], ast.Expr) else None
    for parent in ast.walk(scope):
        if isinstance(parent, ast.Expr):
            continue  # it was tried as a statement
        for name, value in ast.iter_fields(parent):
            nodes = value if isinstance(value, list) else [value]
            is_block = bool(nodes) and isinstance(nodes[0], ast.stmt)
            run = len(pattern) if is_block else 1
            for at in range(len(nodes) - run + 1):
                found = Found()
                if is_block:
                    fits = _same_list(pattern, nodes[at : at + run], found)
                else:
                    fits = alone is not None and isinstance(nodes[at], ast.expr) and _same(alone, nodes[at], found)
                if fits:
                    yield Place(file, function, parent, name, at, run, found)


def _same(pattern: Any, node: Any, found: Found) -> bool:
    if isinstance(pattern, ast.Name) and pattern.id.startswith(_WILD):
        return isinstance(node, ast.expr) and _bind(pattern.id, node, found)
    if isinstance(pattern, str) and pattern.startswith(_WILD):
        return isinstance(node, str) and _bind(pattern, node, found)
    if isinstance(pattern, list):
        return isinstance(node, list) and _same_list(pattern, node, found)
    if type(pattern) is not type(node):
        return False
    if not isinstance(pattern, ast.AST):
        return bool(pattern == node)
    if isinstance(pattern, ast.Call) and any(_is_run(one) for one in pattern.args):
        return _same(pattern.func, node.func, found) and _same_arguments(pattern, node, found)
    return all(
        _same(value, getattr(node, name), found) for name, value in ast.iter_fields(pattern) if name not in _IGNORED
    )


def _same_arguments(pattern: ast.Call, node: ast.Call, found: Found) -> bool:
    """Return whether the arguments of a call fit; the run takes also the keywords that the pattern does not name."""
    wanted = {one.arg: one.value for one in pattern.keywords}
    there = {one.arg: one.value for one in node.keywords}
    if not wanted.keys() <= there.keys() or not _same_list(pattern.args, node.args, found):
        return False
    found.runs[-1] = [*found.runs[-1], *(one for one in node.keywords if one.arg not in wanted)]
    return all(_same(value, there[name], found) for name, value in wanted.items())


def _same_list(pattern: list[Any], nodes: list[Any], found: Found) -> bool:
    if not pattern:
        return not nodes
    if _is_run(pattern[0]):
        for length in range(len(nodes) + 1):
            attempt = Found(dict(found.names), [*found.runs, nodes[:length]])
            if _same_list(pattern[1:], nodes[length:], attempt):
                found.take(attempt)
                return True
        return False
    attempt = Found(dict(found.names), list(found.runs))
    if nodes and _same(pattern[0], nodes[0], attempt) and _same_list(pattern[1:], nodes[1:], attempt):
        found.take(attempt)
        return True
    return False


def _is_run(node: Any) -> bool:
    inner = node.value if isinstance(node, ast.Expr) else node
    return isinstance(inner, ast.Constant) and inner.value is ...


def _bind(name: str, node: Any, found: Found) -> bool:
    if name == _WILD + "_":
        return True
    return _same(found.names.setdefault(name, node), node, found)


def _filled(node: Any, found: Found, runs: Iterator[list[ast.AST]]) -> Any:
    """Return a copy of a replacement with what its wildcards stand for."""
    if isinstance(node, ast.Name) and node.id in found.names:
        return copy.deepcopy(found.names[node.id])
    if isinstance(node, str):
        return found.names.get(node, node)
    if isinstance(node, list):
        filled: list[Any] = []
        for one in node:
            filled += copy.deepcopy(next(runs)) if _is_run(one) else [_filled(one, found, runs)]
        return filled
    if not isinstance(node, ast.AST):
        return node
    made = type(node)(**{name: _filled(value, found, runs) for name, value in ast.iter_fields(node)})
    if isinstance(made, ast.Call):
        made.keywords = [*made.keywords, *(one for one in made.args if isinstance(one, ast.keyword))]
        made.args = [one for one in made.args if not isinstance(one, ast.keyword)]
    return made


def _advice(
    modules: list[Module],
    function: str,
    pattern: str,
    wanted: list[ast.stmt],
    places: list[Place],
    *,
    is_named: bool,
) -> str:
    """Say why no one place fits, and what to write instead."""
    if places:
        where = sorted((str(place.file), place.line) for place in places)
        lines = [f"{len(places)} places in {function} fit the pattern; make it longer until one is left:"]
        return "\n".join([*lines, *(f"    {file}:{line}" for file, line in where)])
    names = sorted({name for module in modules for name, _ in module.scopes})
    elsewhere = [
        f"    {place.file}:{place.line} in {name}"
        for module in modules
        for name, scope in module.scopes
        if not isinstance(scope, ast.ClassDef)
        for place in _places(module.file, name, scope, wanted)
    ]
    lines = [f"nothing in {function} fits the pattern" if is_named else f"no function or name {function}", ""]
    lines += ["    " + line for line in pattern.splitlines()]
    if elsewhere:
        lines += ["", "The pattern fits here; if the rule is kept there now, name that function:", *elsewhere[:5]]
    elif not is_named:
        lines += ["", f"Names like it: {', '.join(difflib.get_close_matches(function, names, 5, 0.5)) or 'none'}"]
    return "\n".join(
        [
            *lines,
            "",
            "To point this mutation anew: find the code that keeps the rule now, set `function` and `pattern` to it in",
            "tests/mutations/mutations.py, and see that the mutation's test fails with the replacement:",
            "    make test-slow ARGS='tests/mutations -k \"WORDS OF ITS NAME\"'",
        ]
    )
