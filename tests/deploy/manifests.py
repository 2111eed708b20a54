"""The chart as Helm renders it, and the checks of what comes out."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.helm import HELM
from tests.docs.markdown import ROOT

CHART = ROOT / "charts" / "lwm2m-nonip-bridge"
ALERTS = CHART / "files" / "alerts.yaml"
CLOUDNATIVE_PG = ROOT / "deploy" / "cloudnative-pg"
VALUES = [*sorted((CHART / "ci").glob("*-values.yaml")), CLOUDNATIVE_PG / "values.yaml"]
KUBERNETES = "1.31.0"  # that the chart is held against
MINIMAL = CHART / "ci" / "existing-claim-values.yaml"


def helm(command: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run helm; skip the test where it is not installed: it is no program that all tests need."""
    program = shutil.which("helm") or (HELM.folder / "helm" if HELM.is_built() else None)
    if program is None:
        pytest.skip("helm is not installed: python -m tests.deploy.helm builds it, in a quarter of an hour")
    # A helm that was not released knows no version of Kubernetes, and takes the oldest.
    words = [program, command, *arguments, "--kube-version", KUBERNETES]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


def rendered(values: Path) -> list[dict[str, Any]]:
    """Return the objects of the chart with a file of values."""
    done = helm("template", "field", CHART, "--namespace", "iot", "--values", values)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.load_all(done.stdout, yaml.CSafeLoader) if one]


def the(kind: str, objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the only object of a kind."""
    (found,) = [one for one in objects if one["kind"] == kind]
    return found
