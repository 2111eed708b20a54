"""The metrics of the bridge: help texts, and the series that exist from the start."""

from collections.abc import Iterable, Mapping

from bindings.contract import Binding, DescribesCounters
from bridge.delivery.effects import Direction
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.metrics import Metrics

COUNTERS = {
    "address_commands": "Commands that move the addresses of shards, by command and result.",
    "answers_held_back": "Answers that wait until the device repeats its request: the network holds too many already.",
    "api_callers_refused": "Requests to the API whose key is missing, wrong, expired or revoked, or that guess keys.",
    "webhook_dead_letters": "Events that a webhook did not accept for days.",
    "webhook_deliveries": "Attempts to post an event to a webhook, by result.",
    "reload_failures": "Reloads of the configuration that were refused, or came into force only in part.",
    "api_requests": "Requests to the API, by status of the answer.",
    "acknowledgements_without_message": (
        "Acknowledgements of unknown messages, from servers (north) or devices (south)."
    ),
    "answers_superseded": "Answers to a device that a newer answer replaced.",
    "cancels": "Calls that cancel a message in a network, by network and result.",
    "clock_set": "Times that somebody set the machine's clock by a second or more, by direction.",
    "deadlines_cut": "Requests with a longer time to live than a server may ask for (max_ttl), by server.",
    "deprovision_failures": "Removed endpoints that could not be removed from their network.",
    "device_repeats": "Messages that a device sent again.",
    "device_requests_refused": "A device's requests that the bridge refused, such as a wrong name.",
    "endpoints_down": "Times that an endpoint could not reach its servers: its port could not be used.",
    "endpoints_without_network": "Events of endpoints whose network is not configured.",
    "events_for_other_nodes": "Events of endpoints whose shard another node of the cluster serves.",
    "failed_commits": "Commits that failed: nothing of them was acknowledged.",
    "failed_loads": "Endpoints that the store could not read; they are read again later.",
    "failed_steps": "Messages whose processing failed because of a bug in the bridge: please report.",
    "failed_tasks": "Background work that failed because of a bug in the bridge: please report.",
    "handshake_cut": "Datagrams of a server's DTLS handshake that were cut to fit the device's network.",
    "handshake_replaced": "A server's DTLS handshake records that it repeated while they still waited for the device.",
    "hello_parts": "Parts of a device's ClientHello that wait for the rest of it.",
    "identity_refusals": "A device's requests that a server could take for those of another endpoint, by operation.",
    "kept_blocks": "Further blocks of answers that were served without asking the server.",
    "late_responses": "Answers that came after the server no longer waited.",
    "late_updates": "Updates after nine tenths of a registration's lifetime, by server: the device will be lost.",
    "lookups": "Calls that ask a network whether it has a message, by network and result.",
    "malformed_messages": "Messages that are not CoAP, from servers (north) or devices (south).",
    "messages_from_the_future": "Messages that a start found accepted later than now: the clock was set back.",
    "messages_of_disabled_endpoints": (
        "Messages that came for an endpoint that is disabled, or whose network or servers are not configured."
    ),
    "metrics_overflow": "Values counted under a common label, since there were too many labels.",
    "network_duplicates": "Uplinks that a network delivered again.",
    "network_pauses": "Times that a network was left alone for a while because it answered no call.",
    "north_dropped": (
        "Messages to a server, by server, that could not leave: no address, no socket, too many waiting; they "
        "are repeated, except notifications that go as NON."
    ),
    "north_retransmissions": "Messages sent to a server again.",
    "north_without_endpoint": "Messages for an address that no endpoint has, such as that of a removed one.",
    "notifications_after_cancel": "Notifications on observations that had ended.",
    "observations_ended": "Observations that were ended to make room for others.",
    "oscore_kids_unknown": "A device's OSCORE messages whose kid none of its servers has: they go to the default.",
    "outcomes": (
        "Messages that reached their outcome, by direction and state. FORWARDED says of an answer in an "
        "acknowledgement or as NON, and of a DTLS record, that the link carried it, not that the server has it."
    ),
    "owner_requests": "Operations handed to the node that serves the endpoint, by operation and result.",
    "patience_ended": "Requests that the server got 5.04 for, or no answer.",
    "polls": "Empty messages of devices that ask for downlinks.",
    "posts_for_others": "Posts that were received for whoever serves their device, by network and result.",
    "posts_from_others": "Posts that another bridge or node had received, by network and result.",
    "provision_failures": "Devices that a binding rejected.",
    "records_not_sent": "DTLS records of devices that could not leave for their server, by server; DTLS repeats them.",
    "registrations_not_bound": "Registrations that a server would not bind to a new connection, by server.",
    "reports_dropped": "A network's delivery reports that were dropped: too many came before their message was known.",
    "reports_without_downlink": "A network's delivery reports on unknown messages.",
    "requests_of_strangers": "Requests of a server to an endpoint that does not have this server.",
    "requests_refused": (
        "Requests that were answered with an error at once, by reason; 'too many exchanges': more than "
        "max_exchanges of one endpoint within 247 s, a server in a loop?."
    ),
    "resets_without_message": "Resets of unknown messages.",
    "responses_missing": "Device's requests that a server acknowledged and never answered.",
    "responses_without_request": "Responses to unknown requests, from servers (north) or devices (south).",
    "quota_allotments": "Times that this node asked for its parts of quotas that nodes share.",
    "quota_warnings": "Times that a quota came near its limit or passed it, by quota.",
    "rows_pruned": "Rows removed after retention.",
    "server_retransmissions": "Requests that a server sent again.",
    "shards_lost": "Shards that another node took although this one held them: please report.",
    "shards_refused": "Shards that this node could not serve, and gave back.",
    "shards_released": "Shards that this node handed over.",
    "shards_taken": "Shards that this node took.",
    "silent_servers": "Servers that did not acknowledge for a while: their name is resolved again.",
    "stale_submit_results": "Answers of a network to submissions that were given up before.",
    "store_full": "Events refused because too many commits wait.",
    "submits": "Calls that submit a message to a network, by network and result.",
    "unknown_devices": "Events of devices that no endpoint has.",
    "devices_announced": "Updates sent to a server that took a reachable device for asleep, by server.",
    "uplinks_dropped": "Uplinks without a server, on a port of none, or beyond the limit.",
    "waiting_events_refused": "Messages refused because too many wait for their endpoint to be read.",
    "wake_ups": "Triggers that were requested to wake up a sleeping device.",
    "wake_ups_impossible": "Devices not woken up: their instance of object 1, or the endpoint, is not known.",
    "wake_ups_under_way": "Triggers not sent, since one for the same device is on its way.",
}

