"""ApplicationService of the emulated server: applications and their HTTP integration."""

# ruff: noqa: N802 - gRPC methods have the names of the .proto files

from urllib.parse import urlsplit

from chirpstack_api import api
from google.protobuf.empty_pb2 import Empty

from .api_device import required
from .errors import invalid, not_found
from .model import Application
from .pump import Pump
from .tables import page
from .values import timestamp, uuid


class ApplicationService(api.ApplicationServiceServicer):
    """Applications; of the integrations only HTTP, and the global MQTT one in the list where a broker is configured."""

    def __init__(self, pump: Pump, *, mqtt: bool = False) -> None:
        self._pump = pump
        self._mqtt = mqtt

    async def Create(self, request: api.CreateApplicationRequest, _: object) -> api.CreateApplicationResponse:
        """Add an application."""
        tables = self._pump.server.context.tables
        row = tables.create_application(required(request, "application"), self._pump.now())
        return api.CreateApplicationResponse(id=str(row.id))

    async def Get(self, request: api.GetApplicationRequest, _: object) -> api.GetApplicationResponse:
        """Read an application."""
        row = self._application(request.id)
        return api.GetApplicationResponse(
            application=row.message, created_at=timestamp(row.created_at), updated_at=timestamp(row.updated_at)
        )

    async def Update(self, request: api.UpdateApplicationRequest, _: object) -> Empty:
        """Change an application."""
        self._pump.server.context.tables.update_application(required(request, "application"), self._pump.now())
        return Empty()

    async def Delete(self, request: api.DeleteApplicationRequest, _: object) -> Empty:
        """Remove an application with its devices."""
        self._pump.server.context.tables.delete_application(request.id)
        return Empty()

    async def List(self, request: api.ListApplicationsRequest, _: object) -> api.ListApplicationsResponse:
        """List a tenant's applications by name; a limit of 0 gives the count only."""
        tenant_id = uuid(request.tenant_id)
        rows = [
            row
            for row in self._pump.server.context.tables.applications.values()
            if row.tenant_id == tenant_id and request.search.lower() in row.message.name.lower()
        ]
        rows.sort(key=lambda row: row.message.name)
        answer = api.ListApplicationsResponse(total_count=len(rows))
        for row in page(rows, request.limit, request.offset):
            answer.result.add(
                id=str(row.id),
                created_at=timestamp(row.created_at),
                updated_at=timestamp(row.updated_at),
                name=row.message.name,
                description=row.message.description,
            )
        return answer

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
            raise self._pump.server.context.tables.duplicate("application_integration", str(row.id))
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
        return self._pump.server.context.tables.application(identifier)

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
