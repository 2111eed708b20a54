"""What the bindings believe of T8, held against 3GPP's own OpenAPI files."""

import re

import pytest

from bindings.nidd import models, operations as nidd
from bindings.nidd.endpoint_options import PDN_OPTIONS
from bindings.nidd.models import _DELIVERY_STATUS
from bindings.reachability import models as reports, operations as reachability
from bindings.sms import models as sms_models, operations as triggering
from bindings.sms.models import _NOBODY_KNOWS
from bindings.sms.notifications import ACCEPTED
from bindings.t8.operations import REDIRECTS, Operation
from bindings.t8.problems import Problem, read_problem
from tests.conftest import need_openapi
from tests.t8.files import APIS, MO_SMS, TRIGGERING
from tests.t8.openapi import Official

FILES = {path.strip("/"): file for path, file in APIS.items()}


def operations():
    return [
        one for room in (nidd, triggering, reachability) for one in vars(room).values() if isinstance(one, Operation)
    ]


@pytest.fixture(scope="module")
def official():
    return Official(need_openapi())


@pytest.fixture(params=operations(), ids=lambda one: f"{one.api.split('/')[0]} {one.method} {one.path}")
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


def test_the_redirects_are_those_of_the_file(operation, listed):
    """Creating a resource has none; submitting a downlink has both."""
    expected = {str(status) for status in REDIRECTS} if operation.redirects else set()
    assert expected == {code for code in listed["responses"] if "300" <= code < "400"}


def test_the_media_type_of_the_body_is_that_of_the_file(operation, listed):
    assert [operation.media_type] == list(listed.get("requestBody", {"content": {"": {}}})["content"])


def schema(official, name, file="TS29122_NIDD.yaml"):
    return official.file(file)["components"]["schemas"][name]


def values(official, name, file="TS29122_NIDD.yaml"):
    return {value for one in schema(official, name, file)["anyOf"] for value in one.get("enum", ())}


def test_every_delivery_status_has_a_meaning(official):
    assert set(_DELIVERY_STATUS) == values(official, "DeliveryStatus")


def test_the_options_for_a_missing_connection_are_those_of_the_file(official):
    assert set(PDN_OPTIONS) == values(official, "PdnEstablishmentOptions")


def test_the_ends_of_a_configuration_begin_with_terminated(official):
    assert {one for one in values(official, "NiddStatus") if one.startswith("TERMINATED")} == {
        "TERMINATED", "TERMINATED_UE_NOT_AUTHORIZED",
    }  # fmt: skip
    assert values(official, "NiddStatus") - {"ACTIVE", "RDS_PORT_UNKNOWN"} == {
        "TERMINATED", "TERMINATED_UE_NOT_AUTHORIZED",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name", "ours"),
    [
        (models.Configuration, "NiddConfiguration", set()),
        (models.Delivery, "NiddDownlinkDataTransfer", {"status"}),  # one operator's name for deliveryStatus
    ],
)
def test_what_is_read_of_an_answer_is_in_the_file(official, kind, name, ours):
    assert set(kind.__struct_fields__) - ours <= set(schema(official, name)["properties"])


def test_what_is_read_of_a_notification_is_in_the_file(official):
    names = (
        "NiddUplinkDataNotification",
        "NiddDownlinkDataDeliveryStatusNotification",
        "NiddConfigurationStatusNotification",
        "GmdNiddDownlinkDataDeliveryNotification",
        "ManagePortNotification",
    )
    known = {member for name in names for member in schema(official, name)["properties"]} | {"subscription"}
    assert set(models.Notification.__struct_fields__) <= known


def test_a_failed_downlink_has_a_form_of_its_own(official):
    """500 to a downlink is NiddDownlinkDataDeliveryFailure as plain JSON; it alone speaks of this downlink."""
    post = official.file("TS29122_NIDD.yaml")["paths"][
        "/{scsAsId}/configurations/{configurationId}/downlink-data-deliveries"
    ]["post"]
    (media,) = post["responses"]["500"]["content"].items()
    assert media[0] == "application/json"
    assert media[1]["schema"]["$ref"].endswith("/NiddDownlinkDataDeliveryFailure")
    members = set(schema(official, "NiddDownlinkDataDeliveryFailure")["properties"])
    assert members == {"problemDetail", "requestedRetransmissionTime"}
    assert read_problem(b'{"problemDetail":{"cause":"X"}}') == Problem(cause="X", is_delivery_failure=True)


def test_what_is_read_of_a_problem_is_in_the_file(official):
    details = set(schema(official, "ProblemDetails", "TS29122_CommonData.yaml")["properties"])
    assert {"cause", "title", "detail"} <= details
    assert "cause" in details


def test_the_packet_size_counts_bits(official):
    assert "bit" in schema(official, "NiddConfiguration")["properties"]["maximumPacketSize"]["description"]


def test_every_result_of_a_device_trigger_has_a_meaning(official):
    assert set(_NOBODY_KNOWS) == values(official, "DeliveryResult", TRIGGERING)


def test_what_is_read_of_a_device_trigger_and_of_an_sms_is_in_the_files(official):
    trigger = set(schema(official, "DeviceTriggering", TRIGGERING)["properties"])
    assert set(sms_models.Transaction.__struct_fields__) <= trigger
    report = set(schema(official, "DeviceTriggeringDeliveryReportNotification", TRIGGERING)["properties"])
    sms = set(schema(official, "MsisdnLessMoSmsNotification", MO_SMS)["properties"])
    others = {"subscription", "msisdn"}  # of a test notification; sent beside externalId in the field
    assert set(sms_models.Notification.__struct_fields__) - others == report | sms - {"supportedFeatures"}


def test_an_sms_of_a_device_is_answered_200_with_a_body(official):
    answers = official.file(MO_SMS)["paths"]["/"]["post"]["responses"]
    assert [code for code in answers if code < "300"] == [str(ACCEPTED.status)]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (reports.Notification, "MonitoringNotification"),
        (reports.Report, "MonitoringEventReport"),
        (reports.IdleStatus, "IdleStatusInfo"),
        (reports.Connection, "PdnConnectionInformation"),
    ],
)
def test_what_is_read_of_a_report_is_in_the_file(official, kind, name):
    assert set(kind.__struct_fields__) <= set(schema(official, name, "TS29122_MonitoringEvent.yaml")["properties"])
