"""The documentation builds as a web site without a warning, and a page that is broken is noticed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT

ROOT_PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(site)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


@pytest.fixture(name="built", scope="module")
def built_fixture(tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    done = build(ROOT, site)
    assert done.returncode == 0, done.stdout + done.stderr
    return site


def test_every_page_is_in_the_site(built):
    sources = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    names = {
        "decisions/index.html" if str(one) == "decisions/README.md" else str(one)[:-3] + ".html" for one in sources
    }
    names |= {"contributing.html", "security.html", "changelog.html"}
    assert not {name for name in names if not (built / name).exists()}


def test_pages_load_nothing_from_elsewhere(built):
    """Except the library that draws diagrams, which the theme fetches on pages that have one."""
    for page in built.rglob("*.html"):
        loaded = re.findall(r"<(?:script|img|iframe)[^>]+src=\"?(https?://[^\"> ]+)", page.read_text())
        loaded += re.findall(r"<link[^>]+rel=\"?stylesheet[^>]+href=\"?(https?://[^\"> ]+)", page.read_text())
        assert not loaded, f"{page}: {loaded}"


def test_a_link_that_leads_nowhere_is_an_error(tmp_path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for name in (*ROOT_PAGES, "mkdocs.yml"):
        shutil.copy(ROOT / name, tmp_path)
    with (tmp_path / "docs" / "states.md").open("a") as page:
        page.write("\n[nowhere](no-such-page.md)\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert "no-such-page.md" in done.stdout + done.stderr
