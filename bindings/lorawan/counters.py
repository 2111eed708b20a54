"""Help texts of the LoRaWAN binding's counters."""

COUNTERS = {
    "lorawan_api_errors": "Failed calls of the network server's API, by trouble.",
    "lorawan_cancels_hindered": "Cancellations that were not possible because of other items in the queue.",
    "lorawan_catch_up_failures": "Histories that could not be read completely; they are read again.",
    "lorawan_counter_resets": "Frame counters that were reset.",
    "lorawan_devices_in_trouble": "Devices found deleted, disabled or moved in the network server, by trouble.",
    "lorawan_devices_not_in_chirpstack": "Endpoints whose DevEUI ChirpStack does not have.",
    "lorawan_discarded_in_doubt": "Downlinks that the network server discarded after it may have transmitted them.",
    "lorawan_downlinks_without_report": "Downlinks that left the queue without an event that says why.",
    "lorawan_events_cut_off": "Connections to the event listener that were closed within a request.",
    "lorawan_events_malformed": "Connections to the event listener that were refused: malformed HTTP.",
    "lorawan_events_refused": "Events answered 4xx: not events of ChirpStack v4.",
    "lorawan_events_store_unavailable": "Events that were not stored: answered 503, and read from the history later; "
    "or not acknowledged to the broker, which keeps them.",
    "lorawan_events_too_large": "Connections to the event listener that were refused: body too large.",
    "lorawan_events_too_many": "Connections to the event listener that were refused: too many connections.",
    "lorawan_events_too_slow": "Connections to the event listener that were refused: request too slow.",
    "lorawan_events_unknown_device": "Events of devices that no endpoint has.",
    "lorawan_events_wrong_method": "Connections to the event listener that were refused: wrong method.",
    "lorawan_events_wrong_path": "Connections to the event listener that were refused: wrong path.",
    "lorawan_expired_early": "Downlinks that expired in ChirpStack before their deadline, since its clock and "
    "ours are apart; they are sent again.",
    "lorawan_internal_errors": "Bugs of the binding: please report.",
    "lorawan_log_events": "Log events, by their code.",
    "lorawan_malformed_events": "Events that are not events of ChirpStack v4.",
    "lorawan_mqtt_disconnects": "Times that the broker closed the connection.",
    "lorawan_mqtt_refusals": "Times that the broker refused the connection.",
    "lorawan_mqtt_sessions_inherited": (
        "Sessions at the broker from which this node took the events of a node that was gone."
    ),
    "lorawan_mqtt_sessions_lost": (
        "Sessions that the broker did not keep: events were lost, and ChirpStack is asked for them."
    ),
    "lorawan_mqtt_unreachable": "Times that the broker could not be reached.",
    "lorawan_other_applications": "Events of other applications.",
    "lorawan_not_sealed": "Downlinks that could not be encrypted for the device; nothing was sent.",
    "lorawan_other_f_ports": "Uplinks on other FPorts.",
    "lorawan_replayed_events": "Events that were delivered again, mostly from the history.",
    "lorawan_requests_passed": "Requests that were taken out of the queue for an answer, and queued again behind it.",
    "lorawan_sealed_uplinks": "Uplinks that ChirpStack could not decrypt: a Join Server has the application's keys.",
    "lorawan_submit_errors": "Downlinks that the network server's API did not accept, by trouble.",
}
