"""The way from one node on a file to three nodes on PostgreSQL, typed as its page says, on machines of their own.

Each machine is a network namespace. What is not the bridge's is stood in for: systemd by a script that starts the
service again as its unit does, scp by a copy, the load balancer by a relay. SCEF, devices and the server are emulated.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import need_program
from tests.docs.markdown import ROOT
from tests.namespaces import Machines, made
from tests.store.postgres_server import PostgresServer, programs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PAGE = ROOT / "docs" / "how-to" / "three-nodes.md"
DEVICES = 12
NODES = {"bridge-1": "1", "bridge-2": "2", "bridge-3": "3"}
SERVER, SCEF, BALANCER = "11", "12", "13"
PREFIX = "10.64.0.0/16"
_SECTION = re.compile(
    r"^## (?P<title>.+)$|^```(?P<language>\w+)\n# (?P<place>.+)\n(?P<text>(?:.*\n)*?)```$", re.MULTILINE
)
_SYSTEMCTL = """#!/bin/bash
# start, stop, kill and daemon-reload of one service, as its unit says
cd "$MACHINE"
post() { sed -n 's/^ExecStopPost=+//p' unit/cluster.conf 2>/dev/null | bash; }
supervise() {
    while :; do
        lwm2m-bridge run >> log 2>&1 & echo $! > pid
        wait $!; status=$?
        post
        [ $status = 0 ] || [ -e stopped ] && break
        sleep 2
        [ -e stopped ] && break
    done
    touch ended
}
case $1 in
    start) rm -f stopped ended; supervise &
        until lwm2m-bridge status | grep -q "service is running"; do sleep 0.3; done ;;
    stop) touch stopped; kill -TERM "$(cat pid)" 2>/dev/null; until [ -e ended ]; do sleep 0.1; done ;;
    kill) kill -KILL "$(cat pid)" ;;
esac
exit 0
"""
_BALANCER = """
import asyncio, itertools, sys
turn = itertools.count()

async def pump(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()

async def serve(reader, writer):
    first = next(turn)
    for number in range(3):
        try:
            async with asyncio.timeout(2):
                there = await asyncio.open_connection(f"10.0.0.{(first + number) % 3 + 1}", 8180)
        except (OSError, TimeoutError):
            continue
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer), return_exceptions=True)
        there[1].close()
        break
    writer.close()

async def main():
    await (await asyncio.start_server(serve, sys.argv[1], 8180)).serve_forever()

