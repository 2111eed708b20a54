"""The values that an emulated device starts with."""

from mock_network.device.objects import Instances
from mock_network.lwm2m.definitions import CONNECTIVITY, DEVICE, FIRMWARE, SECURITY, SERVER, TEMPERATURE

NB_IOT = 7  # /4/0/0 Network Bearer
NO_SEC = 3  # /0/0/2 Security Mode
PUSH = 1  # /5/0/9 Firmware Update Delivery Method
SHORT_SERVER_ID = 101


def initial_objects(endpoint: str, server_uri: str, lifetime: int, binding: str) -> Instances:
    """Objects 0, 1, 3, 4, 5 and 3303 of a device named `endpoint`."""
    return {
        SECURITY: {
            0: {0: server_uri, 1: False, 2: NO_SEC, 3: b"", 4: b"", 5: b"", 10: SHORT_SERVER_ID},
        },
        SERVER: {
            0: {0: SHORT_SERVER_ID, 1: lifetime, 2: 0, 3: 0, 5: 86400, 6: True, 7: binding, 23: False},
        },
        DEVICE: {
            0: {
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
                13: 1767225600,
                14: "+00:00",
                15: "Europe/Berlin",
                16: binding,
                17: "sensor",
                18: "1",
                19: "1.0",
                20: 0,
                21: 256,
            },
        },
        CONNECTIVITY: {
            0: {0: NB_IOT, 1: {0: NB_IOT}, 2: -92, 3: 30, 4: {0: "0.0.0.0"}, 8: 1, 9: 1, 10: 1},  # noqa: S104 a value: this device has no IP address
        },
        FIRMWARE: {
            0: {1: "", 3: 0, 5: 0, 6: "", 7: "", 9: PUSH},
        },
        TEMPERATURE: {
            0: {5601: 20.0, 5602: 20.0, 5603: -40.0, 5604: 85.0, 5700: 20.0, 5701: "Cel", 5750: "room"},
        },
    }
