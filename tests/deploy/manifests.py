"""The chart as Helm renders it, and the checks of what comes out."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.markdown import ROOT

CHART = ROOT / "charts" / "lwm2m-nonip-bridge"
ALERTS = CHART / "files" / "alerts.yaml"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
MINIMAL = CHART / "ci" / "existing-claim-values.yaml"


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run helm; skip the test where it is not installed: it is no program that all tests need."""
    if shutil.which("helm") is None:
        pytest.skip("helm is not installed: go install helm.sh/helm/v3/cmd/helm@latest")
    return subprocess.run(["helm", *arguments], capture_output=True, text=True, check=False, timeout=60)


def rendered(values: Path) -> list[dict[str, Any]]:
    """Return the objects of the chart with a file of values."""
    done = helm("template", "field", CHART, "--namespace", "iot", "--values", values)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def the(kind: str, objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the only object of a kind."""
    (found,) = [one for one in objects if one["kind"] == kind]
    return found
