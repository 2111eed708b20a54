"""Control API of the emulated server: HTTP and JSON, loopback only.

GET  /control/clients                       registrations
GET  /control/clients/{endpoint}            one; ?wait=seconds waits until it is there
POST /control/clients/{endpoint}/{operation}
     an operation of `calls.CALLS`: {"path": "/3/0/9", "timeout": 120, "ttl": 60, "accept": "tlv", "format": "json", …}
     → {"outcome": "response", "code": "2.05", "values": {"/3/0/9": 100}, …}, or "outcome" one of "no answer",
     "not acknowledged", "reset", "closed", "asleep", "dropped", "not verified"
GET  /control/observations                  observations with their notifications, in order of arrival
GET  /control/sends                         what devices sent; ?since=n
GET  /control/seen                          what was seen (`seen.Seen`); ?since=n&kind=…&endpoint=…
POST /control/stop, /control/start          stop listening {"forget": true}, and listen again on the same port
PUT  /control/oscore/{endpoint}             protect all traffic with a client: {"secret": hex, "sender": hex,
                                            "recipient": hex, "salt": hex, "context": hex}
PUT  /control/psk/{endpoint}                take DTLS sessions of a client: {"identity": text, "key": hex}
PUT  /control/certificate                   take those of clients with certificates: {"certificate": PEM,
                                            "private_key": PEM, "authorities": PEM of the clients'}
PUT  /control/certificate/{endpoint}        only the client with a common name is this endpoint: {"name": text}
GET  /control/dtls                          open DTLS sessions: peer, name, issuer of a certificate, and
                                            `opened_at`, seconds of the loop's clock
GET  /control/bootstrap                     bootstrap sessions, with all steps and answers
PUT  /control/bootstrap/{endpoint}          the plan for an endpoint, "*" for all others (`bootstrap_plan`); DELETE
POST /control/bootstrap/{endpoint}          a step of the client's session: {"operation": "write", "path": …, …}
"""

from aiohttp import web

from mock_network.control_api import body_of, errors_as_json
from mock_network.lwm2m.control import MAX_BODY, outcomes_as_json
from mock_network.lwm2m.credentials import key_from, server_certificate_from
from mock_network.lwm2m.formats import UnsupportedFormat
from mock_network.lwm2m.jsonvalue import to_json
from mock_network.lwm2m.messages import Response
from mock_network.lwm2m.oscore import OscoreError, keys_from
from mock_network.lwm2m.paths import format_path
from mock_network.lwm2m_server.bootstrap_plan import Plan, Step
from mock_network.lwm2m_server.calls import CALLS, Body, describe, values_of
from mock_network.lwm2m_server.server import LwM2mServer, NotRegistered, Observed
from mock_network.lwm2m_server.sleeping import ClientAsleep, Dropped
from mock_network.lwm2m_server.tunnelled import ask_beyond

_SERVER: web.AppKey[LwM2mServer] = web.AppKey("server", LwM2mServer)


def make_app(server: LwM2mServer) -> web.Application:
    """Return the application."""
    app = web.Application(middlewares=[errors_as_json, outcomes_as_json], client_max_size=MAX_BODY)
    app[_SERVER] = server
    app.router.add_get("/control/clients", _clients)
    app.router.add_get("/control/clients/{endpoint}", _client)
    app.router.add_post("/control/clients/{endpoint}/beyond", _beyond)
    app.router.add_post("/control/clients/{endpoint}/{operation}", _operate)
    app.router.add_get("/control/observations", _observations)
    app.router.add_get("/control/sends", _sends)
    app.router.add_get("/control/seen", _seen)
    app.router.add_post("/control/stop", _stop)
    app.router.add_post("/control/start", _start)
    app.router.add_put("/control/oscore/{endpoint}", _oscore)
    app.router.add_put("/control/psk/{endpoint}", _psk)
    app.router.add_put("/control/certificate", _certificate)
    app.router.add_put("/control/certificate/{endpoint}", _certified)
    app.router.add_get("/control/dtls", _dtls)
    app.router.add_get("/control/bootstrap", _sessions)
    app.router.add_put("/control/bootstrap/{endpoint}", _plan)
    app.router.add_delete("/control/bootstrap/{endpoint}", _no_plan)
    app.router.add_post("/control/bootstrap/{endpoint}", _step)
    return app


async def _clients(request: web.Request) -> web.Response:
    return web.json_response([client.to_json() for client in request.app[_SERVER].clients])


async def _client(request: web.Request) -> web.Response:
    server, endpoint = request.app[_SERVER], request.match_info["endpoint"]
    try:
        if "wait" in request.query:
            return web.json_response((await server.wait_registered(endpoint, float(request.query["wait"]))).to_json())
        return web.json_response(server.client(endpoint).to_json())
    except (NotRegistered, TimeoutError):
        return web.json_response({"error": "not registered"}, status=404)


