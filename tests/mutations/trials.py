"""Mutations are tried side by side, each in a copy of the tree; the tests of a copy are run by a warm process."""

import contextlib
import json
import os
import queue
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from compileall import compile_dir
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import IO, NamedTuple, Self

from tests.mutations.mutations import Mutation
from tests.mutations.places import Module, mutate

COPIED = ("bridge", "bindings", "mock_network", "tests", "docs", "pyproject.toml")
ARGUMENTS = ("-x", "-q", "-m", "not slow", "-p", "no:cacheprovider")
PATIENCE = "--timeout=30"  # seconds for a test that may hang, as mutations are tried beside others


class Ended(NamedTuple):
    """What came of tests: pytest's exit code (negative: the signal that ended it), and all that it said."""

    code: int
    text: str


class Tree:
    """A copy of the tree, and the process that runs tests in it."""

    def __init__(self, path: Path) -> None:
        """`path`: the copy, as `make_copy` made it."""
        self.path = path
        self._output = path.with_name(f"{path.name}.output")
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        path = self.path
        environment = {**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(path / "examples")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        return subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm.py"))],
            cwd=path,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, tests: str, limit: float, *more: str) -> Ended:
        """Run tests: paths or names, with spaces between; `more`: further arguments of pytest.

        Raises TimeoutError if they have not ended after `limit` s; OSError if the process that runs them has ended.
        """
        asked, answer = _both(self._process)
        request = {
            "tree": str(self.path),
            "arguments": [*ARGUMENTS, *more, *tests.split()],
            "output": str(self._output),
        }
        asked.write(json.dumps(request).encode() + b"\n")
        asked.flush()
        ended, _, _ = select.select([answer], [], [], limit)
        line = answer.readline() if ended else b""
        text = self._output.read_text(errors="replace") if self._output.exists() else ""
        if line:
            return Ended(int(line), text)
        self.stop()
        self._process = self._start()
        if ended:
            raise OSError(f"the process that runs tests ended while {tests} ran\n{text[-2000:]}")
        raise TimeoutError(f"{tests} has not ended after {limit} s\n{text[-2000:]}")

    def stop(self) -> None:
        """End the process, and a run that has not ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in _both(self._process):
            pipe.close()


def _both(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def make_copy(root: Path, copy: Path, modules: Iterable[Module]) -> None:
    """Copy the tree, with code as `mutate` writes it: without comments.

    Byte code is compared with the source's hash when it is loaded, not with its time: a module is broken and mended
    within a second, and hundreds of runs need not compile the others again.
    """
    copy.mkdir()
    for name in COPIED:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    for module in modules:
        (copy / module.file).write_text(module.text())
    compile_dir(copy, quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)


class Trials:
    """Tries mutations, `count` at a time, in the order in which they are asked for."""

    def __init__(self, root: Path, folder: Path, modules: list[Module], count: int) -> None:
        """Make the copies in `folder`, which must be empty."""
        self._modules = modules
        self._one_at_a_time = threading.Lock()  # `mutate` changes a parsed module, and mends it
        self._trees: queue.SimpleQueue[Tree] = queue.SimpleQueue()
        paths = [folder / f"tree{number}" for number in range(count)]
        make_copy(root, paths[0], modules)
        for path in paths[1:]:
            shutil.copytree(paths[0], path)
        self._all = [Tree(path) for path in paths]
        for tree in self._all:
            self._trees.put(tree)
        self._pool = ThreadPoolExecutor(count)

    def __enter__(self) -> Self:
        """Return these trials."""
        return self

    def __exit__(self, *_: object) -> None:
        """Try nothing more; what is under way is ended."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for tree in self._all:
            tree.stop()
        self._pool.shutdown()

    def begin(self, mutation: Mutation, limit: float) -> Future[Ended]:
        """Have a mutation tried; the result is what came of its test, TimeoutError after `limit` s."""
        return self._pool.submit(self._noticed, mutation, limit)

    def begin_unbroken(self, tests: str, limit: float) -> Future[Ended]:
        """Have tests run without any mutation; the result is what came of them, TimeoutError after `limit` s."""
        return self._pool.submit(self._unbroken, tests, limit)

    def _noticed(self, mutation: Mutation, limit: float) -> Ended:
        tree = self._trees.get()
        with self._one_at_a_time:
            module = mutate(tree.path, self._modules, mutation.function, mutation.pattern, mutation.replacement)
        try:
            return tree.run(mutation.test, limit, PATIENCE)
        finally:
            with self._one_at_a_time:
                (tree.path / module.file).write_text(module.text())
            self._trees.put(tree)

    def _unbroken(self, tests: str, limit: float) -> Ended:
        tree = self._trees.get()
        try:
            return tree.run(tests, limit)
        finally:
            self._trees.put(tree)
