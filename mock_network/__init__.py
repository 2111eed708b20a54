"""Emulated networks, devices and servers.

They share no code with the bridge, so that no mistake can cancel itself out.
"""
