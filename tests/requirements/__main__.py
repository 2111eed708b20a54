"""`python -m tests.requirements` writes docs/requirements.md; with --check it only says whether that is up to date.

It runs no test: what came of the marked tests is in `results.json`, which `pytest --requirements-report` writes.
Results of tests that are no longer marked are taken out.
"""

import difflib
import sys

from tests.requirements.collecting import ROOT, collect
from tests.requirements.page import page
from tests.requirements.results import read, write

FILE = ROOT / "docs" / "requirements.md"


def main(arguments: list[str]) -> int:
    """Return the exit code: 1 if the page is out of date."""
    proofs, code = collect()
    recorded = read()
    results = {test: result for test, result in recorded.items() if test in code}
    new = page(proofs, code, results)
    if arguments != ["--check"]:
        write(results)
        FILE.write_text(new)
        return 0
    missing = sorted(test for test in code if test not in results or results[test].code != code[test])
    if missing:
        sys.stderr.write("no result is recorded for the code of these tests; run them with --requirements-report:\n")
        sys.stderr.writelines(f"  {test}\n" for test in missing)
    if results != recorded:
        sys.stderr.write("results.json has tests that are not marked: python -m tests.requirements takes them out\n")
    old = FILE.read_text() if FILE.exists() else ""
    sys.stderr.writelines(
        difflib.unified_diff(old.splitlines(True), new.splitlines(True), "as it is", "as it should be")
    )
    return int(old != new or bool(missing) or results != recorded)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
