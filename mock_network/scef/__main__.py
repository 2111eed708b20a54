"""`python -m mock_network.scef`: the emulated SCEF as a process."""

from mock_network.scef.command import scef

scef()
