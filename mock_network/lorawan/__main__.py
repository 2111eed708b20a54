"""`python -m mock_network.lorawan`: the same as `lwm2m-bridge mock lorawan`."""

from mock_network.lorawan.command import lorawan

lorawan()
