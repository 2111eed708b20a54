"""3gpp-nidd/v1 as JSON: what requests mean, and how resources and notifications look (TS 29.122 §5.6.2)."""

import base64
import binascii
import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from mock_network.scef import messages as m
from mock_network.scef.model import Configuration, Delivery, Ue
from mock_network.scef.profiles import Profile
from mock_network.scef.tables import NiddStatus, PdnOption, Status

_IDENTITIES = ("externalId", "msisdn", "externalGroupId")
_READ_ONLY = ("maximumPacketSize", "status", "deliveryStatus")
_T = TypeVar("_T")
_RDS_PORTS = range(16)  # TS 24.250 §5.2.4


class BadRequestError(Exception):
    """A request that is not according to the schema: 400 with `invalidParams`."""

    def __init__(self, param: str, reason: str) -> None:
        super().__init__(f"{param}: {reason}")
        self.param = param
        self.reason = reason


def timestamp(moment: float) -> str:
    """Give an RFC 3339 date-time."""
    return dt.datetime.fromtimestamp(moment, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# Requests


class Reader:
    """Takes members out of a JSON object; whatever is missing or of the wrong kind is a BadRequestError."""

    def __init__(self, body: object, find: Callable[[str], Ue | None]) -> None:
        if not isinstance(body, dict):
            raise BadRequestError("/", "must be a JSON object")
        self.body: dict[str, Any] = body
        self._find = find
        for name in _READ_ONLY:
            if name in body:
                raise BadRequestError(f"/{name}", "is read-only")

    def text(self, name: str) -> str | None:
        return self._of(name, str, "a string")

    def flag(self, name: str) -> bool | None:
        return self._of(name, bool, "a boolean")

    def number(self, name: str, minimum: int | None = None) -> int | None:
        value = self._of(name, int, "an integer")
        if isinstance(value, bool) or (minimum is not None and value is not None and value < minimum):
            raise BadRequestError(f"/{name}", "must be an integer that is not negative")
        return value

    def _of(self, name: str, kind: type[_T], what: str) -> _T | None:
        value = self.body.get(name)
        if name not in self.body:
            return None
        if not isinstance(value, kind):
            raise BadRequestError(f"/{name}", f"must be {what}")
        return value

    def identity(self) -> tuple[str, str]:
        """Give the one member that names the subscriber, and its value."""
        given = [name for name in _IDENTITIES if name in self.body]
        if len(given) != 1:
            raise BadRequestError("/externalId", "exactly one of externalId, msisdn, externalGroupId is required")
        value = self.text(given[0]) or ""
        local, _, domain = value.partition("@")
        good = value.isdigit() if given[0] == "msisdn" else bool(local and domain) and "@" not in domain
        if not good:
            raise BadRequestError(f"/{given[0]}", "is not a valid identity")
        return given[0], value

    def ue(self) -> str | None:
        """Give the name of the UE that the identity names; None if there is none."""
        member, value = self.identity()
        ue = self._find(value)
        if ue is None:
            return None
        own = ue.settings.msisdn if member == "msisdn" else ue.settings.external_id
        return ue.name if own is not None and member != "externalGroupId" else None

    def data(self) -> bytes | None:
        text = self.text("data")
        if text is None:
            return None
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadRequestError("/data", f"is not base64: {error}") from error

    def moment(self, name: str) -> float | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            moment = dt.datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise BadRequestError(f"/{name}", "is a date-time without a time zone")
            return moment.timestamp()
        except (ValueError, OverflowError) as error:
            raise BadRequestError(f"/{name}", f"is not a date-time: {error}") from error

    def option(self) -> PdnOption | None:
        """Give the option; a word that this SCEF does not know counts as none."""
        text = self.text("pdnEstablishmentOption")
        return next((option for option in PdnOption if option.value == text), None)

    def link(self, name: str) -> str | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            parts = urlsplit(text)
            good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            good = False
        if not good:
            raise BadRequestError(f"/{name}", "is not an absolute HTTP URI")
        return text

    def features(self) -> int | None:
        text = self.text("supportedFeatures")
        try:
            return None if text is None else int(text or "0", 16)
        except ValueError as error:
            raise BadRequestError("/supportedFeatures", "is not hexadecimal") from error

    def ports(self) -> tuple[tuple[int, int], ...] | None:
        value = self.body.get("rdsPorts")
        if "rdsPorts" not in self.body:
            return None
        if not isinstance(value, list) or not value:
            raise BadRequestError("/rdsPorts", "must be an array with at least one item")
        return tuple(_port(item, "/rdsPorts") for item in value)

    def port(self) -> tuple[int, int] | None:
        return _port(self.body["rdsPort"], "/rdsPort") if "rdsPort" in self.body else None

    def downlink(self) -> m.DownlinkRequest:
        """Read a NiddDownlinkDataTransfer."""
        data = self.data()
        if data is None:
            raise BadRequestError("/data", "is required")
        return m.DownlinkRequest(
            data,
            self.ue(),
            self.flag("reliableDataService"),
            self.port(),
            self.number("maximumLatency", 0),
            self.number("priority"),
            self.option(),
        )

    def downlink_changes(self) -> dict[str, Any]:
        """Read a NiddDownlinkDataTransferPatch."""
        read: dict[str, tuple[str, Callable[[], Any]]] = {
            "data": ("data", self.data),
            "reliableDataService": ("reliable", lambda: self.flag("reliableDataService")),
            "rdsPort": ("rds_port", self.port),
            "maximumLatency": ("maximum_latency", lambda: self.number("maximumLatency", 0)),
            "priority": ("priority", lambda: self.number("priority")),
            "pdnEstablishmentOption": ("pdn_option", self.option),
        }
        changes = {name: take() for member, (name, take) in read.items() if member in self.body}
        return changes | ({"has_priority": True} if "priority" in changes else {})

    def configuration(self, ticket: int, scs_as: str) -> m.Create:
        """Read a NiddConfiguration."""
        member, _ = self.identity()
        destination = self.link("notificationDestination")
        if destination is None:
            raise BadRequestError("/notificationDestination", "is required")
        transfers = self.body.get("niddDownlinkDataTransfers")
        downlink = None
        if transfers is not None:
            if not isinstance(transfers, list) or len(transfers) != 1:
                raise BadRequestError("/niddDownlinkDataTransfers", "a request holds one downlink at most")
            downlink = Reader(transfers[0], self._find).downlink()
            if downlink.ue != self.ue():
                raise BadRequestError("/niddDownlinkDataTransfers", "is for another subscriber")
        return m.Create(
            ticket,
            scs_as,
            self.ue(),
            by_msisdn=member == "msisdn",
            destination=destination,
            group=member == "externalGroupId",
            features=self.features(),
            duration=self.moment("duration"),
            reliable=self.flag("reliableDataService"),
            rds_ports=self.ports() or (),
            pdn_option=self.option(),
            mtc_provider=self.text("mtcProviderId"),
            test=bool(self.flag("requestTestNotification")),
            downlink=downlink,
        )

    def configuration_changes(self) -> dict[str, Any]:
        """Read a NiddConfigurationPatch: null removes (RFC 7396)."""
        read: dict[str, tuple[str, Callable[[], Any], bool]] = {
            "duration": ("duration", lambda: self.moment("duration"), True),
            "reliableDataService": ("reliable", lambda: self.flag("reliableDataService"), True),
            "rdsPorts": ("rds_ports", self.ports, False),
            "pdnEstablishmentOption": ("pdn_option", self.option, True),
            "notificationDestination": ("destination", lambda: self.link("notificationDestination"), False),
        }
        changes: dict[str, Any] = {}
        for member, value in self.body.items():
            if member not in read:
                raise BadRequestError(f"/{member}", "cannot be changed")
            name, take, nullable = read[member]
            changes[name] = None if value is None and nullable else take()
        return changes


def _port(value: object, path: str) -> tuple[int, int]:
    if isinstance(value, Mapping):
        ue, scef = value.get("portUE"), value.get("portSCEF")
        if isinstance(ue, int) and isinstance(scef, int) and ue in _RDS_PORTS and scef in _RDS_PORTS:
            return ue, scef
    raise BadRequestError(path, "needs portUE and portSCEF from 0 to 15")


# Resources and notifications


class Writer:
    """Makes bodies as one profile writes them. `root` is the apiRoot, without a trailing slash."""

    def __init__(self, profile: Profile, root: str, status: Callable[[Delivery], Status]) -> None:
        self._profile = profile
        self._root = root
        self._status = status

    def configuration_link(self, configuration: Configuration) -> str:
        root = urlsplit(self._root).path if self._profile.relative_links else self._root
        return f"{root}/3gpp-nidd/v1/{configuration.scs_as}/configurations/{configuration.id}"

    def delivery_link(self, configuration: Configuration, delivery: Delivery) -> str:
        return f"{self.configuration_link(configuration)}/downlink-data-deliveries/{delivery.id}"

    def configuration(
        self, configuration: Configuration, size: int, deliveries: tuple[Delivery, ...] = ()
    ) -> dict[str, Any]:
        """Make a NiddConfiguration; `deliveries` besides those that are pending."""
        pending = {d.id: d for d in (*deliveries, *configuration.deliveries.values())}
        transfers = [
            self.delivery(configuration, d, d.status if d.status.final else self._status(d)) for d in pending.values()
        ]
        return _present(
            {
                "self": self.configuration_link(configuration),
                "supportedFeatures": None if configuration.features is None else f"{configuration.features:X}",
                "mtcProviderId": configuration.mtc_provider,
                **self._identity(configuration),
                "duration": None if configuration.duration is None else timestamp(configuration.duration),
                "reliableDataService": configuration.reliable,
                "rdsPorts": [_port_body(port) for port in configuration.rds_ports] or None,
                "pdnEstablishmentOption": configuration.pdn_option and configuration.pdn_option.value,
                "notificationDestination": configuration.destination,
                "maximumPacketSize": size,
                "niddDownlinkDataTransfers": transfers or None,
                "status": configuration.status.value,
            }
        )

    def delivery(
        self, configuration: Configuration, delivery: Delivery, status: Status, retry_at: float | None = None
    ) -> dict[str, Any]:
        """Make a NiddDownlinkDataTransfer."""
        return _present(
            {
                **self._identity(configuration),
                "self": self.delivery_link(configuration, delivery),
                "data": base64.b64encode(delivery.data).decode(),
                "reliableDataService": delivery.reliable or None,
                "rdsPort": _port_body(delivery.rds_port) if delivery.rds_port else None,
                "maximumLatency": delivery.maximum_latency,
                "priority": delivery.priority if delivery.has_priority else None,
                "pdnEstablishmentOption": delivery.pdn_option and delivery.pdn_option.value,
                self._profile.status_member: status.value,
                "requestedRetransmissionTime": None if retry_at is None else timestamp(retry_at),
            }
        )

    def notification(self, effect: m.Effect) -> dict[str, Any]:
        """Make the body of a notification."""
        match effect:
            case m.NotifyUplink(configuration, data, _):
                return {
                    "niddConfiguration": self.configuration_link(configuration),
                    **self._identity(configuration, both=self._profile.both_identities),
                    "data": base64.b64encode(data).decode(),
                }
            case m.NotifyDelivery(configuration, delivery, status, retry_at):
                return _present(
                    {
                        "niddDownlinkDataTransfer": self.delivery_link(configuration, delivery),
                        self._profile.status_member: status.value,
                        "requestedRetransmissionTime": None if retry_at is None else timestamp(retry_at),
                    }
                )
            case m.NotifyConfiguration(configuration, nidd):
                return self._ended(configuration, nidd)
            case m.NotifyTest(configuration):
                return {"subscription": self.configuration_link(configuration)}
            case _:
                raise TypeError(f"not a notification: {effect!r}")

    def _ended(self, configuration: Configuration, status: NiddStatus) -> dict[str, Any]:
        return {
            "niddConfiguration": self.configuration_link(configuration),
            **self._identity(configuration),
            "status": status.value,
        }

    @staticmethod
    def _identity(configuration: Configuration, *, both: bool = False) -> dict[str, str]:
        identity = {"msisdn": configuration.msisdn, "externalId": configuration.external_id}
        if not both:
            del identity["externalId" if configuration.by_msisdn else "msisdn"]
        return {name: value for name, value in identity.items() if value is not None}


def _port_body(port: tuple[int, int]) -> dict[str, int]:
    return {"portUE": port[0], "portSCEF": port[1]}


def _present(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}
