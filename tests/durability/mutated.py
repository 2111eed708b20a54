"""A copy of the bridge with one mistake in it, to see that a proof fails when what it proves is gone."""

import shutil
from pathlib import Path

import bridge
from tests.mutations.mutations import MUTATIONS
from tests.mutations.places import mutate, read_modules

RUN = """\
import runpy, sys
sys.path.insert(0, {folder!r})
sys.argv = ["lwm2m-bridge", *sys.argv[3:]]
runpy.run_module("bridge.cli", run_name="__main__")
"""


def mutated(folder: Path, what: str) -> list[str]:
    """Copy the bridge into `folder` with the mutation called `what`; return python's arguments that run the copy.

    What follows them is `-m bridge.cli …`, as for the bridge itself.
    """
    source = Path(bridge.__file__).parent
    shutil.copytree(source, folder / "bridge", ignore=shutil.ignore_patterns("__pycache__"))
    mutation = next(one for one in MUTATIONS if one.what == what)
    mutate(folder, read_modules(folder), mutation.function, mutation.pattern, mutation.replacement)
    return ["-c", RUN.format(folder=str(folder))]
