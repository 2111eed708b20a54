"""OCSP responders for tests: that of Debian's openssl, and one that says whatever it is told to."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from mock_network.lab import free_port
from tests.tls.pki import Authority, Issued

Says = Callable[[bytes, bytes], Awaitable[web.StreamResponse] | web.StreamResponse]
"""Returns the HTTP response to a question in DER, and its nonce."""


class Liar:
    """A responder that answers as `says` has it."""

    def __init__(self, says: Says) -> None:
        self.says = says
        self.questions: list[bytes] = []
        self.asked = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        question = await request.read()
        self.questions.append(question)
        self.asked.set()
        nonce = ocsp.load_der_ocsp_request(question).extensions[0].value.nonce  # type: ignore[attr-defined]
        found = self.says(question, nonce)
        return found if isinstance(found, web.StreamResponse) else await found

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Return its URL."""
        app = web.Application()
        app.router.add_post("/{tail:.*}", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield f"http://127.0.0.1:{port}/ocsp"
        finally:
            await runner.cleanup()


def body(data: bytes, status: int = 200) -> web.Response:
    return web.Response(body=data, status=status, content_type="application/ocsp-response")


@asynccontextmanager
async def openssl(
    folder: Path, authority: Authority, signer: Issued, good: list[Issued], revoked: list[Issued], *options: str
) -> AsyncIterator[str]:
    """Run `openssl ocsp` with the database of an authority; return its URL."""
    lines = [f"V\t{_date(one)}\t\t{_serial(one)}\tunknown\t/CN=good" for one in good]
    lines += [f"R\t{_date(one)}\t240101000000Z\t{_serial(one)}\tunknown\t/CN=revoked" for one in revoked]
    (folder / "index.txt").write_text("\n".join(lines) + "\n")
    (folder / "ca.pem").write_bytes(authority.pem)
    (folder / "signer.pem").write_bytes(signer.certificate.public_bytes(Encoding.PEM))
    (folder / "signer.key").write_bytes(signer.key_pem)
    port = free_port()
    command = ["openssl", "ocsp", "-port", str(port), "-index", "index.txt", "-CA", "ca.pem", "-rsigner", "signer.pem"]
    process = await asyncio.create_subprocess_exec(
        *command, "-rkey", "signer.key", *options, cwd=folder, stdout=DEVNULL, stderr=PIPE
    )
    assert process.stderr is not None
    try:
        while b"waiting for OCSP client connections" not in (line := await process.stderr.readline()):
            assert line, "openssl ocsp ended"  # a connection without a request would stop it
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


def _date(one: Issued) -> str:
    return f"{one.certificate.not_valid_after_utc:%y%m%d%H%M%SZ}"


def _serial(one: Issued) -> str:
    text = f"{one.certificate.serial_number:X}"
    return text if len(text) % 2 == 0 else f"0{text}"
