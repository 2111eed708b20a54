"""Answers of OCSP responders, kept as long as they are valid: all links to a server wait for one question."""

import asyncio
import logging
from asyncio import Future
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from bridge.lru import Lru
from bridge.north.revocation.contract import RevocationCounters
from bridge.north.revocation.http import NoResponse, is_url, post
from bridge.tls import ocsp
from bridge.tls.ocsp import Answer, CertificateStatus

_log = logging.getLogger("bridge.north")

KEPT = 1024  # answers
AT_ONCE = 8  # questions under way
LONGEST = 86_400.0  # seconds that an answer is kept, however long its responder says that it is valid
SHORTEST = 60.0  # seconds that an answer is kept, even if its responder has a newer one at any time
AGAIN = 30.0  # seconds until a responder is asked again that sent nothing usable

Post = Callable[[str, bytes], Awaitable[bytes]]
"""`post(url, question)` returns the response's body; it raises NoResponse."""

_Key = tuple[str, bytes, bytes]  # URL, and SHA-256 of issuer and certificate


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer, and until when it is kept, by the event loop's clock."""

    answer: Answer
    until: float


class Responders:
    """Asks responders. `nonce(size)` returns random bytes, `wall` the seconds of the wall clock."""

    def __init__(
        self,
        nonce: Callable[[int], bytes],
        wall: Callable[[], float],
        ask: Post = post,
        counted: RevocationCounters | None = None,
    ) -> None:
        self.checked = counted or RevocationCounters()
        self._nonce = nonce
        self._wall = wall
        self._post = ask
        self._kept: Lru[_Key, KeptAnswer] = Lru(KEPT)
        self._revoked: Lru[tuple[bytes, bytes], Answer] = Lru(KEPT)  # for good: an older answer can be replayed
        self._asking: dict[_Key, asyncio.Task[KeptAnswer]] = {}
        self._places = asyncio.Semaphore(AT_ONCE)

    def jitter(self) -> float:
        """Return a random number from 0 to 1."""
        return int.from_bytes(self._nonce(2), "big") / 0xFFFF

    def standing(self, url: str, certificate: x509.Certificate, issuer: x509.Certificate) -> Future[KeptAnswer]:
        """Return a future of what the responder at `url` says of a certificate. The future never raises.

        One that was revoked for good once stays so, whatever a responder says later.
        """
        key = (url, issuer.fingerprint(SHA256()), certificate.fingerprint(SHA256()))
        loop = asyncio.get_running_loop()
        kept, revoked = self._kept.get(key), self._revoked.get(key[1:])
        if revoked is not None:
            kept = KeptAnswer(revoked, loop.time() + LONGEST)
        if kept is not None and (revoked is not None or loop.time() < kept.until):
            known: Future[KeptAnswer] = loop.create_future()
            known.set_result(kept)
            return known
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = loop.create_task(self._ask(key, certificate, issuer))
            task.add_done_callback(partial(self._asked, key))
        return task

    async def stop(self) -> None:
        """End all questions; those who wait are told that nothing is known."""
        for task in list(self._asking.values()):
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    def _asked(self, key: _Key, _task: "asyncio.Task[KeptAnswer]") -> None:
        del self._asking[key]

    async def _ask(self, key: _Key, certificate: x509.Certificate, issuer: x509.Certificate) -> KeptAnswer:
        url = key[0]
        if not is_url(url):
            return self._keep(
                key, Answer(CertificateStatus.UNPROVEN, f"{url[:200]!r} is not the URL of an OCSP responder")
            )
        nonce = self._nonce(ocsp.NONCE)
        async with self._places:
            self.checked.asked += 1
            try:
                response = await self._post(url, ocsp.question(certificate, issuer, nonce))
                answer = ocsp.answer(response, certificate, issuer, ocsp.now(), nonce)
            except NoResponse as error:
                return self._keep(key, Answer(CertificateStatus.UNPROVEN, str(error)))
            except Exception:  # noqa: BLE001  # whatever it is, the links that wait must get an answer
                _log.exception(
                    "an OCSP responder could not be asked, or its answer not be read",
                    extra={"url": url, "sample": "ocsp"},
                )
                return self._keep(key, Answer(CertificateStatus.UNPROVEN, "a bug in the bridge; see the log"))
        return self._keep(key, answer)

    def _keep(self, key: _Key, answer: Answer) -> KeptAnswer:
        if answer.final:
            self._revoked.put(key[1:], answer)
        if answer.standing is CertificateStatus.UNPROVEN:
            seconds = AGAIN
            _log.warning(
                "an OCSP responder proves nothing", extra={"url": key[0], "why": answer.why, "sample": f"ocsp {key[0]}"}
            )
        elif answer.until is None:
            seconds = SHORTEST
        else:
            seconds = min(max(answer.until - self._wall(), SHORTEST), LONGEST)
        kept = KeptAnswer(answer, asyncio.get_running_loop().time() + seconds)
        self._kept.put(key, kept)
        return kept