async def _operate(request: web.Request) -> web.Response:
    operation = CALLS[request.match_info["operation"]]
    body = await body_of(request)
    try:
        result = await operation(request.app[_SERVER], request.match_info["endpoint"], body)
    except NotRegistered:
        return web.json_response({"error": "not registered"}, status=404)
    except ClientAsleep:
        return web.json_response({"outcome": "asleep"})
    except Dropped:
        return web.json_response({"outcome": "dropped"})
    except OscoreError as error:
        return web.json_response({"outcome": "not verified", "detail": str(error)})
    return web.json_response({"outcome": "done"} if result is None else describe(result))


async def _beyond(request: web.Request) -> web.Response:
    server, body = request.app[_SERVER], await body_of(request)
    try:
        return web.json_response(await ask_beyond(server, request.match_info["endpoint"], body))
    except NotRegistered:
        return web.json_response({"error": "not registered, or no such device"}, status=404)
    except OscoreError as error:
        return web.json_response({"outcome": "not verified", "detail": str(error)})
    except TimeoutError:
        return web.json_response({"outcome": "no answer"})


async def _observations(request: web.Request) -> web.Response:
    return web.json_response([_describe_observed(one) for one in request.app[_SERVER].observations.values()])


def _describe_observed(observed: Observed) -> Body:
    def describe_one(notification: Response) -> Body:
        return {
            "time": notification.time,
            "observe": notification.observe,
            "code": notification.code,
            "type": notification.type,
            "values": values_of(lambda: observed.records_of(notification)),
        }

    paths = [format_path(path) for path in observed.paths]
    return {
        "endpoint": observed.endpoint,
        **({"path": paths[0]} if observed.content is None else {"paths": paths}),
        "token": observed.token.hex(),
        "notifications": [describe_one(notification) for notification in observed.notifications],
    }


async def _sends(request: web.Request) -> web.Response:
    since = int(request.query.get("since", "0"))
    return web.json_response(
        [
            {
                "endpoint": endpoint,
                "records": [
                    {"path": format_path(record.path), "value": to_json(record.value), "time": record.time}
                    for record in records
                ],
            }
            for endpoint, records in request.app[_SERVER].sends[since:]
        ]
    )


async def _seen(request: web.Request) -> web.Response:
    since = int(request.query.get("since", "0"))
    kind, endpoint = request.query.get("kind"), request.query.get("endpoint")
    return web.json_response(
        [
            entry.to_json()
            for entry in request.app[_SERVER].seen.entries[since:]
            if kind in {None, entry.kind} and endpoint in {None, entry.endpoint}
        ]
    )


async def _stop(request: web.Request) -> web.Response:
    await request.app[_SERVER].stop(forget=bool((await body_of(request)).get("forget", True)))
    return web.json_response({"outcome": "done"})


async def _start(request: web.Request) -> web.Response:
    host, port = await request.app[_SERVER].start()
    return web.json_response({"coap": f"coap://{host}:{port}"})


async def _oscore(request: web.Request) -> web.Response:
    request.app[_SERVER].identities.use_oscore(request.match_info["endpoint"], keys_from(await body_of(request)))
    return web.Response(status=204)


async def _psk(request: web.Request) -> web.Response:
    request.app[_SERVER].identities.use_key(request.match_info["endpoint"], key_from(await body_of(request)))
    return web.Response(status=204)


async def _certificate(request: web.Request) -> web.Response:
    request.app[_SERVER].identities.use_certificate(server_certificate_from(await body_of(request)))
    return web.Response(status=204)


async def _certified(request: web.Request) -> web.Response:
    endpoint = request.match_info["endpoint"]
    request.app[_SERVER].identities.bind_certificate(endpoint, str((await body_of(request)).get("name", endpoint)))
    return web.Response(status=204)


async def _dtls(request: web.Request) -> web.Response:
    return web.json_response(request.app[_SERVER].identities.sessions())


async def _sessions(request: web.Request) -> web.Response:
    bootstrap = request.app[_SERVER].bootstrap
    return web.json_response(
        {"plans": sorted(bootstrap.plans), "sessions": [session.to_json() for session in bootstrap.sessions]}
    )


async def _plan(request: web.Request) -> web.Response:
    plan = Plan.parse(await body_of(request))
    request.app[_SERVER].bootstrap.plans[request.match_info["endpoint"]] = plan
    return web.Response(status=204)


async def _no_plan(request: web.Request) -> web.Response:
    del request.app[_SERVER].bootstrap.plans[request.match_info["endpoint"]]
    return web.Response(status=204)


async def _step(request: web.Request) -> web.Response:
    bootstrap = request.app[_SERVER].bootstrap
    session = bootstrap.session(request.match_info["endpoint"])
    try:
        await bootstrap.step(session, Step.parse(await body_of(request)))
    except UnsupportedFormat as error:
        raise ValueError(str(error)) from None
    return web.json_response(session.steps[-1])
