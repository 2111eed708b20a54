"""`lwm2m-bridge demo`: brings the set-up up, runs the tour, and leaves it running to play with."""

import asyncio
import json
import signal
import sys
import tempfile
import tomllib
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from mock_network.demo import lorawan
from mock_network.demo.lorawan import LorawanTour
from mock_network.demo.outside import Outside, StepFailed
from mock_network.demo.screen import Screen
from mock_network.demo.tour import (
    ENDPOINT,
    EXTERNAL_ID,
    PATIENCE,
    SECOND_ENDPOINT,
    SECOND_EXTERNAL_ID,
    SECOND_SERVER,
    SECOND_UE,
    UE,
    Tour,
)
from mock_network.lab import TOKEN, ApiError, Broker, Lab, LabProcess, ProcessEnded, free_port

STEP_TIMEOUT = 40.0  # seconds of real time
BROKEN_STEP_TIMEOUT = 15.0  # with a promise broken on purpose, when many steps do not come to their end
EVENTS_PATH = "demo"  # of ChirpStack's HTTP integration, on loopback
T3412 = 86400.0  # seconds between the UE's periodic tracking area updates
EVENTS_KEPT = 86400  # seconds, for the dashboard
T3324 = 8.0  # seconds that the UE can be reached after its last data


_POLL = f"curl -X POST {{}}/radio/devices/{lorawan.DEV_EUI}/poll    # lets through what waits for it"


def run_demo(*, once: bool, broken: str | None, mqtt: bool = False) -> int:
    """Run the demo, and return the exit code. With `once`, the last line printed is a verdict as JSON.

    Ctrl-C and SIGTERM end it with all its processes; that is a success unless a verdict was requested.
    `mqtt`: ChirpStack's events go over a Mosquitto of the demo's own instead of its HTTP integration.
    """
    try:
        return asyncio.run(_until_stopped(_demo(once=once, broken=broken, mqtt=mqtt)))
    except asyncio.CancelledError:
        return int(once)


async def _until_stopped(work: Coroutine[Any, Any, int]) -> int:
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


async def _demo(*, once: bool, broken: str | None, mqtt: bool) -> int:
    screen = Screen()
    screen.title("An LwM2M server manages devices that have no IP")
    screen.plain("LwM2M server ──CoAP/UDP── bridge ──T8 REST── SCEF/NEF ──NIDD── device")
    screen.plain("                               └─gRPC + HTTP─ ChirpStack ─LoRaWAN─ device")
    with tempfile.TemporaryDirectory(prefix="lwm2m-bridge-demo-") as directory:
        async with Lab(Path(directory)) as lab:
            broker = Broker(Path(directory)) if mqtt else None
            try:
                if broker is not None:
                    broker.start()
                    lab.at_the_end(broker.stop)
                await _bring_up(lab, screen, broken, broker)
            except (ProcessEnded, ApiError, OSError) as error:
                screen.broke(f"the set-up did not come up: {error}")
                return _verdict([{"step": "set-up", "ok": False, "why": str(error)}], screen, once=once)
            steps = await _walk(lab, screen, STEP_TIMEOUT if broken is None else BROKEN_STEP_TIMEOUT)
            code = _verdict(steps, screen, once=once)
            if once:
                return code
            await _wake_for_good(lab)
            await _play(lab, screen)
    return code


async def _bring_up(lab: Lab, screen: Screen, broken: str | None, broker: Broker | None) -> None:
    """Start all processes, those that do not need each other side by side."""
    screen.say("starting clock, SCEF, ChirpStack, LwM2M server, bridge and devices, each a process of its own")
    await lab.start_clock()
    ues = [
        {"name": name, "external_id": identity, "t3324": T3324, "t3412": T3412}
        for name, identity in ((UE, EXTERNAL_ID), (SECOND_UE, SECOND_EXTERNAL_ID))
    ]
    port = free_port()
    over_mqtt = [] if broker is None else ["--mqtt", broker.address, "--mqtt-qos", "1"]
    await asyncio.gather(
        lab.start_scef(ues),
        lab.start_server(),
        lab.start_server(name=SECOND_SERVER),
        lab.start_chirpstack(
            [lorawan.DEVICE],
            *over_mqtt,
            http="" if broker is not None else f"http://127.0.0.1:{port}/{EVENTS_PATH}",
            profile=lorawan.PROFILE,
        ),
    )
    way = f'http = {{ port = {port}, path = "{EVENTS_PATH}" }}'
    if broker is not None:
        way = f'events = "mqtt"\nmqtt = {{ host = "127.0.0.1", port = {broker.port} }}'
    lab.write_configuration(
        [
            {"name": ENDPOINT, "network": "nidd", "address": EXTERNAL_ID},
            {"name": SECOND_ENDPOINT, "network": "nidd", "address": SECOND_EXTERNAL_ID, "servers": [SECOND_SERVER]},
            {
                "name": lorawan.ENDPOINT,
                "network": "lorawan",
                "address": lorawan.DEV_EUI,
                "object_list": lorawan.OBJECTS,
            },
        ],
        sections=lab.lorawan_network(lines=way)
        + lab.server_section(SECOND_SERVER, 'profile = "leshan"')
        + f'\n[api]\nlisten = "127.0.0.1:{free_port()}"\n[events]\nkeep = {EVENTS_KEPT}\n',
        server=f"patience = {PATIENCE}",
        service='default_servers = ["lab"]\nlog_level = "warning"',
    )
    bridge = await lab.start_bridge(wait=broken is None)
    if broken is not None:
        bridge.process.kill()
        arguments = ["-m", "mock_network.demo.sabotage", broken, "run"]
        configuration = str(lab.directory / "bridge.toml")
        bridge.process = LabProcess(
            "bridge", [*arguments, "-c", configuration, "--clock", lab.clock], lab.directory / "bridge.log"
        )
        await bridge.start()
    await lab.start_device(ENDPOINT, lab.modem(UE), "--lifetime", str(30 * 86400))


