"""The emulated SCEF against 3GPP's own files: each operation's successes and each error that is listed for it."""

import pytest
from scef_kit import UE
from scef_reach import CLIENT, GROUP, HELD, OTHER, UNABLE, Operation, Reach

from mock_network.scef.options import Group, ScsAs
from tests.conftest import need_openapi
from tests.t8.files import APIS, openapi_dir
from tests.t8.openapi import Official

CASES = {}  # operation → statuses; nothing where the files are absent
if openapi_dir() is not None:
    for api, name in APIS.items():
        for path, item in Official(openapi_dir()).file(name)["paths"].items():
            for method in [one for one in item if one != "parameters"]:
                statuses = sorted(int(status) for status in item[method]["responses"] if status != "default")
                CASES[Operation(api, method, path)] = statuses

# A profile that answers a change with 204 answers none of these with 200.
RESOURCE_IN_ANSWER = {"put", "patch"}


def test_the_files_are_there():
    need_openapi()


@pytest.mark.parametrize("operation", CASES, ids=lambda one: f"{one.method} {one.api.split('/')[1]}{one.path}")
async def test_every_answer_that_is_listed_can_be_had_and_is_as_the_file_has_it(start, operation):
    had, servers = {}, {}
    for status in CASES[operation]:
        no_content = not (
            status == 200 and (operation.method in RESOURCE_IN_ANSWER or operation.kind == "transactions")
        )
        if no_content not in servers:
            servers[no_content] = await start(
                ue={"t3412": 3600},
                profile_changes={"no_content": no_content},
                ues=({"external_id": OTHER}, {"external_id": UNABLE, "parameters_allowed": False}),
                groups=(
                    Group(external_group_id=GROUP, members=(UE, OTHER)),
                    Group(external_group_id=HELD, members=(UE, UNABLE)),
                ),
                scs_as=(ScsAs(id="as9", secret=CLIENT["Authorization"].partition(" ")[2]),),
            )
        had[status] = await getattr(Reach(servers[no_content], operation), f"status_{status}")()
    assert had == {status: status for status in CASES[operation]}
