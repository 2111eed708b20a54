"""The objects that the emulated device has, as the OMA registry defines them (lwm2m-registry: 0, 1, 3, 4, 5, 3303)."""

from collections.abc import Mapping
from dataclasses import dataclass

from mock_network.lwm2m.paths import RESOURCE_LEVEL, Path
from mock_network.lwm2m.values import DataType

SECURITY, SERVER, DEVICE, CONNECTIVITY, FIRMWARE, TEMPERATURE = 0, 1, 3, 4, 5, 3303


@dataclass(frozen=True, slots=True)
class ResourceDefinition:
    """One resource of an object. `operations` holds the letters R, W, E; empty for what no server may touch."""

    name: str
    operations: str
    data_type: DataType
    multiple: bool = False
    mandatory: bool = False


@dataclass(frozen=True, slots=True)
class ObjectDefinition:
    """One object; `version` is said in Register only where it is not 1.0 (Core TS 1.1 §7.2.2)."""

    name: str
    version: str
    multiple: bool
    resources: Mapping[int, ResourceDefinition]


_S, _I, _U, _F, _B, _O, _T, _N = (
    DataType.STRING,
    DataType.INTEGER,
    DataType.UNSIGNED,
    DataType.FLOAT,
    DataType.BOOLEAN,
    DataType.OPAQUE,
    DataType.TIME,
    DataType.NONE,
)
_R = ResourceDefinition

DEFINITIONS: Mapping[int, ObjectDefinition] = {
    SECURITY: ObjectDefinition(
        "LwM2M Security",
        "1.1",
        True,
        {
            0: _R("LwM2M Server URI", "", _S, mandatory=True),
            1: _R("Bootstrap-Server", "", _B, mandatory=True),
            2: _R("Security Mode", "", _I, mandatory=True),
            3: _R("Public Key or Identity", "", _O, mandatory=True),
            4: _R("Server Public Key", "", _O, mandatory=True),
            5: _R("Secret Key", "", _O, mandatory=True),
            10: _R("Short Server ID", "", _I),
        },
    ),
    SERVER: ObjectDefinition(
        "LwM2M Server",
        "1.1",
        True,
        {
            0: _R("Short Server ID", "R", _I, mandatory=True),
            1: _R("Lifetime", "RW", _I, mandatory=True),
            2: _R("Default Minimum Period", "RW", _I),
            3: _R("Default Maximum Period", "RW", _I),
            4: _R("Disable", "E", _N),
            5: _R("Disable Timeout", "RW", _I),
            6: _R("Notification Storing When Disabled or Offline", "RW", _B, mandatory=True),
            7: _R("Binding", "RW", _S, mandatory=True),
            8: _R("Registration Update Trigger", "E", _N, mandatory=True),
            22: _R("Preferred Transport", "RW", _S),
            23: _R("Mute Send", "RW", _B),
        },
    ),
    DEVICE: ObjectDefinition(
        "Device",
        "1.1",
        False,
        {
            0: _R("Manufacturer", "R", _S),
            1: _R("Model Number", "R", _S),
            2: _R("Serial Number", "R", _S),
            3: _R("Firmware Version", "R", _S),
            4: _R("Reboot", "E", _N, mandatory=True),
            5: _R("Factory Reset", "E", _N),
            6: _R("Available Power Sources", "R", _I, multiple=True),
            7: _R("Power Source Voltage", "R", _I, multiple=True),
            8: _R("Power Source Current", "R", _I, multiple=True),
            9: _R("Battery Level", "R", _I),
            10: _R("Memory Free", "R", _I),
            11: _R("Error Code", "R", _I, multiple=True, mandatory=True),
            12: _R("Reset Error Code", "E", _N),
            13: _R("Current Time", "RW", _T),
            14: _R("UTC Offset", "RW", _S),
            15: _R("Timezone", "RW", _S),
            16: _R("Supported Binding and Modes", "R", _S, mandatory=True),
            17: _R("Device Type", "R", _S),
            18: _R("Hardware Version", "R", _S),
            19: _R("Software Version", "R", _S),
            20: _R("Battery Status", "R", _I),
            21: _R("Memory Total", "R", _I),
        },
    ),
    CONNECTIVITY: ObjectDefinition(
        "Connectivity Monitoring",
        "1.0",
        False,
        {
            0: _R("Network Bearer", "R", _I, mandatory=True),
            1: _R("Available Network Bearer", "R", _I, multiple=True, mandatory=True),
            2: _R("Radio Signal Strength", "R", _I, mandatory=True),
            3: _R("Link Quality", "R", _I),
            4: _R("IP Addresses", "R", _S, multiple=True, mandatory=True),
            5: _R("Router IP Addresses", "R", _S, multiple=True),
            6: _R("Link Utilization", "R", _I),
            7: _R("APN", "R", _S, multiple=True),
            8: _R("Cell ID", "R", _I),
            9: _R("SMNC", "R", _I),
            10: _R("SMCC", "R", _I),
        },
    ),
    FIRMWARE: ObjectDefinition(
        "Firmware Update",
        "1.0",
        False,
        {
            0: _R("Package", "W", _O, mandatory=True),
            1: _R("Package URI", "RW", _S, mandatory=True),
            2: _R("Update", "E", _N, mandatory=True),
            3: _R("State", "R", _I, mandatory=True),
            5: _R("Update Result", "R", _I, mandatory=True),
            6: _R("PkgName", "R", _S),
            7: _R("PkgVersion", "R", _S),
            8: _R("Firmware Update Protocol Support", "R", _I, multiple=True),
            9: _R("Firmware Update Delivery Method", "R", _I, mandatory=True),
        },
    ),
    TEMPERATURE: ObjectDefinition(
        "Temperature",
        "1.0",
        True,
        {
            5518: _R("Timestamp", "R", _T),
            5601: _R("Min Measured Value", "R", _F),
            5602: _R("Max Measured Value", "R", _F),
            5603: _R("Min Range Value", "R", _F),
            5604: _R("Max Range Value", "R", _F),
            5605: _R("Reset Min and Max Measured Values", "E", _N),
            5700: _R("Sensor Value", "R", _F, mandatory=True),
            5701: _R("Sensor Units", "R", _S),
            5750: _R("Application Type", "RW", _S),
        },
    ),
}


def resource_definition(path: Path) -> ResourceDefinition | None:
    """The definition of the resource at, or above, this path; None if there is none."""
    if len(path) < RESOURCE_LEVEL or path[0] not in DEFINITIONS:
        return None
    return DEFINITIONS[path[0]].resources.get(path[2])


def type_of(path: Path) -> DataType | None:
    """Data type of the resource at a path (a TypeOf of `values`)."""
    definition = resource_definition(path)
    return None if definition is None else definition.data_type
