"""What the bindings believe of T8, held against 3GPP's own OpenAPI files."""

import re

import pytest

from bindings.nidd import operations as nidd
from bindings.t8.operations import Operation
from tests.conftest import need_openapi
from tests.t8.openapi import Official

FILES = {"3gpp-nidd/v1": "TS29122_NIDD.yaml"}


def operations():
    return [one for room in (nidd,) for one in vars(room).values() if isinstance(one, Operation)]


@pytest.fixture(scope="module")
def official():
    return Official(need_openapi())


@pytest.fixture(params=operations(), ids=lambda one: f"{one.method} {one.path}")
def operation(request):
    return request.param


@pytest.fixture
def listed(official, operation):
    """The same operation as the file of its API has it."""
    paths = official.file(FILES[operation.api])["paths"]
    for path, item in paths.items():
        if re.sub(r"{\w+}", "{}", path) == "/{}" + operation.path:
            return item[operation.method.lower()]
    pytest.fail(f"{operation.path} is not in {FILES[operation.api]}")


def test_the_successes_are_those_of_the_file(operation, listed):
    assert {str(status) for status in operation.successes} == {code for code in listed["responses"] if code < "300"}


def test_the_media_type_of_the_body_is_that_of_the_file(operation, listed):
    assert [operation.media_type] == list(listed.get("requestBody", {"content": {"": {}}})["content"])
