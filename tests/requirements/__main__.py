"""`python -m tests.requirements` writes docs/requirements.md; with --check it only says whether that is up to date."""

import difflib
import sys

from tests.requirements.collecting import ROOT, collect
from tests.requirements.page import page

FILE = ROOT / "docs" / "requirements.md"


def main(arguments: list[str]) -> int:
    """Return the exit code: 1 if the page is out of date."""
    new = page(collect())
    if arguments != ["--check"]:
        FILE.write_text(new)
        return 0
    old = FILE.read_text() if FILE.exists() else ""
    sys.stderr.writelines(
        difflib.unified_diff(old.splitlines(True), new.splitlines(True), "as it is", "as it should be")
    )
    return int(old != new)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
