"""Emulated ChirpStack v4 network server: its queue and acknowledgement rules, its gRPC API and its integration events.

`network` is the sans-I/O core (time and randomness come from outside, events go in, effects come out);
`server` gives it a clock, sockets and a broker; `command` is the command line.
"""
