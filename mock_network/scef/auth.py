"""Who may use the T8 API: a bearer token, HTTP Basic, or tokens by OAuth 2.0 client credentials (RFC 6749 §4.4)."""

import base64
import binascii
import hmac
import secrets
from collections.abc import Mapping

TOKEN_LIFETIME = 3600.0  # seconds


class Authority:
    """Checks credentials. The client's secret is at the same time its long-lived bearer token."""

    def __init__(self, client_id: str, secret: str, *, lifetime: float = TOKEN_LIFETIME, enabled: bool = True) -> None:
        self.client_id = client_id
        self.secret = secret
        self.enabled = enabled
        self._lifetime = lifetime
        self._issued: dict[str, float] = {}

    def allows(self, header: str | None, now: float) -> bool:
        """Tell whether the value of an Authorization header is good now."""
        if not self.enabled:
            return True
        scheme, _, value = (header or "").partition(" ")
        value = value.strip()
        if scheme.lower() == "basic":
            return self._basic(value)
        if scheme.lower() != "bearer":
            return False
        return _same(value, self.secret) or self._issued.get(value, 0.0) > now

    def issue(self, header: str | None, form: Mapping[str, str], now: float) -> dict[str, object] | None:
        """Answer a token request whose grant is client_credentials; None: the client is not known."""
        scheme, _, value = (header or "").partition(" ")
        if scheme.lower() == "basic":
            known = self._basic(value.strip())
        else:
            known = _same(form.get("client_id", ""), self.client_id) and _same(
                form.get("client_secret", ""), self.secret
            )
        if not known:
            return None
        self._issued = {token: end for token, end in self._issued.items() if end > now}
        token = secrets.token_urlsafe(24)
        self._issued[token] = now + self._lifetime
        return {"access_token": token, "token_type": "Bearer", "expires_in": int(self._lifetime)}

    def revoke(self) -> int:
        """Make all issued tokens void and give their number; the long-lived one stays."""
        number = len(self._issued)
        self._issued.clear()
        return number

    def _basic(self, value: str) -> bool:
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return False
        return _same(user, self.client_id) and _same(password, self.secret)


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
