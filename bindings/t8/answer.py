"""One answer of a SCEF or NEF, or of a proxy in front of it.

A proxy, a gateway or a load balancer may answer instead of the SCEF: with HTML, with its own JSON, with a status that
the SCEF did not choose. Such an answer proves nothing. `Answer.own` says whether an answer is from the SCEF itself.
"""

from collections.abc import Mapping

import msgspec

from bindings.t8.problems import Problem, read_problem

_NO_CONTENT = 204
_UNAUTHORISED = 401


class Answer(msgspec.Struct, frozen=True):
    """Status, body, and headers by lower-case name.

    `bare`: this SCEF leaves out bodies that T8 demands, so that an answer without one may be its own. `streamed`: the
    body of a success was passed to another reader.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}
    bare: bool = False
    streamed: bool = False

    @property
    def own(self) -> bool:
        """Return whether the answer is the SCEF's own, judged by its form: JSON of T8, or a success without content."""
        if self.status == _NO_CONTENT:
            return True
        if self.streamed and self._success:
            return self._is_json
        if not self.body:
            return self.bare
        if self._success:
            return self._is_json and self.body.lstrip()[:1] in (b"{", b"[")
        return self.problem is not None

    @property
    def ok(self) -> bool:
        """Return whether the answer is a success, and the SCEF's own."""
        return self._success and self.own

    @property
    def problem(self) -> Problem | None:
        """Return the problem in the body; None if it is not a problem of T8."""
        return read_problem(self.body) if self._is_json else None

    @property
    def asks_for_credentials(self) -> bool:
        """Return whether the answer refuses the credentials (RFC 9110 §11.6.1): then nothing was carried out."""
        return self.status == _UNAUTHORISED and ("www-authenticate" in self.headers or self.own)

    @property
    def location(self) -> str:
        """Return the Location header; empty if there is none."""
        return self.headers.get("location", "")

    def __str__(self) -> str:
        """Return the answer in a few words, for logs and rows."""
        problem = self.problem
        if problem is not None:
            return f"{self.status} {problem.text}".rstrip()
        return f"{self.status}" if self._success or self.bare else f"{self.status} (not from the SCEF itself)"

    @property
    def _success(self) -> bool:
        return 200 <= self.status < 300  # noqa: PLR2004  # RFC 9110 §15.3

    @property
    def _is_json(self) -> bool:
        return "json" in self.headers.get("content-type", "json").lower()
