"""`python -m mock_network.lwm2m_server`."""

from mock_network.lwm2m_server.command import server

if __name__ == "__main__":
    server()
