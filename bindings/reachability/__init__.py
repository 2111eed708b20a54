"""Reachability of devices: monitoring events of a SCEF or NEF, and network parameters for it.

Two T8 APIs that any binding over T8 may use: 3gpp-monitoring-event (TS 29.122 §5.3) reports events of a device, and
3gpp-network-parameter-configuration (§5.12) sets power saving to suit the service. Only the first reports the times of
a device's power saving.
"""
