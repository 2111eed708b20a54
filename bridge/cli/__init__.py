"""The command `lwm2m-bridge`."""

import click

from bridge.cli.config import config_group
from bridge.cli.device import device_group
from bridge.cli.doctor import doctor
from bridge.cli.endpoint import endpoint_group
from bridge.cli.messages import downlink_group, uplink_group
from bridge.cli.mock import demo, mock_group
from bridge.cli.network import network_group
from bridge.cli.run import run
from bridge.cli.status import status


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="lwm2m-nonip-bridge")
def main() -> None:
    """Let any LwM2M server manage devices that have no IP."""


for command in (
    run,
    config_group,
    endpoint_group,
    device_group,
    network_group,
    downlink_group,
    uplink_group,
    status,
    doctor,
    mock_group,
    demo,
):
    main.add_command(command)
