"""`lwm2m-bridge trace`: both hops of one endpoint, live."""

import contextlib
import os
import stat
from collections.abc import AsyncGenerator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from bridge.cli.access import Target, target_options
from bridge.cli.common import errors_shown, json_option
from bridge.cli.pcapng import COAP, COAPS, Hop, PcapngWriter
from bridge.cli.tables import plain, terminal_width
from bridge.control.contract import Client
from bridge.errors import BridgeError, NotPossible
from bridge.operations.types.tracing import BeginTrace, CoapView, EndTrace, ReadTrace, TraceLine, TracePage
from bridge.relay.opaque import is_record
from bridge.trace.entry import NOT_SENT, EntryKind

WAIT = 1.0  # seconds that one request waits for a line
_MODE = 0o600  # mode of a file with payloads
_INDENT = " " * 14
_IN_PATH = frozenset({"Uri-Path", "Uri-Query", "Content-Format"})  # options that a line shows in other words
_FORMATS = {
    0: "text",
    40: "link format",
    42: "octet stream",
    60: "CBOR",
    110: "SenML JSON",
    112: "SenML CBOR",
    11542: "TLV",
    11543: "LwM2M JSON",
}
_ROUTES = {
    "from server": "{peer} → bridge",
    "to server": "bridge → {peer}",
    "from device": "device → bridge ({peer})",
    "to device": "bridge → device ({peer})",
}


@click.command("trace")
@target_options
@json_option
@click.option(
    "--pcap",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write every message to FILE as pcapng, for Wireshark; whole messages, with their payloads.",
)
@click.option("--payload", is_flag=True, help="Also show payloads; they may hold personal data and secrets.")
@click.option("--full", is_flag=True, help="Show calls of the network's API whole, however long the lines.")
@click.argument("name")
@errors_shown
def trace(target: Target, as_json: bool, pcap: Path | None, payload: bool, full: bool, name: str) -> None:
    """Show everything on both hops of one endpoint, live, until Ctrl-C."""

    async def follow(client: Client) -> None:
        begin = BeginTrace(name, payload or pcap is not None)
        with _captured(pcap) as capture:
            async with contextlib.aclosing(pages(client, begin, _lost)) as found:
                async for page in found:
                    capture(page)
                    for line in page.items:
                        _print(line, as_json=as_json, payload=payload, width=None if full else terminal_width())

    with contextlib.suppress(KeyboardInterrupt):
        target.use(follow)


async def pages(client: Client, begin: BeginTrace, lost: Callable[[int], None]) -> AsyncGenerator[TracePage]:
    """Yield the pages of a trace as they come; the trace ends with the iteration. Raises a BridgeError.

    `lost` is called with the number of lines that were read too slowly.
    """
    begun = await client.ask(begin)
    click.echo(f"tracing {plain(begun.endpoint)}; Ctrl-C ends it", err=True)
    after = 0
    try:
        while True:
            page = await client.ask(ReadTrace(begun.id, after, WAIT))
            after = page.next
            if page.lost:
                lost(page.lost)
            yield page
    finally:
        with contextlib.suppress(BridgeError):  # the service has ended it already, or is down
            await client.ask(EndTrace(begun.id))


def _lost(lines: int) -> None:
    click.echo(f"{lines} lines are lost: they came faster than this program read them", err=True)


@contextlib.contextmanager
def _captured(path: Path | None) -> Iterator[Callable[[TracePage], None]]:
    """Return a function that writes pages to a file, which only this user may read; without a path it does nothing.

    Raises NotPossible with the reason.
    """
    if path is None:
        yield lambda _page: None
        return
    with _writable(path):
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
        file = os.fdopen(number, "wb")
        if stat.S_ISREG(os.fstat(number).st_mode):  # an existing file gets this mode, too; a pipe has its own
            os.fchmod(number, _MODE)
    with file:
        writer = PcapngWriter(file)

        def capture(page: TracePage) -> None:
            with _writable(path):
                for line in page.items:
                    _packet(writer, line)
                file.flush()

        yield capture


@contextlib.contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotPossible(f"{path} cannot be written: {error.strerror or error}; name another file") from error


def _packet(writer: PcapngWriter, line: TraceLine) -> None:
    if line.data is None or line.note.startswith(NOT_SENT):
        return
    hop = Hop.SERVER if line.kind.endswith("server") else Hop.DEVICE
    comment = f"{line.peer}: {line.note}" if line.note else line.peer
    port = COAPS if is_record(line.data) else COAP
    to_bridge = line.kind.startswith("from")
    writer.packet(line.at, hop, to_bridge=to_bridge, port=port, message=line.data, comment=comment)


def _print(line: TraceLine, *, as_json: bool, payload: bool, width: int | None) -> None:
    if as_json:
        shown = line if payload else msgspec.structs.replace(line, payload=None, data=None, values=())
        click.echo(msgspec.json.encode(shown).decode())  # one line each, also on a terminal
        return
    for text in shown_lines(line, payload=payload, width=width):
        click.echo(text)


def shown_lines(line: TraceLine, *, payload: bool, width: int | None = None) -> Iterator[str]:
    """Yield the lines that show one line of a trace: what it is, and below it its note and payload.

    A call of a network's API is cut to `width` characters.
    """
    time = datetime.fromtimestamp(line.at, UTC).strftime("%H:%M:%S.%f")[:-3]
    route = _ROUTES.get(line.kind)
    if route is None:
        about = f"{line.kind} {line.peer}".strip()
        text = plain(f"{time}  {about}: {line.note}")
        yield text if width is None or line.kind != EntryKind.CALL or len(text) <= width else f"{text[: width - 1]}…"
        return
    message = f"{line.size} bytes" if line.coap is None else _coap(line.coap)
    yield plain(f"{time}  {route.format(peer=line.peer)}: {message}")
    if line.note:
        yield plain(f"{_INDENT}{line.note}")
    if payload and line.values:
        for one in line.values:
            yield plain(f"{_INDENT}{f'{one.path} {one.name}'.rstrip()} = {f'{one.value} {one.unit}'.rstrip()}")
    elif payload and line.payload:
        yield f"{_INDENT}{_text(line.payload)}"


def _coap(coap: CoapView) -> str:
    token = f" token {coap.token}" if coap.token else ""
    head = f"{coap.type} {'Empty' if coap.code == '0.00' else coap.code} mid {coap.mid}{token}"
    parts = [head]
    if coap.operation or coap.path:
        parts.append(f"{coap.operation} {coap.path}".strip())
    parts += [f"{one.name} {one.value}".strip() for one in coap.options if one.name not in _IN_PATH]
    if coap.payload_size:
        parts.append(f"{_format(coap.content_format)}{coap.payload_size} bytes")
    return ", ".join(parts)


def _format(number: int | None) -> str:
    return "" if number is None else f"{_FORMATS.get(number, f'content format {number}')}, "


def _text(payload: bytes) -> str:
    with contextlib.suppress(UnicodeDecodeError):
        text = payload.decode()
        if text.isprintable():
            return text
    return payload.hex()
