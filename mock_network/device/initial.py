"""The values that an emulated device starts with."""

from collections.abc import Iterator, Mapping

from mock_network.device.access import Right, control_of
from mock_network.device.accounts import (
    ACCOUNT_TIMEOUT,
    BOOTSTRAP_ON_FAILURE,
    FAILURE_BLOCK,
    HOLD_OFF,
    INITIAL_DELAY,
    ORDER,
    OSCORE_LINK,
    RDS_DESTINATION_PORT,
    RETRY_COUNT,
    RETRY_TIMER,
    SEQUENCE_COUNT,
    SEQUENCE_DELAY,
)
from mock_network.device.every_type import initial_values
from mock_network.device.firmware import PUSH
from mock_network.device.options import DeviceOptions, ServerOptions
from mock_network.device.security import Mode, instance_of
from mock_network.device.tree import Instances, Resource
from mock_network.lwm2m.definitions import (
    ACCESS_CONTROL,
    APN_PROFILE,
    APP_DATA,
    CELLULAR,
    CONNECTIVITY,
    DEVICE,
    FIRMWARE,
    FIRMWARE_BANK,
    LOCATION,
    OSCORE,
    SECURE_COMPONENT,
    SECURITY,
    SERVER,
    TEMPERATURE,
    TEST,
)
from mock_network.lwm2m.paths import Path
from mock_network.lwm2m.values import ObjectLink

NB_IOT = 7  # /4/0/0 Network Bearer
NON_IP = 0  # /11/x/24 PDN Type
NO_AUTHENTICATION = 3  # /11/x/4


def initial_objects(options: DeviceOptions) -> Instances:
    """Return the objects of a new device."""
    bindings = dict.fromkeys([options.binding, *(bearer.binding for bearer in options.more_bearers)])
    apns = [bearer.apn for bearer in options.more_bearers if bearer.apn]
    known: Instances = {
        SECURITY: dict(enumerate(_securities(options))),
        SERVER: dict(enumerate(_server(server) for server in options.servers())),
        DEVICE: {0: _device(options.endpoint, "".join(bindings))},
        CONNECTIVITY: {
            0: {0: NB_IOT, 1: {0: NB_IOT}, 2: -92, 3: 30, 4: {0: "0.0.0.0"}, 8: 1, 9: 1, 10: 1},  # noqa: S104 a value: this device has no IP address
        },
        FIRMWARE: {0: {1: "", 3: 0, 5: 0, 6: "", 7: "", 9: PUSH}},
        LOCATION: {0: {0: 52.52, 1: 13.405, 2: 34.0, 5: 1767225600}},
        CELLULAR: {
            0: {4: 86400, 5: 20, 11: {key: ObjectLink(APN_PROFILE, key) for key in range(len(apns))}, 12: 3, 13: 1}
        },
        APN_PROFILE: {key: {0: apn, 1: apn, 3: True, 4: NO_AUTHENTICATION, 24: NON_IP} for key, apn in enumerate(apns)},
        APP_DATA: {0: {0: {0: b""}}, 1: {0: {0: b""}}},
        FIRMWARE_BANK: {0: {0: "", 1: False}},
        SECURE_COMPONENT: {0: {0: f"sc-{options.endpoint}", 4: {}}},
        TEMPERATURE: {
            0: {5601: 20.0, 5602: 20.0, 5603: -40.0, 5604: 85.0, 5700: 20.0, 5701: "Cel", 5750: "room"},
        },
    }
    wanted = options.objects | ({APN_PROFILE, CELLULAR} if apns else set())
    if options.tunnel is not None:
        wanted |= {APP_DATA}
    if TEST in options.objects:
        known[TEST] = {0: initial_values(options.model)}
    protected = [*(server.oscore for server in options.servers()), options.bootstrap_oscore]
    if any(keys is not None for keys in protected):
        wanted |= {OSCORE}
        known[OSCORE] = {key: instance_of(keys) for key, keys in enumerate(protected) if keys is not None}
    objects = {number: known.get(number, {}) for number in sorted(wanted)}
    if len(options.servers()) > 1:
        objects[ACCESS_CONTROL] = {}
        objects[ACCESS_CONTROL] = dict(enumerate(_controls(options, objects)))
    return objects