async def _walk(lab: Lab, screen: Screen, timeout: float) -> list[dict[str, object]]:  # noqa: ASYNC109 - of each step
    """Run all steps; after a failed step the next ones still run."""
    tour = Tour(lab, screen, Outside(lab, ENDPOINT, UE))
    results: list[dict[str, object]] = []
    for number, (name, what, step) in enumerate([*tour.steps, *LorawanTour(lab, screen).steps], 1):
        screen.step(number, name, what)
        began = screen.seconds
        try:
            held = await asyncio.wait_for(step(), timeout)
        except (StepFailed, ApiError, ProcessEnded, OSError) as error:
            screen.broke(str(error))
            results.append({"step": name, "ok": False, "why": str(error)})
        except TimeoutError:
            screen.broke(f"not within {timeout:.0f} s")
            results.append({"step": name, "ok": False, "why": "timeout"})
        else:
            screen.held(held)
            results.append({"step": name, "ok": True, "seconds": round(screen.seconds - began, 1)})
    return results


def _verdict(steps: list[dict[str, object]], screen: Screen, *, once: bool) -> int:
    ok = all(step["ok"] for step in steps)
    if once:
        sys.stdout.flush()
        print(json.dumps({"ok": ok, "steps": steps}), flush=True)  # noqa: T201 - the verdict is for scripts
    else:
        screen.title("Every step held." if ok else "Not every step held.")
    return 0 if ok else 1


async def _wake_for_good(lab: Lab) -> None:
    """Wake the UEs, and let them sleep only on request, so that a read is answered now."""
    for ue in (UE, SECOND_UE):
        if lab.scef is not None:
            await lab.scef.ask("PATCH", f"/ues/{ue}", {"t3324": None, "t3412": None})
            await lab.scef.post(f"/ues/{ue}/wake")


async def _play(lab: Lab, screen: Screen) -> None:
    """Show where everything is, and wait for Ctrl-C."""
    if lab.server is None or lab.scef is None or lab.devices is None or lab.bridge is None:
        return
    server, scef, devices = lab.server.base, lab.scef.base, lab.devices.base
    configuration = lab.directory / "bridge.toml"
    command = Path(sys.executable).with_name("lwm2m-bridge")
    api = tomllib.loads(configuration.read_text())["api"]["listen"]
    link = await lab.bridge.ask("dashboard.link", name="demo", role="admin")
    screen.title("It goes on running until Ctrl-C. Try:")
    screen.addresses(
        [
            (
                "dashboard",
                f"http://{api}/dashboard/#/sign-in?code={link['code']}",
                f"{command} dashboard --role admin -c {configuration}    # once more",
            ),
            ("trace", "both hops of a device, live", f"{command} trace {ENDPOINT} -c {configuration}"),
            ("LwM2M server", server, f'curl -d \'{{"path": "/3303/0/5700"}}\' {server}/clients/{ENDPOINT}/read'),
            (
                "device",
                devices,
                f"curl -X PUT -d '{{\"value\": 30}}' {devices}/devices/{ENDPOINT}/resources/3303/0/5700",
            ),
            ("UE", scef, f"curl -X POST {scef}/ues/{UE}/sleep    # and …/wake"),
            ("air log", scef, f"curl '{scef}/air-log?format=lines'"),
            ("LoRaWAN", lab.chirpstacks["chirpstack"].api.base, _POLL.format(lab.chirpstacks["chirpstack"].api.base)),
            ("gRPC", str(lab.chirpstacks["chirpstack"].ready["grpc"]), f"bearer token {TOKEN}"),
            ("T8 API", str(lab.scef_ready["scef"]), f"bearer token {lab.scef_ready['token']}"),
            ("clock", lab.clock, f"curl -d '{{\"seconds\": 3600}}' {lab.clock}/step"),
            ("modem", lab.modem(UE), "point any LwM2M client here instead of the emulated one"),
            ("bridge", str(configuration), f"{command} endpoint show {ENDPOINT} -c {configuration}"),
        ]
    )
    await asyncio.Event().wait()
