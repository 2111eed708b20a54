"""Whether the certificates of a server's chain are revoked by the file of revocation lists, as it is now."""

import asyncio
import logging
from asyncio import Future
from collections.abc import Callable, Iterable
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from bridge.errors import ConfigurationError
from bridge.north.revocation.contract import Revocation, RevocationCounters, RevocationVerdict
from bridge.north.revocation.judging import Judging
from bridge.tls.verification import revocation_lists

_log = logging.getLogger("bridge.north")

EVERY = 60.0  # seconds after which the file is read again, and a session that is open judged again
SPREAD = 10.0  # seconds over which the sessions of a server are judged again

_NO_EXTENSIONS = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
"""What is raised for extensions of an entry that cannot be read: the entry itself counts."""


class ListRevocation:
    """`Revocation` by revocation lists, and after them by `then`, if there is one.

    OpenSSL judges a handshake by the lists of the last reload. This finds what a newer file says: before a session
    carries anything, and while it is open. Only revocations count; that a list is too old is OpenSSL's business, when
    the next session opens.
    """

    def __init__(
        self,
        read: Callable[[], bytes],
        server: str,
        checked: RevocationCounters,
        jitter: Callable[[], float],
        then: Revocation | None = None,
    ) -> None:
        """`read` returns the file, in another thread; it raises ConfigurationError. `jitter`: from 0 until 1."""
        self._read = read
        self._server = server
        self._checked = checked
        self._jitter = jitter
        self._then = then
        self._pem = b""
        self._lists: tuple[x509.CertificateRevocationList, ...] = ()
        self._read_at: float | None = None
        self._reading: asyncio.Task[None] | None = None
        self._judging = Judging()

    @property
    def checked(self) -> RevocationCounters:
        """Return the counters, shared by all servers."""
        return self._checked

    def verdict(self, chain: tuple[x509.Certificate, ...], *, is_open: bool = False) -> Future[RevocationVerdict]:
        """Return a future of whether a verified chain is accepted; it never raises. See the contract."""
        return self._judging.begin(self._verdict(chain, is_open=is_open))

    async def stop(self) -> None:
        """Judge no more."""
        await self._judging.stop()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._then is not None:
            await self._then.stop()

    async def _verdict(self, chain: tuple[x509.Certificate, ...], *, is_open: bool) -> RevocationVerdict:
        await self._renew()
        again = EVERY + SPREAD * self._jitter()
        refusal = refusal_of(chain, self._lists)
        if refusal:
            self._checked.listed += not is_open
            self._checked.listed_open += is_open
            return RevocationVerdict(refusal, again)
        if self._then is None:
            return RevocationVerdict("", again)
        other = await self._then.verdict(chain, is_open=is_open)
        return RevocationVerdict(other.refusal, min(other.again, again), other.certain)

    async def _renew(self) -> None:
        """Read the file, unless that was done a short time ago; all sessions of a server wait for one reading."""
        now = asyncio.get_running_loop().time()
        if self._read_at is not None and now - self._read_at < EVERY:
            return
        if self._reading is None:
            self._reading = asyncio.get_running_loop().create_task(self._read_file())
        await asyncio.shield(self._reading)

    async def _read_file(self) -> None:
        try:
            pem = await asyncio.to_thread(self._read)
            if pem != self._pem:
                self._lists, self._pem = tuple(revocation_lists(pem)), pem
        except ConfigurationError as error:
            text = "revocation lists cannot be read, the ones before count: %s"
            _log.warning(text, error, extra={"server": self._server, "sample": f"lists {self._server}"})
        finally:
            self._read_at = asyncio.get_running_loop().time()
            self._reading = None


def refusal_of(chain: Iterable[x509.Certificate], lists: Iterable[x509.CertificateRevocationList]) -> str:
    """Return why a chain is not accepted, by lists that its authorities have signed; empty: none revokes it."""
    for depth, (certificate, issuer) in enumerate(pairwise(chain)):
        for one in lists:
            if one.issuer == issuer.subject and _revokes(one, certificate) and _is_signed(one, issuer):
                return "it is revoked" + (f" (at its authority number {depth})" if depth else "")
    return ""


def _revokes(one: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
    entry = one.get_revoked_certificate_by_serial_number(certificate.serial_number)
    if entry is None:
        return False
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except (x509.ExtensionNotFound, *_NO_EXTENSIONS):
        return True
    return reason is not x509.ReasonFlags.remove_from_crl


def _is_signed(one: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        key = issuer.public_key()
        return one.is_signature_valid(key)  # type: ignore[arg-type]  # keys that sign no list are refused
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False
