"""Help texts of the NIDD binding's counters."""

COUNTERS = {
    "nidd_triggers": "Unknown devices that were added (zero touch).",
    "nidd_triggers_not_allowed": "Unknown devices that zero_touch.allow does not name.",
    "nidd_triggers_refused": "Unknown devices for which no endpoint could be added.",
    "nidd_callbacks_no_tls": (
        "Connections whose TLS failed: plain HTTP on a TLS listener, or a certificate that client_ca "
        "did not sign; the log has OpenSSL's reason."
    ),
    "nidd_callbacks_too_many": "Connections refused: too many connections.",
    "nidd_callbacks_too_slow": "Connections refused: their request took too long to come.",
    "nidd_configuration_failures": "Failed attempts to create, read, change or delete a NIDD configuration.",
    "nidd_configurations_adopted": "NIDD configurations found in the SCEF.",
    "nidd_configurations_doubted_wrongly": "Configurations that seemed to be gone, but that the SCEF still has.",
    "nidd_configurations_lost": "Configurations that the SCEF ended.",
    "nidd_configurations_made": "NIDD configurations created.",
    "nidd_configurations_removed": "NIDD configurations deleted.",
    "nidd_internal_errors": "Bugs of the binding: please report.",
    "nidd_kept_by_the_scef": "Downlinks that the SCEF kept although it was asked not to.",
    "nidd_notifications_group": "Group delivery notifications, which the bridge does not use.",
    "nidd_notifications_ports": "Port management notifications, which the bridge does not use.",
    "nidd_notifications_refused": "Notifications answered 4xx: not T8, or of nothing that the bridge knows.",
    "nidd_notifications_store_unavailable": "Notifications answered 503.",
    "nidd_notifications_test": "Test notifications.",
    "nidd_notifications_unknown_configuration": "Notifications of a NIDD configuration that the bridge did not make.",
    "nidd_notifications_unknown_device": "Notifications of a device that no endpoint has.",
    "nidd_notifications_wrong_identity": "Notifications whose device is not that of their NIDD configuration.",
    "nidd_rds_disabled": "Devices without RDS; their downlinks are sent without RDS.",
    "nidd_rds_port_unknown": "Notifications about RDS ports that the bridge does not use.",
    "nidd_submit_errors": "Downlinks that were answered with an error, by status.",
    "nidd_submits_without_answer": "Downlinks whose answer was lost.",
    "nidd_suspicious_packet_size": "Maximum packet sizes that look like bytes.",
    "nidd_unknown_configuration_status": "Configuration states that TS 29.122 does not know.",
    "nidd_unknown_delivery_status": "Delivery states that TS 29.122 does not know.",
    "nidd_uplinks_bad_base64": "Uplinks whose data cannot be decoded.",
}