DURATIONS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0)  # seconds
CALLS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # seconds

PLAIN = (
    "late_responses",
    "network_duplicates",
    "failed_commits",
    "failed_tasks",
    "failed_loads",
    "polls",
    "shards_refused",
)
"""Counters without labels that alerts use."""

OUTCOMES = {
    Direction.DOWN: [*DownlinkState][[*DownlinkState].index(DownlinkState.SENT) :],
    Direction.UP: [state for state in UplinkState if state is not UplinkState.RECEIVED],
}


def describe(metrics: Metrics, networks: Mapping[str, Binding], servers: Iterable[str]) -> None:
    """Set the help text of every metric, and create the series that alerts use, with 0."""
    for name, text in COUNTERS.items():
        metrics.describe(name, text)
    metrics.histogram(
        "message_duration_seconds", "Time from accepting or receiving a message to its outcome.", DURATIONS
    )
    metrics.histogram("submit_duration_seconds", "Time that a network took to answer a submission.", CALLS)
    for name in PLAIN:
        metrics.begin(name)
    for direction, states in OUTCOMES.items():
        for state in states:
            metrics.begin("outcomes", direction=direction, state=state)
    for server in servers:
        metrics.begin("late_updates", kind=server)
    for network, binding in networks.items():
        for name in ("provision_failures", "unknown_devices", "store_full"):
            metrics.begin(name, network=network)
        if isinstance(binding, DescribesCounters):
            for name, text in binding.counters().items():
                metrics.describe(name, text)
