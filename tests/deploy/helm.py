"""`python -m tests.deploy.helm` builds helm by `go install`: ten minutes or more, once, beside other work."""

import sys

from tests.components.component import BUILD, Component, why_absent
from tests.components.fetching import fetch

VERSION = "v3.19.0"
_FOLDER = BUILD / "helm"
_GO = f'GOBIN="{_FOLDER}" GOFLAGS=-p=1 CGO_ENABLED=0 nice -n 15 go install -v helm.sh/helm/v3/cmd/helm@{VERSION}'

HELM = Component(
    name="helm",
    title="Helm (go install)",
    programs=(),
    sources=(),
    command=("sh", "-c", _GO),
    offline=("sh", "-c", f"GOPROXY=off {_GO}"),
    directory=_FOLDER,
    fetched=r"go: downloading ",
    unreachable=r"dial tcp|no such host|i/o timeout|connection refused|module lookup disabled",
)


if __name__ == "__main__":
    fetch(HELM, lambda _line: None)
    sys.exit(why_absent(HELM))
