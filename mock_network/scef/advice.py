"""Commands to paste, for a person who has just started an emulated SCEF."""

from typing import Any

from mock_network.scef.options import Options

_TEXT = """
An SCEF/NEF is running. Its UEs: {ues}

  T8 apiRoot      {scef}
  control API     {control}
  bearer token    {token}

In another terminal: configure NIDD for a UE, and send it a downlink.

  T8={scef}/3gpp-nidd/v1/my-as/configurations
  AUTH='Authorization: Bearer {token}'; JSON='Content-Type: application/json'
  curl -si -H "$AUTH" -H "$JSON" $T8 -d '{{{identity}, "notificationDestination": "{control}/sink"}}'
  curl -si -H "$AUTH" -H "$JSON" $T8/ID/downlink-data-deliveries -d '{{{identity}, "data": "aGVsbG8="}}'

What the UE really received, and what it does next:

  curl -s "{control}/air-log?format=lines"
  curl -s -X POST {control}/ues/{ue}/sleep
  curl -s -X POST {control}/ues/{ue}/uplink -d '{{"data": "0102"}}'
  curl -s {control}/sink

More: docs/mock-scef.md. End with Ctrl-C.
"""


def advice(addresses: dict[str, Any], options: Options) -> str:
    """Return the text for one that runs at `addresses`."""
    names = list(addresses["ues"])
    ues = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")  # noqa: PLR2004 - fits a line
    if not names:
        ues = (
            f"made when they are first named, as {', '.join(options.on_first_use)}" if options.on_first_use else "none"
        )
    ue = names[0] if names else "meter-1@iot.example"
    return _TEXT.format(
        ues=ues,
        ue=ue,
        identity=_identity(ue, options),
        scef=addresses["scef"],
        control=addresses["control"],
        token=addresses["token"],
    )


def _identity(name: str, options: Options) -> str:
    """Return the member of a T8 request that names the UE `name`: the name of a UE need not be its identity."""
    for ue in options.ues:
        external_id, msisdn = ue.get("external_id"), ue.get("msisdn")
        if name == (ue.get("name") or external_id or msisdn):
            return f'"msisdn": "{msisdn}"' if external_id is None else f'"externalId": "{external_id}"'
    return f'"externalId": "{name}"'
