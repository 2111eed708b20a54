"""schemathesis against the emulated SCEF: requests made from 3GPP's files, good ones and bad ones.

What is good by the schema alone names subscribers that nobody has, and links that lead nowhere: these are put right
before a request is sent.
"""

import base64
import collections
import datetime as dt

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from mock_network.scef.testing import EmulatedScef
from tests.conftest import need_openapi
from tests.t8.files import APIS

UE, MSISDN, GROUP = "meter-1@iot.example", "491701", "all@iot.example"
load_all_checks()
CONFORMS = [CHECKS.get_one(f"{what}_conformance") for what in ("status_code", "content_type", "response_schema")]
EXAMPLES = 8  # per operation and mode


@pytest.fixture(scope="module")
def scef():
    with EmulatedScef("--no-auth") as running:
        running.add_ue(name="the-ue", external_id=UE, msisdn=MSISDN, t3412=3600, radio_latency=0, rds_enabled=True)
        running.ask("POST", "/groups", {"external_group_id": GROUP, "members": [UE]})
        yield running


class Live:
    """Makes the resources that a path needs."""

    def __init__(self, scef, api):
        self.scef = scef
        self.root = f"{scef.url}{api}/as1"
        self.api = api

    def post(self, path, body):
        answer = requests.post(f"{self.root}/{path}", json=body, timeout=20)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()["self"].rpartition("/")[2]

    def path_parameters(self, method, wanted):
        """Return ids of resources that exist, of a UE that sleeps where a downlink is to be pending."""
        found = {"scsAsId": "as1"}
        told = {"notificationDestination": "http://127.0.0.1:9/", "externalId": UE}
        if "transactionId" in wanted:
            self.scef.ue(UE).sleep()
            trigger = {"validityPeriod": 60, "priority": "PRIORITY", "applicationPortId": 1, "triggerPayload": "AA=="}
            found["transactionId"] = self.post("transactions", {**told, **trigger})
        if "subscriptionId" in wanted:
            event = {"monitoringType": "LOSS_OF_CONNECTIVITY", "maximumNumberOfReports": 9}
            found["subscriptionId"] = self.post("subscriptions", {**told, **event})
        if "configurationId" in wanted:
            features = {"supportedFeatures": "FF"} if "nidd" in self.api else {}
            found["configurationId"] = self.post("configurations", {**told, **features})
        if "downlinkDataDeliveryId" in wanted:
            self.scef.ue(UE).sleep()
            deliveries = f"configurations/{found['configurationId']}/downlink-data-deliveries"
            found["downlinkDataDeliveryId"] = self.post(deliveries, {"externalId": UE, "data": "AA=="})
        if "portId" in wanted:
            url = f"{self.root}/configurations/{found['configurationId']}/rds-ports/ue1-ef2"
            requests.put(url, json={"appId": "a", "skipUeInquiry": True}, timeout=20).raise_for_status()
            found["portId"] = "ue3-ef4" if method == "PUT" else "ue1-ef2"
        return found


def put_right(case):
    """Return a good body with subscribers, links, data and times that mean something here."""
    if case.method == "PATCH" and isinstance(case.body, list):
        return [{"op": "replace", "path": "/maximumNumberOfReports", "value": 1 + len(str(case.body)) % 100}]
    body = with_meaning(case.body)
    if "monitoringType" in body and not {"externalId", "msisdn", "externalGroupId"} & body.keys():
        body["externalId"] = UE
    return body


def with_meaning(value, name=""):
    if isinstance(value, dict):
        return {key: with_meaning(one, key) for key, one in value.items() if key not in {"deliveryStatus", "status"}}
    if isinstance(value, list):
        return [with_meaning(one, name) for one in value]
    known = {"externalId": UE, "msisdn": MSISDN, "externalGroupId": GROUP, "monitoringType": "LOSS_OF_CONNECTIVITY"}
    if name in known:
        return known[name]
    if name == "notificationDestination":
        return "http://127.0.0.1:9/"
    if name in {"data", "triggerPayload"}:
        return base64.b64encode(str(value).encode()[:100]).decode()
    if name in {"portUE", "portSCEF"}:
        return value % 16
    if name in {"duration", "monitorExpireTime", "validityTime"} and value is not None:
        return (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).isoformat()
    return value


def operations(api):
    schema = schemathesis.openapi.from_path(need_openapi() / APIS[api])
    return [result.ok() for result in schema.get_all_operations()]


def names_in(path):
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def strategy(operation, mode):
    return operation.as_strategy(generation_mode=mode, path_parameters=dict.fromkeys(names_in(operation.path), "as1"))


def tried(examples):
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("api", APIS)
def test_good_requests_succeed_and_every_answer_is_listed_and_conforms(scef, api):
    live, reached = Live(scef, api), collections.defaultdict(set)
    for operation in operations(api):

        @tried(EXAMPLES)
        @given(strategy(operation, GenerationMode.POSITIVE))
        def one(case):
            case.path_parameters = live.path_parameters(case.method, names_in(case.path))
            case.body = put_right(case) if isinstance(case.body, dict | list) else case.body
            answer = case.call(base_url=f"{scef.url}{api}", timeout=20)
            case.validate_response(answer, checks=CONFORMS)
            reached[case.method, case.path].add(answer.status_code)

        one()
    succeeded = {where for where, statuses in reached.items() if min(statuses) < 300}
    assert succeeded == {(operation.method.upper(), operation.path) for operation in operations(api)}
    assert "Traceback" not in scef.log()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("api", APIS)
def test_bad_bodies_are_refused_with_an_answer_that_conforms(scef, api):
    live = Live(scef, api)
    for operation in operations(api):
        if operation.method not in {"post", "put", "patch"}:
            continue

        @tried(EXAMPLES)
        @given(strategy(operation, GenerationMode.NEGATIVE))
        def one(case):
            case.path_parameters = live.path_parameters(case.method, names_in(case.path))
            answer = case.call(base_url=f"{scef.url}{api}", timeout=20)
            case.validate_response(answer, checks=CONFORMS)
            assert 400 <= answer.status_code < 500, case.body

        one()
    assert "Traceback" not in scef.log()
