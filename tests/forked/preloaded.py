"""What the bridge and the emulators import when they start: bindings, the service, and the emulators' commands."""

PRELOADED = (
    "bindings.lorawan.chirpstack.provider",
    "bindings.nidd.binding",
    "bindings.sms.binding",
    "bridge.cli.run",
    "bridge.control.local_socket",
    "bridge.control.rest.server",
    "bridge.logging",
    "bridge.service.metrics_server",
    "bridge.service.reload",
    "bridge.service.service",
    "bridge.service.systemd",
    "mock_network.chirpstack.command",
    "mock_network.chirpstack.service",
    "mock_network.clock.command",
    "mock_network.clock.server",
    "mock_network.device.command",
    "mock_network.lwm2m_server.command",
    "mock_network.scef.command",
)
