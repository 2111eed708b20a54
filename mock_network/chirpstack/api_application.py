"""ApplicationService of the emulated server: applications and their HTTP integration."""

# ruff: noqa: N802 - gRPC methods have the names of the .proto files

from urllib.parse import urlsplit

from chirpstack_api import api
from google.protobuf.empty_pb2 import Empty

from .api_rows import Rows, required
from .driver import Driver
from .errors import invalid, not_found
from .model import Application


class ApplicationService(Rows, api.ApplicationServiceServicer):
    """Applications; of the integrations only HTTP, and the global MQTT one in the list where a broker is configured."""

    table, field, list_below = "applications", "application", "tenant_id"
    created, got = api.CreateApplicationResponse, api.GetApplicationResponse
    listed = api.ListApplicationsResponse

    def __init__(self, driver: Driver, *, mqtt: bool = False) -> None:
        super().__init__(driver)
        self._mqtt = mqtt

    async def ListIntegrations(self, request: api.ListIntegrationsRequest, _: object) -> api.ListIntegrationsResponse:
        """List the integrations that an application's events go to."""
        row = self._application(request.application_id)
        kinds = [api.MQTT_GLOBAL] if self._mqtt else []
        if row.http is not None:
            kinds.append(api.HTTP)
        answer = api.ListIntegrationsResponse(total_count=len(kinds))
        for kind in kinds:
            answer.result.add(kind=kind)
        return answer

    async def CreateHttpIntegration(self, request: api.CreateHttpIntegrationRequest, _: object) -> Empty:
        """Have an application's events posted."""
        message = required(request, "integration")
        row = self._application(message.application_id)
        if row.http is not None:
            raise self._tables.duplicate("application_integration", str(row.id))
        row.http = self._checked(message)
        return Empty()

    async def GetHttpIntegration(
        self, request: api.GetHttpIntegrationRequest, _: object
    ) -> api.GetHttpIntegrationResponse:
        """Read an application's HTTP integration."""
        return api.GetHttpIntegrationResponse(integration=self._http(request.application_id))

    async def UpdateHttpIntegration(self, request: api.UpdateHttpIntegrationRequest, _: object) -> Empty:
        """Change an application's HTTP integration."""
        message = required(request, "integration")
        self._http(message.application_id)
        self._application(message.application_id).http = self._checked(message)
        return Empty()

    async def DeleteHttpIntegration(self, request: api.DeleteHttpIntegrationRequest, _: object) -> Empty:
        """Stop posting an application's events."""
        self._http(request.application_id)
        self._application(request.application_id).http = None
        return Empty()

    def _application(self, identifier: str) -> Application:
        return self._tables.applications.get(identifier)

    def _http(self, identifier: str) -> api.HttpIntegration:
        row = self._application(identifier)
        if row.http is None:
            raise not_found(identifier)
        return row.http

    @staticmethod
    def _checked(message: api.HttpIntegration) -> api.HttpIntegration:
        for url in message.event_endpoint_url.split(","):
            try:
                ok = urlsplit(url.strip()).scheme in ("http", "https")
            except ValueError:
                ok = False
            if not ok:
                raise invalid("event_endpoint_url is not a URL")
        kept = api.HttpIntegration()
        kept.CopyFrom(message)
        return kept
