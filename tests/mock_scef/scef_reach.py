"""How each answer that 3GPP's files list for an operation can be had of the emulated SCEF.

By the state of the network where that brings it about, else by a fault. Every answer passes the judge of `ScsAs`.
"""

import base64
from dataclasses import dataclass

from scef_kit import JSON, JSON_PATCH, MERGE_PATCH, UE

from tests.waiting import until

OTHER, GROUP, UNABLE = "meter-2@example.com", "all@example.com", "meter-3@example.com"
HELD = "held@example.com"  # a group one of whose members may not be configured
CLIENT = {"Authorization": "Bearer of-as9"}  # credentials of another SCS/AS


@dataclass(frozen=True)
class Operation:
    """One operation of a file: `path` as it stands there."""

    api: str
    method: str
    path: str

    @property
    def collection(self):
        return not self.path.endswith("}")

    @property
    def kind(self):
        """Return the last collection in the path."""
        return next(part for part in reversed(self.path.split("/")) if part and not part.startswith("{"))


class Reach:
    """Brings one SCEF to answer an operation with a status."""

    def __init__(self, scs_as, operation):
        self.scs_as, self.operation = scs_as, operation
        self.ids = {}

    # Making what a path needs

    async def path(self):
        """Return the URL of the operation, with resources that exist."""
        api, path = self.operation.api, self.operation.path.replace("{scsAsId}", "as1")
        if "{configurationId}/" in path or (api == "/3gpp-nidd/v1" and "{configurationId}" in path):
            location, _ = await self.scs_as.configure(supportedFeatures="FF")
            path = path.replace("{configurationId}", location.rpartition("/")[2])
            if "{downlinkDataDeliveryId}" in path:
                await self.scs_as.control("POST", f"/ues/{UE}/sleep")
                _, kept, _ = await self.scs_as.post(location)
                path = path.replace("{downlinkDataDeliveryId}", kept["self"].rpartition("/")[2])
            if "{portId}" in path:
                await self.scs_as.control("POST", f"/ues/{UE}/wake")
                if self.operation.method != "put":
                    url = f"{location}/rds-ports/ue1-ef2"
                    assert (await self.scs_as.ask("PUT", url, {"appId": "a", "skipUeInquiry": True}))[0] == 201
                path = path.replace("{portId}", "ue1-ef2")
        elif not self.operation.collection:
            base = path.rpartition("/")[0]
            await self.scs_as.control("POST", f"/ues/{UE}/sleep")
            status, made, _ = await self.scs_as.ask("POST", self.scs_as.api((api + base)[1:]), self.body("post"))
            assert status == 201, made
            path = f"{base}/{made['self'].rpartition('/')[2]}"
        return self.scs_as.api((api + path)[1:])

    def body(self, method=None):
        """Return a body that is good for an operation."""
        method, kind = method or self.operation.method, self.operation.kind
        api = self.operation.api.split("/")[1]
        data = base64.b64encode(b"data").decode()
        if method in {"get", "delete"}:
            return None
        bodies = {
            ("3gpp-nidd", "configurations", "post"): {"notificationDestination": self.scs_as.destination},
            ("3gpp-nidd", "configurations", "patch"): {"reliableDataService": False},
            ("3gpp-nidd", "downlink-data-deliveries", "post"): {"data": data},
            ("3gpp-nidd", "downlink-data-deliveries", "put"): {"data": data},
            ("3gpp-nidd", "downlink-data-deliveries", "patch"): {"data": data},
            ("3gpp-nidd", "rds-ports", "put"): {"appId": "a"},
            ("3gpp-device-triggering", "transactions", "post"): self.trigger(data),
            ("3gpp-device-triggering", "transactions", "put"): self.trigger(data),
            ("3gpp-device-triggering", "transactions", "patch"): {"priority": "PRIORITY"},
            ("3gpp-monitoring-event", "subscriptions", "post"): self.monitoring(),
            ("3gpp-monitoring-event", "subscriptions", "put"): self.monitoring(),
            ("3gpp-network-parameter-configuration", "configurations", "post"): {"maximumLatency": 600},
            ("3gpp-network-parameter-configuration", "configurations", "put"): {"maximumLatency": 600},
            ("3gpp-network-parameter-configuration", "configurations", "patch"): {"maximumLatency": 600},
        }
        if (api, method) == ("3gpp-monitoring-event", "patch"):
            return [{"op": "replace", "path": "/maximumNumberOfReports", "value": 3}]
        named = {} if method == "patch" or kind == "rds-ports" else {"externalId": UE}
        return {**named, **bodies[api, kind, method]}

    def trigger(self, data):
        return {
            "validityPeriod": 600,
            "priority": "NO_PRIORITY",
            "applicationPortId": 5683,
            "triggerPayload": data,
            "notificationDestination": self.scs_as.destination,
        }

    def monitoring(self):
        return {
            "monitoringType": "UE_REACHABILITY",
            "maximumNumberOfReports": 5,
            "notificationDestination": self.scs_as.destination,
        }

    @property
    def media_type(self):
        if self.operation.method != "patch":
            return JSON
        if self.operation.api.startswith("/3gpp-monitoring"):
            return JSON_PATCH
        return MERGE_PATCH if self.operation.kind == "configurations" else JSON

    async def ask(self, url=None, body=..., headers=None, content_type=None, **options):
        """Do the operation, in the way that is given or the good one; return the status."""
        url = url or await self.path()
        body = self.body() if body is ... else body
        status, *_ = await self.scs_as.ask(
            self.operation.method.upper(), url, body, content_type or self.media_type, headers, **options
        )
        return status

    async def fault(self, kind, **params):
        where = {"method": self.operation.method.upper()}
        url = await self.path()  # before the fault, which would happen to what is needed
        await self.scs_as.fault(kind, where=where, params=params)
        return url

    # Successes

    async def status_200(self):
        key = (self.operation.api.split("/")[1], self.operation.kind, self.operation.method)
        if key[2] == "get":
            return await self.ask()
        if key == ("3gpp-nidd", "downlink-data-deliveries", "post"):
            url = await self.path()
            await self.scs_as.control("POST", f"/ues/{UE}/wake")
            return await self.ask(url)
        if key == ("3gpp-monitoring-event", "subscriptions", "post"):
            url = await self.path()
            await self.scs_as.control("POST", f"/ues/{UE}/wake")
            return await self.ask(url, {**self.body(), "maximumNumberOfReports": 1})
        if key == ("3gpp-monitoring-event", "subscriptions", "delete"):
            return await self.delete_group_subscription()
        if key == ("3gpp-network-parameter-configuration", "configurations", "delete"):
            url = self.scs_as.api("3gpp-network-parameter-configuration/v1/as1/configurations")
            wanted = {"externalGroupId": HELD, "maximumLatency": 600, "groupReportingGuardTime": 600}
            return await self.ask((await self.scs_as.ask("POST", url, wanted))[1]["self"])
        return await self.ask()  # of a profile that answers a change with the resource

    async def delete_group_subscription(self):
        """End a subscription to a group that holds a report back."""
        url = self.scs_as.api("3gpp-monitoring-event/v1/as1/subscriptions")
        wanted = {**self.monitoring(), "externalGroupId": GROUP, "groupReportGuardTime": 600}
        _, made, _ = await self.scs_as.ask("POST", url, wanted)
        for trigger in ("sleep", "wake"):
            await self.scs_as.control("POST", f"/ues/{UE}/{trigger}")
        return await self.ask(made["self"])

    async def status_201(self):
        url = await self.path()
        await self.scs_as.control("POST", f"/ues/{UE}/{'wake' if 'rds-ports' in url else 'sleep'}")
        return await self.ask(url)

    async def status_202(self):
        url = await self.path()
        if self.operation.method == "delete":
            assert (await self.scs_as.ask("PUT", url.replace("ue1", "ue2"), {"appId": "a"}))[0] == 201
            url = url.replace("ue1", "ue2")
        await self.scs_as.control("POST", f"/ues/{UE}/sleep")
        return await self.ask(url)

    async def status_204(self):
        return await self.ask()

    # Errors

    async def status_307(self):
        return await self.ask(await self.fault("redirect", status=307), allow_redirects=False)

    async def status_308(self):
        return await self.ask(await self.fault("redirect", status=308), allow_redirects=False)

    async def status_400(self):
        if self.body() is not None:
            return await self.ask(body=7)
        return await self.ask(await self.fault("http_error", status=400))

    async def status_401(self):
        return await self.ask(headers={"Authorization": "Bearer wrong"})

    async def status_403(self):
        return await self.ask(headers=CLIENT)

    async def status_404(self):
        if self.operation.collection and self.operation.kind != "downlink-data-deliveries":
            if self.operation.method == "post":
                return await self.ask(body={**self.body(), "externalId": "nobody@example.com"})
            return await self.ask(await self.fault("refuse", why="RESOURCE_UNKNOWN"))
        url = await self.path()
        if self.operation.collection:
            return await self.ask(url.replace("/downlink-", "x/downlink-"))
        return await self.ask(url.replace("ue1-ef2", "ue3-ef99") if "rds-ports" in url else f"{url}x")

    async def status_406(self):
        return await self.ask(headers={"Accept": "text/html"})

    async def status_409(self):
        url = await self.path()
        if "rds-ports" in url:
            configuration = url.rpartition("/rds-ports")[0]
            await self.scs_as.ask("DELETE", url)
            await self.scs_as.control("POST", f"/ues/{UE}/wake")
            reserved = await self.scs_as.control("POST", f"/ues/{UE}/rds-ports", {"ue": 5, "scef": 6, "app_id": "ue"})
            assert reserved[0] == 200, configuration
            return await self.ask(url.replace("ue1-ef2", "ue5-ef6"))
        await self.scs_as.control("POST", f"/ues/{UE}/wake")
        await until(lambda: not self.scs_as.service.core.cell.ues[UE].queue)
        return await self.ask(url)

    async def status_411(self):
        return await self.scs_as.ask_without_length(self.operation.method.upper(), await self.path())

    async def status_413(self):
        return await self.ask(body={"padding": "x" * 70_000})

    async def status_415(self):
        return await self.ask(content_type="text/plain")

    async def status_429(self):
        return await self.ask(await self.fault("refuse", why="APN_RATE_EXCEEDED"))

    async def status_500(self):
        if self.operation.kind == "rds-ports" and self.operation.method in {"put", "delete"}:
            return await self.ask(await self.fault("refuse", why="PORT_REFUSED"))
        if self.operation.kind == "downlink-data-deliveries" and self.operation.method != "get":
            return await self.ask(await self.fault("refuse", why="QUEUE_FULL", retry_in=60))
        return await self.ask(await self.fault("http_error", status=500))

    async def status_503(self):
        return await self.ask(await self.fault("http_error", status=503, retry_after=5))
