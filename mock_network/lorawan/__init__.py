"""Emulated LoRaWAN devices and gateways, down to the frames on air.

`radio` is the border to a network server: an emulated one in the same process, or, through `gateway_mqtt`, any that
speaks ChirpStack v4's gateway protocol. Nothing in here knows about the bridge.
"""
