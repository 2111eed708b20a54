"""`python -m tests.fuzz [--seconds N] [--keep] [TARGET…]`: fuzz each target for a while; what breaks one is kept.

A table says how much was tried. Exit code 1: an input broke its target. It is then in `tests/fuzz/crashes`, where
`make test` runs it again.
"""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.components import BUILD
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

LARGEST = 4096  # bytes of an input
SLOWEST = 10  # seconds that one input may take
MEMORY = 2048  # MB


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--keep", action="store_true", help="add inputs that reach more of the code to the corpus")
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - TARGETS.keys():
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    print(f"{'target':20}{'inputs tried':>14}{'reached':>10}   found", flush=True)
    broken = 0
    for name in arguments.targets or TARGETS:
        found = fuzz(TARGETS[name], arguments.seconds)
        broken += bool(found)
        if arguments.keep:
            keep(TARGETS[name])
    return int(broken > 0)


def fuzz(target: Target, seconds: int) -> set[Path]:
    """Fuzz one target and print its line; return the new inputs that break it."""
    work = BUILD / "fuzz" / target.name
    seeds = _written(target, [*target.seeds(), *(data for _, data in target.inputs())])
    work.mkdir(parents=True, exist_ok=True)
    before = _crashes(target)
    output = _libfuzzer(target, f"-max_total_time={seconds}", work, seeds)
    found = _crashes(target) - before
    tried, reached = _last(r"#(\d+)\s", output), _last(r"cov: (\d+)", output)
    print(f"{target.name:20}{tried:>14}{reached:>10}   {len(found) or '-'}", flush=True)
    if found or tried == "?":
        print(output[-4000:])
    for file in sorted(found):
        print(f"kept: {file}; make test fails with it until it is mended")
    return found


def keep(target: Target) -> None:
    """Make the corpus again: as few inputs as reach what all together reach."""
    work, merged = BUILD / "fuzz" / target.name, BUILD / "fuzz" / f"{target.name}-merged"
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir()
    _libfuzzer(target, "-merge=1", merged, _written(target, [data for _, data in target.inputs()]), work)
    target.keep(file.read_bytes() for file in merged.iterdir())


def _written(target: Target, inputs: list[bytes]) -> Path:
    """Write inputs as the files that libFuzzer wants; return their folder."""
    folder = BUILD / "fuzz" / f"{target.name}-seeds"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, data in enumerate(inputs):
        (folder / str(number)).write_bytes(data)
    return folder


def _libfuzzer(target: Target, what: str, *folders: Path) -> str:
    """Run libFuzzer on a target: what it finds goes into the first folder. Return what it printed."""
    options = [f"-max_len={LARGEST}", f"-timeout={SLOWEST}", f"-rss_limit_mb={MEMORY}"]
    command = [sys.executable, "-m", "tests.fuzz.guided", target.name, what, *options]
    command += [f"-artifact_prefix={target.crashes}/", *map(str, folders)]
    target.crashes.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if not _crashes(target):
        target.crashes.rmdir()
    return done.stdout.decode(errors="replace")


def _crashes(target: Target) -> set[Path]:
    return set(target.crashes.glob("*"))


def _last(pattern: str, output: str) -> str:
    found = re.findall(pattern, output)
    return found[-1] if found else "?"


if __name__ == "__main__":
    sys.exit(main())
