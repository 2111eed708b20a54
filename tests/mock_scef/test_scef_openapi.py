"""The emulated SCEF against 3GPP's own files: each operation's successes and each error that is listed for it."""

import pytest
from scef_kit import UE
from scef_reach import CLIENT, GROUP, HELD, OTHER, UNABLE, Operation, Reach

from mock_network.scef.options import Group, ScsAs
from tests.conftest import need_openapi
from tests.t8.files import APIS, openapi_dir
from tests.t8.openapi import Official

WITH_BODY = "strict-r15"  # a profile that answers a change with the changed resource


def listed():
    """Return (operation, status) for all that the files list; nothing where they are absent."""
    folder = openapi_dir()
    if folder is None:
        return []
    found = []
    for api, name in APIS.items():
        for path, item in Official(folder).file(name)["paths"].items():
            for method, operation in item.items():
                if method != "parameters":
                    statuses = [status for status in operation["responses"] if status != "default"]
                    found += [(Operation(api, method, path), int(status)) for status in statuses]
    return found


def name_of(case):
    operation, status = case
    return f"{operation.method} {operation.api.split('/')[1]}{operation.path} {status}"


def test_the_files_are_there():
    need_openapi()


@pytest.mark.parametrize("case", listed(), ids=name_of)
async def test_an_answer_that_is_listed_can_be_had_and_is_as_the_file_has_it(start, case):
    operation, status = case
    changed = status == 200 and operation.method in {"put", "patch", "delete"}
    trigger = operation.kind == "transactions"
    scs_as = await start(
        ue={"t3412": 3600},
        profile_changes={"no_content": not changed} if operation.method != "delete" or trigger else None,
        ues=({"external_id": OTHER}, {"external_id": UNABLE, "parameters_allowed": False}),
        groups=(
            Group(external_group_id=GROUP, members=(UE, OTHER)),
            Group(external_group_id=HELD, members=(UE, UNABLE)),
        ),
        scs_as=(ScsAs(id="as9", secret=CLIENT["Authorization"].partition(" ")[2]),),
    )
    assert await getattr(Reach(scs_as, operation), f"status_{status}")() == status
