"""What strace saw of the bridge: datagrams, HTTP and syncs of the write-ahead log, in their order."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CALLS = "fdatasync,fsync,sendto,sendmsg,recvfrom,recvmsg,read,write"
_LINE = re.compile(r"(?P<thread>\d+)\s+(?:<\.\.\. (?P<resumed>\w+) resumed>|(?P<call>\w+)\()(?P<rest>.*)")
_FD = re.compile(r"\d+<(?P<what>[^>]*(?:->[^>]*)?)>")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


def strace(trace: Path) -> list[str]:
    """Return arguments of python under which the process that follows runs, traced, as the same process."""
    options = [
        "strace",
        "-D",
        "-f",
        "--seccomp-bpf",
        "-yy",
        "-xx",
        "-s",
        "1500",
        "-o",
        str(trace),
        "-e",
        f"trace={CALLS}",
    ]
    return ["-c", f"import os, sys; os.execvp('strace', [*{options!r}, sys.executable, *sys.argv[1:]])"]


@dataclass(frozen=True)
class Happened:
    """`what` is one of udp in, udp out, http in, http out, sync; `begin` is the number of its line."""

    what: str
    begin: int
    end: int
    data: bytes = b""
    peer: str = ""


def happenings(trace: Path) -> Iterator[Happened]:
    """Read a trace; calls that failed are left out."""
    begun: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(trace.read_text("utf-8", "replace").splitlines()):
        found = _LINE.match(line)
        if found is None:
            continue
        thread, rest = found["thread"], found["rest"]
        if rest.endswith("<unfinished ...>"):
            begun[thread] = (number, f"{found['call']}({rest.removesuffix('<unfinished ...>')}")
            continue
        begin, text = number, f"{found['call']}({rest}"
        if found["resumed"]:
            if thread not in begun:
                continue
            begin, start = begun.pop(thread)
            text = start + rest
        if re.search(r"= -1 E\w+", text):
            continue
        one = _read(text, begin, number)
        if one is not None:
            yield one


def _read(text: str, begin: int, end: int) -> Happened | None:
    call = text.partition("(")[0]
    fd = _FD.search(text)
    if fd is None:
        return None
    peer = _unhex(fd["what"])
    if call in {"fdatasync", "fsync"}:
        return Happened("sync", begin, end) if peer.endswith("-wal") and text.rstrip().endswith("= 0") else None
    way = "in" if call.startswith(("recv", "read")) else "out"
    kind = "udp" if peer.startswith("UDP") else "http" if peer.startswith("TCP") else None
    found = _TEXT.search(text, text.find("iov_base=") if "iov_base=" in text else len(fd[0]))
    if kind is None or found is None:
        return None
    return Happened(f"{kind} {way}", begin, end, bytes.fromhex(found[1].replace("\\x", "")), peer)


def _unhex(text: str) -> str:
    return re.sub(r"\\x([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), text)


@dataclass
class Order:
    """How many answers of each kind were found, and which of them left without a sync since what they answer."""

    acknowledgements: int = 0
    responses: int = 0
    answers_204: int = 0
    faults: list[str] = field(default_factory=list)


def order(all_: list[Happened]) -> Order:
    """Hold every Empty ACK, response or notification to a server and 204 to the SCEF against the syncs."""
    found = Order()
    syncs = [one for one in all_ if one.what == "sync"]
    received: dict[int, int] = {}  # MID of a server's CON → line
    posted: dict[str, tuple[int, bytes]] = {}  # connection → first line of the request, its bytes
    uplink = -1  # line of the last uplink notification
    sent: set[bytes] = set()

    def held(since: int, one: Happened, what: str) -> None:
        if not any(sync.begin > since and sync.end < one.begin for sync in syncs):
            found.faults.append(f"{what} {one.data[:8].hex()} left at line {one.begin} without a sync since {since}")

    for one in all_:
        if one.what == "udp in" and one.data[0] >> 4 & 3 == 0:
            received[int.from_bytes(one.data[2:4], "big")] = one.end
        elif one.what == "udp out":
            kind, code, mid = one.data[0] >> 4 & 3, one.data[1], int.from_bytes(one.data[2:4], "big")
            if kind == 2 and code == 0:
                found.acknowledgements += 1
                held(received[mid], one, "Empty ACK")
            elif code >= 0x40 and one.data not in sent:
                found.responses += 1
                held(uplink, one, "response")
            sent.add(one.data)
        elif one.what == "http in":
            since, before = posted.get(one.peer, (one.end, b""))
            posted[one.peer] = (since, before + one.data)
            if b'"data"' in one.data and b'"niddConfiguration"' in one.data:
                uplink = one.end
        elif one.what == "http out" and one.data.startswith(b"HTTP/1.1 204"):
            since, request = posted.pop(one.peer)
            if b'"data"' in request:
                found.answers_204 += 1
                held(since, one, "204")
    return found
