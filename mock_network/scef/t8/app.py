"""The web application of the T8 side."""

from aiohttp import web

from mock_network.scef.shell import Shell
from mock_network.scef.t8.guard import OTHER_ROOT, Guard
from mock_network.scef.t8.monitoring import MonitoringApi
from mock_network.scef.t8.nidd import NiddApi
from mock_network.scef.t8.parameters import ParametersApi
from mock_network.scef.t8.rds_ports import RdsPortsApi
from mock_network.scef.t8.reading import FINDINGS
from mock_network.scef.t8.token import TokenApi
from mock_network.scef.t8.triggering import TriggeringApi

MAXIMUM_BODY = 64 * 1024  # octets


def t8_app(service: Shell, guard: Guard) -> web.Application:
    """Return the application with all APIs, at the profile's apiRoot and at the other one for redirects."""
    app = web.Application(middlewares=guard.middlewares(), client_max_size=MAXIMUM_BODY)
    app.on_response_prepare.append(guard.date)
    app[FINDINGS] = service.findings
    nidd = NiddApi(service)
    apis = (
        TokenApi(service),
        nidd,
        RdsPortsApi(service, nidd),
        TriggeringApi(service),
        MonitoringApi(service),
        ParametersApi(service),
    )
    for root in (service.profile.api_prefix, OTHER_ROOT + service.profile.api_prefix):
        for api in apis:
            app.add_routes(api.routes(root))
    return app
