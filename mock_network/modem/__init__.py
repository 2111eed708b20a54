"""Where the application of an emulated device meets its modem.

A network's emulator has one `Modem` for all of its devices: each device has an address to which any unmodified client
can be pointed. What the client sends there is an uplink of that device, what the network delivers comes back from there
as a datagram to where the client last sent from.
"""

from mock_network.modem.port import Modem, UplinkSink
from mock_network.modem.udp import UdpModem

__all__ = ["Modem", "UdpModem", "UplinkSink"]
