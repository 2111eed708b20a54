"""Who may use the T8 APIs: a bearer token, HTTP Basic, or tokens by OAuth 2.0 client credentials (RFC 6749 §4.4)."""

import base64
import binascii
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

TOKEN_LIFETIME = 3600.0  # seconds
KINDS = frozenset({"bearer", "basic", "oauth2"})


@dataclass(frozen=True, slots=True)
class Client:
    """One client; its secret is its password, and at the same time its long-lived bearer token."""

    id: str
    secret: str
    scs_as: frozenset[str] | None = None  # what it may call itself in the path; None: anything

    def may_be(self, scs_as: str) -> bool:
        """Return whether the client is this SCS/AS."""
        return self.scs_as is None or not scs_as or scs_as in self.scs_as


_ANYBODY = Client("", "")


class Authority:
    """Checks credentials, and issues tokens. `kinds` are those that are taken; an empty set takes every request."""

    def __init__(
        self, clients: Iterable[Client], *, lifetime: float = TOKEN_LIFETIME, kinds: frozenset[str] = KINDS
    ) -> None:
        self.clients = tuple(clients)
        self.kinds = kinds
        self.secrets: tuple[str, ...] = (self.clients[0].secret,)  # of the first client, but for its long-lived token
        self._lifetime = lifetime
        self._issued: dict[str, tuple[Client, float]] = {}

    def client(self, header: str | None, now: float) -> Client | None:
        """Return whose the value of an Authorization header is; None if it is missing, wrong or expired."""
        if not self.kinds:
            return _ANYBODY
        scheme, _, value = (header or "").partition(" ")
        value = value.strip()
        match scheme.lower():
            case "basic" if "basic" in self.kinds:
                return self._basic(value)
            case "bearer":
                return self._bearer(value, now)
            case _:
                return None

    def _bearer(self, token: str, now: float) -> Client | None:
        if "oauth2" in self.kinds and token in self._issued:
            client, end = self._issued[token]
            return client if end > now else None
        if "bearer" in self.kinds:
            return next((client for client in self.clients if _same(token, client.secret)), None)
        return None

    def _basic(self, value: str) -> Client | None:
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return None
        return self._known(user, password)

    def _known(self, client_id: str, secret: str) -> Client | None:
        for client in self.clients:
            known = self.secrets if client is self.clients[0] else (client.secret,)
            if _same(client_id, client.id) and any(_same(secret, one) for one in known):
                return client
        return None

    def asking(self, header: str | None, form: Mapping[str, str]) -> Client | None:
        """Return which client asks the token endpoint; None if it is not known."""
        scheme, _, value = (header or "").partition(" ")
        if scheme.lower() == "basic":
            return self._basic(value.strip())
        return self._known(form.get("client_id", ""), form.get("client_secret", ""))

    def has_young_token(self, client: Client, now: float) -> bool:
        """Return whether a client has a token that is valid for more than half its time still."""
        half = now + self._lifetime / 2
        return any(owner is client and end > half for owner, end in self._issued.values())

    def issue(self, client: Client, now: float) -> dict[str, object]:
        """Return the answer to a token request (RFC 6749 §5.1)."""
        self._issued = {token: one for token, one in self._issued.items() if one[1] > now}
        token = secrets.token_urlsafe(24)
        self._issued[token] = (client, now + self._lifetime)
        return {"access_token": token, "token_type": "Bearer", "expires_in": int(self._lifetime)}

    def revoke(self) -> int:
        """Make all issued tokens void and return their number; the long-lived ones stay."""
        number = len(self._issued)
        self._issued.clear()
        return number


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
