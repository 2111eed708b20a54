"""The command `lwm2m-bridge`."""

import click

from bridge.cli.lazy import CommandPlace, LazyGroup

COMMANDS = {
    "run": CommandPlace("bridge.cli.run:run", "Run the bridge until SIGTERM or Ctrl-C."),
    "config": CommandPlace("bridge.cli.config:config_group", "Write, check, compare and reload configurations."),
    "endpoint": CommandPlace(
        "bridge.cli.endpoint:endpoint_group",
        "Add, import, show and remove endpoints; show why a message is not sent yet.",
    ),
    "device": CommandPlace(
        "bridge.cli.device:device_group",
        "Make devices in their network, or adopt those that are there, where the network can.",
    ),
    "network": CommandPlace("bridge.cli.network:network_group", "Networks that carry messages of devices."),
    "downlink": CommandPlace("bridge.cli.messages:downlink_group", "Messages to devices."),
    "uplink": CommandPlace("bridge.cli.messages:uplink_group", "Messages from devices."),
    "trace": CommandPlace(
        "bridge.cli.trace:trace", "Show everything on both hops of one endpoint, live, until Ctrl-C."
    ),
    "event": CommandPlace(
        "bridge.cli.events:event_group",
        "Outcomes, registrations and changes of provisioning, in the order in which they happened.",
    ),
    "webhook": CommandPlace("bridge.cli.events:webhook_group", "URLs to which events are posted."),
    "key": CommandPlace("bridge.cli.key:key_group", "Keys of the REST API."),
    "dashboard": CommandPlace(
        "bridge.cli.dashboard:dashboard", "Print a link that signs a browser in to the dashboard."
    ),
    "audit": CommandPlace("bridge.cli.key:audit", "List who asked for which change, newest first."),
    "cluster": CommandPlace(
        "bridge.cli.cluster:cluster_group",
        "Show the nodes that share the ledger, what moves between them, and let one hand over what it serves.",
    ),
    "usage": CommandPlace(
        "bridge.cli.quotas:usage", "Show what was used of networks, day by day, as a table or as CSV."
    ),
    "quota": CommandPlace(
        "bridge.cli.quotas:quota_group", "Show what is left of quotas, and what a transfer would cost."
    ),
    "status": CommandPlace(
        "bridge.cli.status:status", "Show the state of the bridge, and the number of messages in each state."
    ),
    "doctor": CommandPlace(
        "bridge.cli.doctor:doctor",
        "Check every network: reachability, credentials, harmful settings, the way back to the bridge.",
    ),
    "backup": CommandPlace("bridge.cli.backup:backup", "Write a consistent copy of the ledger to FILE."),
    "restore": CommandPlace("bridge.cli.backup:restore", "Make the ledger from a copy that `backup` wrote."),
    "store": CommandPlace(
        "bridge.cli.store:store_group", "The place of the ledger: move it from its file into PostgreSQL."
    ),
    "mock": CommandPlace(
        "bridge.cli.mock:mock_group",
        "Emulated networks, devices and servers, to develop against without an operator.",
    ),
    "demo": CommandPlace(
        "bridge.cli.mock:demo",
        "Show everything live: a server manages devices without IP through emulated networks.",
    ),
}


@click.group(
    cls=LazyGroup,
    commands_at=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="lwm2m-nonip-bridge")
def main() -> None:
    """Let any LwM2M server manage devices that have no IP."""
