"""`python -m tests.components` fetches and builds what tests use; with --programs it prints what is not installed.

Exit code 1: a build failed; or something is absent although REQUIRE_ALL=1; or, with --programs, a program is missing.
"""

import os
import sys
import time

from tests.components import COMPONENTS, PROGRAMS, program_is_missing, why_absent
from tests.components.fetching import BuildFailed, fetch

EVERY = 5.0  # seconds between two lines of progress where they cannot replace each other


class Progress:
    """Lines on standard error: each instead of the one before on a terminal, now and then elsewhere."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._shown = False

    def show(self, line: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()
            self._shown = True
        elif time.monotonic() - self._last >= EVERY:
            self.say(line)

    def say(self, line: str) -> None:
        """Write a line that stays."""
        sys.stderr.write(f"\r\x1b[K{line}\n" if self._shown else f"{line}\n")
        self._last, self._shown = time.monotonic(), False


def missing_packages() -> int:
    """Print the Debian packages of the programs that are missing, one a line."""
    packages = sorted({one.package for one in PROGRAMS.values() if program_is_missing(one.name)})
    sys.stdout.writelines(f"{package}\n" for package in packages)
    return int(bool(packages))


def build() -> int:
    """Build every component; say what is new and what is absent."""
    required = os.environ.get("REQUIRE_ALL") == "1"
    progress = Progress()
    code = 0
    for component in COMPONENTS:
        if component.is_built():
            continue
        if not any(program_is_missing(program) for program in component.programs):
            try:
                fetch(component, progress.show)
            except BuildFailed as failed:
                progress.say(f"{failed}")
                return 1
        reason = why_absent(component)
        progress.say(f"{component.title}: built" if reason is None else f"tests with it skip: {reason}")
        code = code or int(required and reason is not None)
    return code


if __name__ == "__main__":
    sys.exit(missing_packages() if sys.argv[1:] == ["--programs"] else build())
