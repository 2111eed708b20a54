"""Whether the certificates of a server's chain are good, by the answers of OCSP responders."""

import asyncio
import logging
from asyncio import Future
from itertools import pairwise

from cryptography import x509

from bridge.north.revocation.contract import Checked
from bridge.north.revocation.responders import Responders
from bridge.tls import ocsp
from bridge.tls.ocsp import Answer, Standing

_log = logging.getLogger("bridge.north")

RESPONDERS = 3  # of those that a certificate names, how many are asked at most


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
        self._checks: set[asyncio.Task[str]] = set()

    @property
    def checked(self) -> Checked:
        """Return the counters, shared by all servers."""
        return self._responders.checked

    def refusal(self, chain: tuple[x509.Certificate, ...]) -> Future[str]:
        """Return a future of the reason why a verified chain is not accepted; empty: it is. The future never raises."""
        task = asyncio.get_running_loop().create_task(self._refusal(chain))
        self._checks.add(task)
        task.add_done_callback(self._checks.discard)
        return task

    async def stop(self) -> None:
        """Ask no more."""
        for task in list(self._checks):
            task.cancel()
        await asyncio.gather(*self._checks, return_exceptions=True)
        await self._responders.stop()

    async def _refusal(self, chain: tuple[x509.Certificate, ...]) -> str:
        answer = await self._worst(chain)
        checked = self.checked
        if answer.standing is Standing.GOOD:
            checked.good += 1
            return ""
        if answer.standing is not Standing.UNPROVEN:
            checked.refused += 1
            return answer.why
        checked.unproven += 1
        if not self._accept_unproven:
            return f"{answer.why} (ocsp_unavailable = refuse)"
        _log.warning(
            "a server's certificate is accepted though nobody says whether it is revoked (ocsp_unavailable = accept)",
            extra={"server": self._server, "why": answer.why, "sample": f"ocsp accepted {self._server}"},
        )
        return ""

    async def _worst(self, chain: tuple[x509.Certificate, ...]) -> Answer:
        """Return the answer that decides: the first against a certificate, else the first that proves nothing."""
        if len(chain) < 2:  # noqa: PLR2004  # a certificate and its authority
            return Answer(Standing.UNPROVEN, "nobody can answer for a certificate without authority")
        unproven: Answer | None = None
        for depth, (certificate, issuer) in enumerate(pairwise(chain)):
            urls = [self._responder] if self._responder and depth == 0 else ocsp.responders(certificate)
            if not urls and depth:
                continue
            answer = await self._first(urls[:RESPONDERS], certificate, issuer)
            if answer.standing in {Standing.REVOKED, Standing.UNKNOWN}:
                return answer if not depth else Answer(answer.standing, f"{answer.why} (at its authority {depth})")
            if answer.standing is Standing.UNPROVEN:
                unproven = unproven or answer
        return unproven or Answer(Standing.GOOD)

    async def _first(self, urls: list[str], certificate: x509.Certificate, issuer: x509.Certificate) -> Answer:
        """Return the first answer that proves something, else the last one."""
        answer = Answer(Standing.UNPROVEN, "it names no OCSP responder: set ocsp_responder")
        for url in urls:
            answer = await asyncio.shield(self._responders.standing(url, certificate, issuer))
            if answer.standing is not Standing.UNPROVEN:
                break
        return answer
