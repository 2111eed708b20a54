"""`python -m tests.fuzz.guided TARGET ARGUMENTS…`: one target under atheris; the arguments are libFuzzer's."""

import sys

import atheris

with atheris.instrument_imports(include=["bridge", "bindings"]):
    from tests.fuzz.targets import TARGETS


def main(name: str, arguments: list[str]) -> None:
    """Fuzz until libFuzzer ends the process: code 0 when its time has ended, another one after a fault."""
    again = f"{sys.executable} -m tests.fuzz.guided {name}"  # what libFuzzer types to run itself when it merges
    atheris.Setup([again, *arguments], TARGETS[name].run)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
