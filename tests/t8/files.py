"""Where 3GPP's OpenAPI files are. They are not part of the project, whose licence is not theirs."""

import os
from pathlib import Path

NIDD = "TS29122_NIDD.yaml"
TRIGGERING = "TS29122_DeviceTriggering.yaml"
MONITORING = "TS29122_MonitoringEvent.yaml"
PARAMETERS = "TS29122_NpConfiguration.yaml"
MO_SMS = "TS29122_MsisdnLessMoSms.yaml"
NIDD_TRIGGER = "TS29522_NIDDConfigurationTrigger.yaml"
COMMON = "TS29122_CommonData.yaml"

APIS = {  # by the path that follows the apiRoot
    "/3gpp-nidd/v1": NIDD,
    "/3gpp-device-triggering/v1": TRIGGERING,
    "/3gpp-monitoring-event/v1": MONITORING,
    "/3gpp-network-parameter-configuration/v1": PARAMETERS,
}
ABSENT = "3GPP's OpenAPI files are absent; CONTRIBUTING.md says how to get them"


def openapi_dir() -> Path | None:
    """Return the folder with 3GPP's YAML files: $T8_OPENAPI_DIR, else ../shared/3gpp; None if there is none."""
    named = os.environ.get("T8_OPENAPI_DIR")
    folder = Path(named) if named else Path(__file__).parents[3] / "shared" / "3gpp"
    return folder if (folder / NIDD).is_file() else None


def are_required() -> bool:
    """Return whether tests fail without the files: where everything is required, unless WITHOUT_3GPP=1."""
    return os.environ.get("REQUIRE_ALL") == "1" and os.environ.get("WITHOUT_3GPP") != "1"
