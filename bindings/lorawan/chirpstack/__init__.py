"""The provider ChirpStack v4: gRPC API, integration events over HTTP and MQTT, provisioning."""