asyncio.run(main())
"""
_ALONE = """
[service]
state_directory = "/var/lib/lwm2m-bridge"
[north]
scheme = "prefix"
prefixes = ["10.64.0.0/16"]
[servers.main]
uri = "coap://10.0.0.11:5683"
[networks.operator]
binding = "nidd"
api_root = "http://10.0.0.12:8010"
scs_as_id = "my-scs"
credentials = { kind = "bearer", token = "secret" }
callbacks = { bind = "0.0.0.0", port = 8180, public_url = "http://10.0.0.1:8180/t8" }
"""


class Walk:
    """All machines, and what was printed on them."""

    def __init__(self, folder: Path, machines: Machines, server: PostgresServer) -> None:
        self.folder, self.machines, self.server = folder, machines, server
        self.said = ""
        self._running: list[subprocess.Popen[bytes]] = []
        stand_ins = folder / "bin"
        stand_ins.mkdir()
        scp = 'to=${2%%:*}; sed "s,/bridge-1/,/$to/,g" "$1" > "$ALL/$to/etc/bridge.toml"\n'
        for name, text in (("systemctl", _SYSTEMCTL), ("scp", f"#!/bin/sh\n{scp}")):
            (stand_ins / name).write_text(text)
            (stand_ins / name).chmod(0o755)
        for name in NODES:
            for part in ("etc", "state", "backups", "unit"):
                (folder / name / part).mkdir(parents=True)

    def here(self, text: str, node: str) -> str:
        """Return what a machine's text is on this one."""
        own, there = self.folder / node, Path(sys.executable).parent
        database = f"postgresql:///bridge?host={self.server.folder}&user=bridge"
        for name, here in {
            "/etc/lwm2m-bridge": f"{own}/etc",
            "/etc/systemd/system/lwm2m-bridge.service.d": f"{own}/unit",
            "/var/lib/lwm2m-bridge": f"{own}/state",
            "/var/backups": f"{own}/backups",
            "/usr/lib/lwm2m-bridge/addresses": f"{ROOT}/deploy/addresses",
            "/opt/lwm2m-bridge/bin/lwm2m-bridge": f"{there}/lwm2m-bridge",
            "callbacks.example": f"10.0.0.{BALANCER}",
        }.items():
            text = text.replace(name, here)
        quoted = shlex.quote(database)
        text = re.sub(r"(?<=migrate )postgresql://bridge@db\.example/bridge", quoted, text)
        return text.replace("postgresql://bridge@db.example/bridge", database)

    def environment(self, node: str) -> dict[str, str]:
        own = self.folder / node
        return {
            **os.environ,
            "PATH": f"{self.folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "MACHINE": str(own),
            "ALL": str(self.folder),
            "LWM2M_BRIDGE_CONFIG": str(own / "etc" / "bridge.toml"),
            "LWM2M_BRIDGE_NODE": node,
            "COLUMNS": "120",
        }

    def type(self, text: str, node: str, number: str) -> str:
        """Type lines on a machine, and return what they print. The first one that fails ends the test."""
        log = self.folder / "said"
        with log.open("w") as out:  # a file: what goes on in the background keeps it open
            done = subprocess.run(
                [*self.machines.command(number), "bash", "-ec", self.here(text, node)],
                env=self.environment(node),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=150,
                check=False,
            )
        said = log.read_text()
        self.said += f"\n--- {node}\n{text}\n--- says\n{said}"
        assert done.returncode == 0, f"{self.said[-6000:]}\n{self.logs()}"
        return said

    def logs(self) -> str:
        return "\n".join(
            f"{name}: {path.read_text()[-1500:]}" for name in NODES if (path := self.folder / name / "log").exists()
        )

    def begin(self, number: str, *command: str) -> None:
        """Run a program that goes on."""
        full = [*self.machines.command(number), sys.executable, *command]
        with (self.folder / f"log-{number}-{len(self._running)}").open("wb") as log:
            self._running.append(subprocess.Popen(full, stdout=log, stderr=log, cwd=self.folder))

    def end(self) -> None:
        for name in NODES:
            (self.folder / name / "stopped").touch()
            if (pid := self.folder / name / "pid").exists():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid.read_text()), signal.SIGKILL)
        for process in self._running:
            process.kill()
            process.wait(20)

    def reads(self, name: str) -> str:
        """Return what the LwM2M server gets when it reads from a device, or why it gets nothing."""
        url = f"http://127.0.0.1:8001/control/clients/{name}/read"
        words = ("curl", "-s", "-m", "20", "-X", "POST", url, "-d", '{"path": "/3/0/0", "timeout": 15}')
        return subprocess.run(
            [*self.machines.command(SERVER), *words], capture_output=True, text=True, check=False
        ).stdout

    def clients(self) -> dict[str, str]:
        """Return the addresses of all devices, as the server sees them."""
        done = self.machines.inside(SERVER, "curl", "-s", "http://127.0.0.1:8001/control/clients")
        return {one["endpoint"]: one["address"] for one in json.loads(done)}

    def every_device_answers(self) -> None:
        for number in range(1, DEVICES + 1):
            name = f"urn:dev:os:meter-{number}"
            until(
                lambda name=name: "LwM2M Non-IP bridge" in self.reads(name),
                f"{name} does not answer",
                self.logs,
            )


def until(what: Callable[[], object], why: str, logs: Callable[[], str] = str, wait: float = 60.0) -> None:
    end = time.monotonic() + wait
    while not what():
        assert time.monotonic() < end, f"{why}\n{logs()}"
        time.sleep(0.2)


@pytest.fixture(name="walk")
def walk_fixture(tmp_path: Path) -> Iterator[Walk]:
    for program in ("curl", "ip"):
        need_program(program)
    if programs() is None:
        need_program("pg_ctlcluster")
    with made(Machines(*NODES.values(), SERVER, SCEF, BALANCER)) as machines:
        server = PostgresServer(owner="postgres")
        try:
            walk = Walk(tmp_path, machines, server)
            try:
                yield walk
            finally:
                walk.end()
        finally:
            server.stop()


