"""When a device can be reached: what a SCEF or NEF tells of it, and what it is told of the service.

Two T8 APIs that any binding over T8 may use: 3gpp-monitoring-event (TS 29.122 §5.3) reports events of a device, and
3gpp-network-parameter-configuration (§5.12) lets power saving match the service. Only the first tells the times of a
device's power saving.
"""
