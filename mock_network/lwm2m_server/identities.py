"""Which client is behind a message: by its OSCORE context, its pre-shared key, or its certificate.

An endpoint name is bound to what the client has: under that name nothing else counts. A client with a certificate is
the endpoint of its common name, if no other name is bound to it.
"""

from typing import Any

from mock_network.lwm2m.credentials import PreSharedKey, Proven, ServerCertificate
from mock_network.lwm2m.dtls import ServerSessions
from mock_network.lwm2m.dtls_contexts import Clock
from mock_network.lwm2m.endpoint import CoapEndpoint
from mock_network.lwm2m.oscore import OscoreKeys, new_context


class Identities:
    """The keys, contexts and names of a server's clients. `open` gives a listening endpoint its sessions."""

    def __init__(self, now: Clock) -> None:
        self.contexts: dict[str, Any] = {}
        """OSCORE contexts by endpoint name."""
        self._now = now
        self._keys: dict[str, bytes] = {}
        self._key_owners: dict[str, str] = {}  # endpoint by PSK identity
        self._certified: dict[str, str] = {}  # endpoint by common name
        self._certificate: ServerCertificate | None = None
        self._endpoint: CoapEndpoint | None = None
        self._sessions: ServerSessions | None = None

    def open(self, endpoint: CoapEndpoint | None) -> None:
        """Have an endpoint take sessions, if any client has a key or certificate; None: the server has stopped."""
        self._endpoint, self._sessions = endpoint, None
        if endpoint is not None and (self._keys or self._certificate is not None):
            self._sessions = endpoint.use_server_sessions(self._keys, self._now)
            if self._certificate is not None:
                self._sessions.use_certificate(self._certificate)

    def use_oscore(self, endpoint: str, keys: OscoreKeys) -> None:
        """Protect all traffic with a client by these keys, as this server sees them; OscoreError."""
        self.contexts[endpoint] = new_context(keys)

    def use_key(self, endpoint: str, key: PreSharedKey) -> None:
        """Take DTLS sessions of a client on the same port."""
        self._keys[key.identity] = key.key
        self._key_owners[key.identity] = endpoint
        if self._sessions is None:
            self.open(self._endpoint)

    def use_certificate(self, own: ServerCertificate) -> None:
        """Show this certificate, and take the clients of its authorities; ValueError."""
        self._certificate = own
        if self._sessions is None:
            self.open(self._endpoint)
        else:
            self._sessions.use_certificate(own)

    def bind_certificate(self, endpoint: str, common_name: str) -> None:
        """Have an endpoint name belong to the client whose certificate has a common name."""
        self._certified[common_name] = endpoint

    def is_bound(self, endpoint: str) -> bool:
        """Return whether only a context or a session speaks for an endpoint."""
        return endpoint in {*self.contexts, *self._key_owners.values(), *self._certified.values()}

    def find_context(self, kid: bytes, kid_context: bytes | None) -> Any:
        """Return the OSCORE context of the client that calls itself `kid`, None if there is none (`FindContext`)."""
        for context in self.contexts.values():
            if context.recipient_id == kid and kid_context in {None, context.id_context}:
                return context
        return None

    def endpoint_of(self, security: Any, proven: Proven | None) -> str | None:
        """Return the endpoint whose session, else whose context, verified a request; None for an unprotected one."""
        if proven is None:
            return next((name for name, context in self.contexts.items() if context is security), None)
        if proven.issuer is None:
            return self._key_owners.get(proven.name)
        return self._certified.get(proven.name, proven.name)

    def sessions(self) -> list[dict[str, str | float]]:
        """Return each open session: peer, name, the issuer of a certificate, empty for a key, and since when."""
        found = {} if self._sessions is None else self._sessions.clients()
        return [
            {"peer": f"{host}:{port}", "name": proven.name, "issuer": proven.issuer or "", "opened_at": opened_at}
            for (host, port), (proven, opened_at) in found.items()
            if proven is not None
        ]