def _securities(options: DeviceOptions) -> Iterator[dict[int, Resource]]:
    none: dict[int, Resource] = {2: Mode.NO_SEC, 3: b"", 4: b"", 5: b""}
    if options.psk is not None:
        none = {2: Mode.PRE_SHARED_KEY, 3: options.psk.identity.encode(), 4: b"", 5: options.psk.key}
    elif options.certificate is not None:
        own = options.certificate
        none = {2: Mode.CERTIFICATE, 3: own.certificate, 4: own.server, 5: own.key, 15: own.usage}
    for key, server in enumerate(options.servers()):
        link: dict[int, Resource] = {} if server.oscore is None else {OSCORE_LINK: ObjectLink(OSCORE, key)}
        rds = _present({RDS_DESTINATION_PORT: server.rds_port})
        yield {0: server.uri, 1: False, **none, 10: server.server_id, **rds, **link}
    if options.bootstrap_uri:
        times: dict[int, Resource] = {
            HOLD_OFF: options.bootstrap_hold_off,
            ACCOUNT_TIMEOUT: options.bootstrap_account_timeout,
        }
        keys = options.bootstrap_oscore
        protected: dict[int, Resource] = (
            {} if keys is None else {OSCORE_LINK: ObjectLink(OSCORE, len(options.servers()))}
        )
        yield {0: options.bootstrap_uri, 1: True, **none, **times, **protected}


def _server(server: ServerOptions) -> dict[int, Resource]:
    optional = {
        ORDER: server.order,
        INITIAL_DELAY: server.initial_delay,
        FAILURE_BLOCK: server.failure_block,
        BOOTSTRAP_ON_FAILURE: server.bootstrap_on_failure,
        RETRY_COUNT: server.retry_count,
        RETRY_TIMER: server.retry_timer,
        SEQUENCE_DELAY: server.sequence_delay,
        SEQUENCE_COUNT: server.sequence_count,
    }
    fixed: dict[int, Resource] = {
        0: server.server_id,
        1: server.lifetime,
        2: 0,
        3: 0,
        5: 86400,
        6: True,
        7: server.binding,
        23: False,
    }
    return {**fixed, **_present(optional)}


def _present(values: Mapping[int, int | None]) -> dict[int, Resource]:
    return {number: value for number, value in values.items() if value is not None}


def _device(endpoint: str, bindings: str) -> dict[int, Resource]:
    return {
        0: "LwM2M Non-IP bridge",
        1: "Emulated device",
        2: endpoint,
        3: "1.0",
        6: {0: 1},
        7: {0: 3600},
        8: {0: 125},
        9: 100,
        10: 64,
        11: {0: 0},
        14: "+00:00",
        15: "Europe/Berlin",
        16: bindings,
        17: "sensor",
        18: "1",
        19: "1.0",
        20: 0,
        21: 256,
    }


def _controls(options: DeviceOptions, objects: Instances) -> Iterator[dict[int, Resource]]:
    """Each server owns its own Server instance; the first one owns all else, which the others may read."""
    servers = [server.server_id for server in options.servers()]
    for object_id, instances in objects.items():
        if object_id in {SECURITY, ACCESS_CONTROL}:
            continue
        for instance in instances:
            path: Path = (object_id, instance)
            if object_id == SERVER:
                yield control_of(path, servers[instance])
            else:
                yield control_of(path, servers[0], {0: Right.READ, servers[0]: int(~Right(0)) & 31})
        if options.model.objects[object_id].multiple and object_id != SERVER:
            yield control_of((object_id, 65535), 65535, {servers[0]: Right.CREATE})
