"""Alerts of TLS and DTLS (RFC 5246 §7.2), and what a server's alert means for the configuration."""

from typing import NamedTuple

from bridge.tls.contract import Cause, Failure

CLOSE_NOTIFY = 0


class _Meaning(NamedTuple):
    name: str
    cause: Cause
    advice: str


_OTHER_KEY = "is the key the one that the server has for this identity?"
_MEANINGS = {
    10: _Meaning("unexpected_message", Cause.PROTOCOL, ""),
    20: _Meaning("bad_record_mac", Cause.CREDENTIALS, _OTHER_KEY),
    22: _Meaning("record_overflow", Cause.PROTOCOL, ""),
    40: _Meaning("handshake_failure", Cause.AGREEMENT, "does the server offer this mode and one of these suites?"),
    42: _Meaning("bad_certificate", Cause.CREDENTIALS, "does the server trust the authority of this certificate?"),
    43: _Meaning("unsupported_certificate", Cause.CREDENTIALS, "does the server take certificates with such keys?"),
    44: _Meaning("certificate_revoked", Cause.CREDENTIALS, "give the endpoint a new certificate"),
    45: _Meaning("certificate_expired", Cause.CREDENTIALS, "give the endpoint a new certificate"),
    46: _Meaning("certificate_unknown", Cause.CREDENTIALS, "is the certificate for the name that the server expects?"),
    47: _Meaning("illegal_parameter", Cause.PROTOCOL, ""),
    48: _Meaning("unknown_ca", Cause.CREDENTIALS, "have the server trust the authority of the endpoint's certificate"),
    49: _Meaning("access_denied", Cause.CREDENTIALS, "the server knows this identity and does not allow it"),
    50: _Meaning("decode_error", Cause.PROTOCOL, ""),
    51: _Meaning("decrypt_error", Cause.CREDENTIALS, _OTHER_KEY),
    70: _Meaning("protocol_version", Cause.AGREEMENT, "the server must offer (D)TLS 1.2"),
    71: _Meaning("insufficient_security", Cause.AGREEMENT, "the server wants stronger suites: see suites"),
    80: _Meaning("internal_error", Cause.CUT_OFF, "the server's log says more"),
    90: _Meaning("user_canceled", Cause.CUT_OFF, ""),
    100: _Meaning("no_renegotiation", Cause.CUT_OFF, ""),
    112: _Meaning("unrecognized_name", Cause.AGREEMENT, "the server knows no such name: see server_name"),
    115: _Meaning("unknown_psk_identity", Cause.CREDENTIALS, "add this identity and its key to the server"),
    116: _Meaning("certificate_required", Cause.CREDENTIALS, "the server wants a certificate"),
}
_UNKNOWN = _Meaning("", Cause.CUT_OFF, "")


def name(description: int) -> str:
    """Return the name of an alert, or its number if it is not listed."""
    return _MEANINGS.get(description, _UNKNOWN).name or f"alert {description}"


def failure(description: int) -> Failure:
    """Return what a fatal alert of the server means."""
    meaning = _MEANINGS.get(description, _UNKNOWN)
    advice = f"; {meaning.advice}" if meaning.advice else ""
    return Failure(meaning.cause, f"the server ended the session: {name(description)}{advice}")