def steps() -> dict[str, list[tuple[str, str, str]]]:
    """Return the blocks of each section: language, what its first line says, and the rest."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    title = ""
    for match in _SECTION.finditer(PAGE.read_text()):
        if match["title"]:
            title = match["title"]
        else:
            found.setdefault(title, []).append((match["language"], match["place"], match["text"]))
    return found


def begin(walk: Walk) -> None:
    """Start what is there before the first step: the one bridge, its server, its network and devices."""
    ues = "\n".join(
        f'[[ue]]\nname = "meter-{n}"\nexternal_id = "meter-{n}@iot.example"\nport = {20000 + n}'
        for n in range(1, DEVICES + 1)
    )
    (walk.folder / "ues.toml").write_text(ues)
    cli = ("-m", "bridge.cli", "mock")
    walk.begin(SERVER, *cli, "server", "--listen", "10.0.0.11:5683", "--control", "127.0.0.1:8001")
    walk.begin(
        SCEF, *cli, "scef", "--listen", "10.0.0.12:8010", "--control", "127.0.0.1:8011", "--token", "secret",
        "--ues", "ues.toml", "--modem-host", "10.0.0.12",
    )  # fmt: skip
    walk.begin(BALANCER, "-c", _BALANCER, f"10.0.0.{BALANCER}")
    first = walk.folder / "bridge-1"
    (first / "etc" / "bridge.toml").write_text(walk.here(_ALONE, "bridge-1"))
    walk.machines.inside(SERVER, "ip", "route", "add", PREFIX, "via", "10.0.0.1")
    fleet = "\n".join(
        f"lwm2m-bridge endpoint add urn:dev:os:meter-{n} --network operator --address meter-{n}@iot.example"
        for n in range(1, DEVICES + 1)
    )
    walk.type(f"ip route add local {PREFIX} dev lo\n{fleet}\nsystemctl start lwm2m-bridge", "bridge-1", "1")
    walk.begin(
        SCEF, *cli, "device", "--name", "urn:dev:os:meter-{n}", "--connect", "coap://10.0.0.12:20001",
        "--port-step", "1", "--count", str(DEVICES), "--listen", "10.0.0.12:0",
    )  # fmt: skip
    until(lambda: len(walk.clients()) == DEVICES, "not all devices register", walk.logs)


def machine(place: str) -> tuple[str, str]:
    """Return the machine that a block's first line names, and its number."""
    for name, number in NODES.items():
        if name in place:
            return name, number
    return ("bridge-1", SERVER) if "server" in place else ("db", BALANCER)


def take(walk: Walk, title: str) -> str:
    """Take the steps of a section; return what was printed."""
    said = ""
    for language, place, text in steps()[title]:
        name, number = machine(place)
        if language == "toml":
            file = place.split()[0]
            (walk.folder / name / "etc" / file).write_text(walk.here(text, name))
        elif language == "ini":
            for one in NODES:
                (walk.folder / one / "unit" / "cluster.conf").write_text(walk.here(text, one))
        elif name == "db":
            said += walk.type(f"export PGHOST={walk.server.folder} PGUSER=postgres\n{text}", "bridge-1", number)
        else:
            said += walk.type(text, name, number)
    return said


def shards(said: str) -> list[tuple[str, int]]:
    """Return the nodes in all tables of `cluster status`, and how many shards each has."""
    found = re.findall(r"^(bridge-\d)(?: \(asked\))? +[a-z ]+? +[\d.]+ s +(\d+) ", said, re.MULTILINE)
    return [(name, int(number)) for name, number in found]


def test_one_node_on_a_file_becomes_three_nodes_on_postgresql_and_one_again(walk: Walk) -> None:
    begin(walk)
    before = walk.clients()
    walk.every_device_answers()
    titles = iter(steps())

    def step(number: str) -> str:
        title = next(titles)
        assert title.startswith(number), title
        said = take(walk, title)
        if number != "4. ":  # after which nothing runs
            walk.every_device_answers()
        assert walk.clients() == before, "no device has another address, or has registered anew"
        return said

    said = step("1. ")
    assert "10.64.255.0/24" in said
    assert "[networks.operator.callbacks] public_url" in said
    assert "PostgreSQL" in step("2. ")
    assert "nothing is wrong" in step("3. ")
    said = step("4. ")
    assert f"{DEVICES} endpoints, " in said
    assert "rows copied and compared; the file is now" in said
    assert "set in the configuration: [service] database =" in said
    goes_back(walk)
    assert shards(step("5. ")) == [("bridge-1", 256)]
    said = step("6. ")
    assert {name for name, _ in shards(said)} == NODES.keys()
    assert "are to move to another node, a few at a time" in said
    assert "served by bridge-" in said
    assert "LwM2M Non-IP bridge" in said, "the device answers a request of the API"
    said = step("7. ")
    assert ("bridge-3", 0) in shards(said)
    assert "lease over" in said
    assert f"{DEVICES} endpoints, as of" in step("The way back")


def goes_back(walk: Walk) -> None:
    """See that the file has everything under its former name: this way back is told in words."""
    state = walk.folder / "bridge-1" / "state"
    (moved,) = state.glob("bridge.db.moved-*[0-9]")
    again = walk.folder / "again"
    again.mkdir()
    shutil.copy(moved, again / "bridge.db")
    config = walk.here(_ALONE, "bridge-1").replace(str(state), str(again))
    (again / "bridge.toml").write_text(config)
    said = walk.type(f"lwm2m-bridge endpoint list --config {again}/bridge.toml", "bridge-1", "1")
    assert said.count("urn:dev:os:meter-") == DEVICES
