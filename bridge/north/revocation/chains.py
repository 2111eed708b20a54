"""Whether the certificates of a server's chain are good, by the answers of OCSP responders."""

import asyncio
import logging
from asyncio import Future
from itertools import pairwise

from cryptography import x509

from bridge.north.revocation.contract import RevocationCounters, RevocationVerdict
from bridge.north.revocation.judging import Judging
from bridge.north.revocation.responders import LONGEST, KeptAnswer, Responders
from bridge.tls import ocsp
from bridge.tls.ocsp import Answer, CertificateStatus

_log = logging.getLogger("bridge.north")

RESPONDERS = 3  # of those that a certificate names, how many are asked at most
LEAST = 1.0  # seconds until an open session is asked about again
SPREAD = 60.0  # seconds over which the sessions of a server are asked about again

_NOBODY = Answer(CertificateStatus.UNPROVEN, "it names no OCSP responder: set ocsp_responder")


class OcspRevocation:
    """`Revocation`. The server's own certificate must be proven good. An authority between it and the root is asked
    about where its certificate names a responder; for others there are revocation lists.
    """

    def __init__(self, responders: Responders, server: str, responder: str, *, accept_unproven: bool) -> None:
        """`responder`: URL that is asked about the server's certificate; empty: those that the certificate names.

        `accept_unproven`: what no responder can say is accepted. Revoked and unknown certificates never are.
        """
        self._responders = responders
        self._server = server
        self._responder = responder
        self._accept_unproven = accept_unproven
        self._judging = Judging()

    @property
    def checked(self) -> RevocationCounters:
        """Return the counters, shared by all servers."""
        return self._responders.checked

    def verdict(self, chain: tuple[x509.Certificate, ...], *, is_open: bool = False) -> Future[RevocationVerdict]:
        """Return a future of whether a verified chain is accepted; it never raises. See the contract."""
        return self._judging.begin(self._verdict(chain, is_open=is_open))

    async def stop(self) -> None:
        """Ask no more."""
        await self._judging.stop()
        await self._responders.stop()

    async def _verdict(self, chain: tuple[x509.Certificate, ...], *, is_open: bool) -> RevocationVerdict:
        answer, until = await self._worst(chain)
        again = max(until - asyncio.get_running_loop().time(), LEAST) + SPREAD * self._responders.jitter()
        checked = self.checked
        if answer.standing is CertificateStatus.GOOD:
            checked.good += not is_open
            return RevocationVerdict("", again)
        if answer.standing is not CertificateStatus.UNPROVEN:
            checked.refused += not is_open
            checked.closed += is_open
            return RevocationVerdict(answer.why, again)
        checked.unproven += not is_open
        if not self._accept_unproven:
            return RevocationVerdict(f"{answer.why} (ocsp_unavailable = refuse)", again, certain=False)
        _log.warning(
            "a server's certificate is accepted though nobody says whether it is revoked (ocsp_unavailable = accept)",
            extra={"server": self._server, "why": answer.why, "sample": f"ocsp accepted {self._server}"},
        )
        return RevocationVerdict("", again)

    async def _worst(self, chain: tuple[x509.Certificate, ...]) -> tuple[Answer, float]:
        """Return the answer that decides, the first against a certificate, else the first that proves nothing.

        With it comes the time of the event loop until which no answer changes.
        """
        until = asyncio.get_running_loop().time() + LONGEST
        if len(chain) < 2:  # noqa: PLR2004  # a certificate and its authority
            return Answer(CertificateStatus.UNPROVEN, "nobody can answer for a certificate without authority"), until
        unproven: Answer | None = None
        for depth, (certificate, issuer) in enumerate(pairwise(chain)):
            urls = [self._responder] if self._responder and depth == 0 else ocsp.responders(certificate)
            if not urls and depth:
                continue
            found = await self._first(urls[:RESPONDERS], certificate, issuer)
            until = until if found is None else min(until, found.until)
            answer = _NOBODY if found is None else found.answer
            if answer.standing in {CertificateStatus.REVOKED, CertificateStatus.UNKNOWN}:
                where = f" (at its authority {depth})" if depth else ""
                return Answer(answer.standing, answer.why + where), until
            if answer.standing is CertificateStatus.UNPROVEN:
                unproven = unproven or answer
        return unproven or Answer(CertificateStatus.GOOD), until

    async def _first(
        self, urls: list[str], certificate: x509.Certificate, issuer: x509.Certificate
    ) -> KeptAnswer | None:
        """Return the first answer that proves something, else the last one; None if there is nobody to ask."""
        found = None
        for url in urls:
            found = await asyncio.shield(self._responders.standing(url, certificate, issuer))
            if found.answer.standing is not CertificateStatus.UNPROVEN:
                break
        return found
