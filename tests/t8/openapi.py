"""3GPP's own OpenAPI files as the judge of T8 traffic. See `files.openapi_dir`.

Requests and answers are judged by openapi-core. Callback bodies are judged one schema at a time: the callback's oneOf
is ambiguous, so the kind is told by the members that are present, and members that are readOnly in the API are what a
callback is there to carry.
"""

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema_path import SchemaPath
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_schema_validator import OAS30Validator, oas30_format_checker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from tests.t8.files import APIS, COMMON, MO_SMS, MONITORING, NIDD, NIDD_TRIGGER, PARAMETERS, TRIGGERING

CALLBACKS = (  # the first member that is present tells the kind
    ("sms", f"{MO_SMS}#/components/schemas/MsisdnLessMoSmsNotification"),
    ("gpsi", f"{NIDD_TRIGGER}#/components/schemas/NiddConfigurationTrigger"),
    ("transaction", f"{TRIGGERING}#/components/schemas/DeviceTriggeringDeliveryReportNotification"),
    ("configuration", f"{PARAMETERS}#/components/schemas/ConfigurationNotification"),
    ("monitoringEventReports", f"{MONITORING}#/components/schemas/MonitoringNotification"),
    ("cancelInd", f"{MONITORING}#/components/schemas/MonitoringNotification"),
    ("data", f"{NIDD}#/components/schemas/NiddUplinkDataNotification"),
    ("gmdResults", f"{NIDD}#/components/schemas/GmdNiddDownlinkDataDeliveryNotification"),
    ("deliveryStatus", f"{NIDD}#/components/schemas/NiddDownlinkDataDeliveryStatusNotification"),
    ("status", f"{NIDD}#/components/schemas/NiddConfigurationStatusNotification"),
    ("managedPorts", f"{NIDD}#/components/schemas/ManagePortNotification"),
    ("subscription", f"{COMMON}#/components/schemas/TestNotification"),
)
REPLIES = {
    "sms": f"{MO_SMS}#/components/schemas/MsisdnLessMoSmsNotificationReply",
    "gpsi": f"{NIDD_TRIGGER}#/components/schemas/NiddConfigurationTriggerReply",
}
CALLBACK_ANSWERS = {200, 204, 307, 308, 400, 401, 403, 404, 411, 413, 415, 429, 500, 503}


@dataclass
class Request:
    """A request as openapi-core wants it."""

    method: str
    path: str
    body: bytes | None
    content_type: str
    host_url: str = "https://example.com"
    parameters: RequestParameters = field(default_factory=RequestParameters)


@dataclass
class Answer:
    """An answer as openapi-core wants it."""

    status_code: int
    data: bytes | None
    content_type: str
    headers: dict[str, str]


class _Loader(yaml.CSafeLoader):
    """Leaves dates as strings, as JSON has them."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


class Official:
    """The files of one folder, each read once; dates stay strings."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Any] = {}

    def file(self, name: str) -> Any:
        """Return a file's content."""
        if name not in self._files:
            self._files[name] = yaml.load((self._folder / name).read_text(), Loader=_Loader)  # a SafeLoader
        return self._files[name]


_MEDIA_TYPES = ("application/problem+json", "application/merge-patch+json", "application/json-patch+json")


def _file_of(path: str) -> str:
    """Return the file of the API that a path, without apiRoot, belongs to."""
    return next((name for prefix, name in APIS.items() if path.startswith(f"{prefix}/")), NIDD)


