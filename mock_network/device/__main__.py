"""`python -m mock_network.device`."""

from mock_network.device.command import device

if __name__ == "__main__":
    device()
