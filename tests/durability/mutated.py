"""A copy of the bridge with one line changed, to see that a proof fails when what it proves is gone."""

import shutil
from pathlib import Path

import bridge

RUN = """\
import runpy, sys
sys.path.insert(0, {folder!r})
sys.argv = ["lwm2m-bridge", *sys.argv[3:]]
runpy.run_module("bridge.cli", run_name="__main__")
"""


def mutated(folder: Path, module: str, line: str, instead: str) -> list[str]:
    """Copy the bridge into `folder`, change one line of a module, and give python's arguments that run the copy.

    What follows them is `-m bridge.cli …`, as for the bridge itself.
    """
    copy = folder / "bridge"
    shutil.copytree(Path(bridge.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    file = copy / module
    text = file.read_text()
    assert text.count(line) == 1, f"{module} has not exactly one {line!r}"
    file.write_text(text.replace(line, instead))
    return ["-c", RUN.format(folder=str(folder))]
