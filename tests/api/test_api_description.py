"""The description of the API, held against the service by requests made from it."""

from functools import cache
from typing import Any

import msgspec
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from bridge.control.rest.openapi import described
from bridge.control.rest.routes import ROUTES
from bridge.operations.registry import OPERATIONS

load_all_checks()
CONFORMS = [CHECKS.get_one(f"{what}_conformance") for what in ("status_code", "content_type", "response_schema")]
EXAMPLES = 8  # per operation and mode
OPERATION_IDS = [
    operation["operationId"] for methods in described()["paths"].values() for operation in methods.values()
]


def tried() -> settings:
    return settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )


def test_every_operation_is_offered() -> None:
    assert {route.request.NAME for route in ROUTES} == set(OPERATIONS)


def test_the_description_is_served_without_a_key(live: tuple[str, str]) -> None:
    answer = requests.get(f"{live[0]}/v1/openapi.json", timeout=20)
    assert answer.json() == msgspec.json.decode(msgspec.json.encode(described()))


@cache
def _operations() -> dict[str, Any]:
    """Return the operations that are described, by name."""
    found = [one.ok() for one in schemathesis.openapi.from_dict(described()).get_all_operations()]
    return {operation.definition.raw["operationId"]: operation for operation in found}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OPERATION_IDS)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_whatever_is_asked_is_answered_as_described(live: tuple[str, str], name: str, mode: GenerationMode) -> None:
    url, key = live
    operation = _operations()[name]

    @tried()
    @given(operation.as_strategy(generation_mode=mode))
    def one(case: Any) -> None:
        answer = case.call(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=20)
        assert answer.status_code < 500 or answer.json()["error"] in {"BindingError", "NotRunning"}, answer.text
        case.validate_response(answer, checks=CONFORMS)

    try:
        one()
    except Exception as error:
        if mode is GenerationMode.NEGATIVE and "Unsatisfiable" in type(error).__name__:
            pytest.skip("nothing that this operation takes can be wrong")
        raise