class Judge:
    """Says what in T8 traffic is not as the files of one folder have it; an empty list means conforming."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._official = Official(folder)  # read once: a registry forgets what it has retrieved
        self._apis: dict[str, OpenAPI] = {}
        self._registry: Registry[Any] = Registry(retrieve=self._retrieve)  # type: ignore[call-arg]
        self._validators: dict[str, OAS30Validator] = {}

    def _retrieve(self, uri: str) -> Resource[Any]:
        return Resource.from_contents(self._official.file(uri), default_specification=DRAFT4)

    def _api(self, path: str) -> OpenAPI:
        """Return the API that a path belongs to; each is read at its first use."""
        name = _file_of(path)
        if name not in self._apis:
            json_body = dict.fromkeys(_MEDIA_TYPES, _json)
            schemas = SchemaPath.from_dict(
                self._official.file(name),
                base_uri=(self._folder / name).as_uri(),
                handlers={"file": lambda uri: self._official.file(Path(uri).name)},
            )
            self._apis[name] = OpenAPI(schemas, config=Config(extra_media_type_deserializers=json_body))
        return self._apis[name]

    def request(self, request: Request) -> list[str]:
        """Judge a request of the SCS/AS."""
        return [f"request: {_text(error)}" for error in self._api(request.path).iter_request_errors(request)]

    def answer(self, request: Request, answer: Answer) -> list[str]:
        """Judge the SCEF's answer. A success that the operation does not name is wrong even where `default` fits."""
        found = [f"answer: {_text(error)}" for error in self._api(request.path).iter_response_errors(request, answer)]
        operation = self._operation(request)
        if answer.status_code < 400 and operation is not None and str(answer.status_code) not in operation["responses"]:
            found.append(f"answer: status {answer.status_code} is none of this operation's")
        if answer.status_code == 201 and not answer.headers.get("Location"):
            found.append("answer: 201 without Location")
        return found

    def _operation(self, request: Request) -> Any:
        prefix = next((one for one in APIS if request.path.startswith(one)), "")
        parts = request.path.removeprefix(prefix).strip("/").split("/")
        for pattern, item in self._official.file(_file_of(request.path))["paths"].items():
            wanted = pattern.strip("/").split("/")
            if len(wanted) == len(parts) and all(
                want.startswith("{") or want == part for want, part in zip(wanted, parts, strict=True)
            ):
                return item.get(request.method)
        return None

    def callback(self, body: bytes) -> list[str]:
        """Judge a notification's body."""
        try:
            notification = json.loads(body)
        except ValueError as error:
            return [f"callback: not JSON: {error}"]
        if not isinstance(notification, dict):
            return ["callback: not an object"]
        for member, schema in CALLBACKS:
            if member in notification:
                return [f"callback: {text}" for text in self._schema(schema, notification)]
        return ["callback: no member says what it is"]

    def callback_answer(self, status: int, content_type: str, body: bytes, notification: bytes = b"") -> list[str]:
        """Judge our answer to a notification, one of an API whose server we are if `notification` is such a one."""
        found = []
        if status not in CALLBACK_ANSWERS and status < 400:
            found.append(f"callback answer: status {status} is none of a callback's")
        reply = _reply_to(notification)
        if status == 204 and (body or reply):
            found.append("callback answer: 204 with a body" if body else "callback answer: 204 where 200 has a body")
        if status == 200:
            found += self._callback_body(body, reply or f"{COMMON}#/components/schemas/Acknowledgement")
        if status >= 400 and body:
            if content_type.partition(";")[0].strip() != "application/problem+json":
                found.append(f"callback answer: {status} as {content_type}, not application/problem+json")
            found += self._callback_body(body, f"{COMMON}#/components/schemas/ProblemDetails")
        return found

    def _callback_body(self, body: bytes, schema: str) -> list[str]:
        try:
            return [f"callback answer: {text}" for text in self._schema(schema, json.loads(body))]
        except ValueError:
            return ["callback answer: not JSON"]

    def _schema(self, reference: str, instance: Any) -> list[str]:
        validator = self._validators.get(reference)
        if validator is None:
            validator = self._validators[reference] = OAS30Validator(
                {"$ref": reference}, registry=self._registry, format_checker=oas30_format_checker
            )
        return [_text(error) for error in validator.iter_errors(instance)]


def _reply_to(notification: bytes) -> str:
    """Return the schema of the answer to what is posted to an API of which the SCS/AS is the server; else empty."""
    try:
        content = json.loads(notification)
    except ValueError:
        return ""
    return next((schema for member, schema in REPLIES.items() if member in content), "")


def _json(body: bytes, **_parameters: str) -> Any:
    """Read a body of JSON, whose media type may have a charset."""
    return json.loads(body)


class NoJudge:
    """Stands where 3GPP's files are absent: finds nothing wrong in any traffic."""

    def request(self, _request: Request) -> list[str]:
        return []

    def answer(self, _request: Request, _answer: Answer) -> list[str]:
        return []

    def callback(self, _body: bytes) -> list[str]:
        return []

    def callback_answer(self, _status: int, _type: str, _body: bytes, _notification: bytes = b"") -> list[str]:
        return []


@cache
def judge(folder: Path | None) -> Judge | NoJudge:
    """Return the judge of a folder; the files are read once, which takes a second or two."""
    return NoJudge() if folder is None else Judge(folder)


def _text(error: BaseException) -> str:
    """Say an error with what lies behind it: openapi-core hides the schema's own words in attributes."""
    texts = [str(error)]
    texts += [str(getattr(inner, "message", inner)) for inner in getattr(error, "schema_errors", ())]
    if error.__cause__ is not None:
        texts.append(_text(error.__cause__))
    return "; ".join(dict.fromkeys(texts))[:800]
