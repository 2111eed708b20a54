"""What the bridge counts and measures: help texts for people who read metrics, and series that exist from the start."""

from collections.abc import Mapping

from bindings.contract import Binding, DescribesCounters
from bridge.delivery.effects import Direction
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.metrics import Metrics

COUNTERS = {
    "answers_held_back": "Answers to a device that wait until it asks again: too many are with the network.",
    "api_callers_refused": "Requests to the API whose key is missing, wrong, expired or revoked, or that guess keys.",
    "webhook_dead_letters": "Events that a webhook would not take for days.",
    "webhook_deliveries": "Tries to tell a webhook of an event, by result.",
    "reload_failures": "Reloads of the configuration that were refused: what was in force stayed.",
    "api_requests": "Requests to the API, by status of the answer.",
    "acknowledgements_without_message": (
        "Acknowledgements of no message that is known, from servers (north) or devices (south)."
    ),
    "answers_superseded": "Answers to a device that a newer one made moot.",
    "cancels": "Calls that cancel a message in a network, by network and result.",
    "deprovision_failures": "Removed endpoints whose network could not be told.",
    "device_repeats": "Messages that a device sent again.",
    "device_requests_refused": "A device's requests that the bridge refused, such as a wrong name.",
    "endpoints_down": "Times that an endpoint was cut off from its servers: its port could not be had.",
    "endpoints_without_network": "Events of endpoints whose network is not configured.",
    "failed_commits": "Commits that failed: nothing of them was acknowledged.",
    "failed_loads": "Endpoints that the store could not read; they are read again later.",
    "failed_steps": "Messages whose processing failed by a mistake of the bridge: please report.",
    "failed_tasks": "Background work that failed by a mistake of the bridge: please report.",
    "handshake_replaced": "DTLS fragments replaced by their retransmission.",
    "kept_blocks": "Further blocks of answers that were served without asking the server.",
    "late_responses": "Answers that came after the server no longer waited.",
    "lookups": "Calls that ask a network whether it has a message, by network and result.",
    "malformed_messages": "What is not CoAP, from servers (north) or devices (south).",
    "messages_of_disabled_endpoints": "Messages that came for an endpoint that is disabled.",
    "metrics_overflow": "Values counted under names beyond the limit of names.",
    "network_duplicates": "Uplinks that a network delivered again.",
    "north_dropped": (
        "Messages to a server, by server, that could not leave: no address, no socket, too many waiting; they "
        "are repeated."
    ),
    "north_retransmissions": "Messages sent to a server again.",
    "north_without_endpoint": "Messages for an address that no endpoint has, such as that of a removed one.",
    "notifications_after_cancel": "Notifications on observations that had ended.",
    "outcomes": "Messages that reached their outcome, by direction and state.",
    "patience_ended": "Requests whose server was told 5.04, or left in silence.",
    "polls": "Empty messages of devices that ask for downlinks.",
    "provision_failures": "Devices that a binding would not take.",
    "reports_dropped": "A network's delivery reports that were dropped: too many came before their message was known.",
    "reports_without_downlink": "A network's delivery reports on no message that is known.",
    "requests_of_strangers": "Requests of a server to an endpoint that is not its own.",
    "requests_refused": (
        "Requests that were answered with an error at once, by reason; 'too many exchanges': more than "
        "max_exchanges of one endpoint within 247 s, a server in a loop?."
    ),
    "resets_without_message": "Resets of no message that is known.",
    "responses_missing": "Device's requests that a server acknowledged and never answered.",
    "responses_without_request": "Responses to no request that is known, from servers (north) or devices (south).",
    "quota_warnings": "Quotas that came near their limit, or passed it, by quota.",
    "rows_pruned": "Rows removed after retention.",
    "server_retransmissions": "Requests that a server sent again.",
    "silent_servers": "Servers that did not acknowledge for a while: their name is looked up again.",
    "stale_submit_results": "Answers to submissions that nobody waits for any longer.",
    "store_full": "Events refused because too many commits wait.",
    "submits": "Calls that submit a message to a network, by network and result.",
    "unknown_devices": "Events of devices that no endpoint has.",
    "uplinks_dropped": "Uplinks without a server, or beyond the limit.",
    "waiting_events_refused": "Messages refused because too many wait for their endpoint to be read.",
    "wake_ups": "Triggers asked for, to wake a sleeping device up.",
    "wake_ups_impossible": "Devices not woken up: their instance of object 1, or the endpoint, is not known.",
    "wake_ups_under_way": "Triggers not sent, since one for the same device is on its way.",
}

DURATIONS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0)  # seconds
CALLS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # seconds

PLAIN = ("late_responses", "network_duplicates", "failed_commits", "failed_tasks", "failed_loads", "polls")
"""Counters without labels that alerts look at."""

OUTCOMES = {
    Direction.DOWN: [*DownlinkState][[*DownlinkState].index(DownlinkState.SENT) :],
    Direction.UP: [state for state in UplinkState if state is not UplinkState.RECEIVED],
}


def describe(metrics: Metrics, networks: Mapping[str, Binding]) -> None:
    """Set the help text of every metric, and let series that alerts look at exist from the start, with 0."""
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
    for network, binding in networks.items():
        for name in ("provision_failures", "unknown_devices", "store_full"):
            metrics.begin(name, network=network)
        if isinstance(binding, DescribesCounters):
            for name, text in binding.counters().items():
                metrics.describe(name, text)
