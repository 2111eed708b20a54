"""The REST API: operations over HTTP with bearer keys, described by OpenAPI 3.1."""
