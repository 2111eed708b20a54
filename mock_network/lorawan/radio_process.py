"""The emulated radio side on an event loop: it owns the time, wakes the air when due, and holds the modems' ports."""

import asyncio
import json
import logging
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mock_network.clock import current_clock
from mock_network.lorawan.air import Air
from mock_network.lorawan.air_log import AirEventKind
from mock_network.lorawan.device import Device
from mock_network.lorawan.device_config import DeviceConfig
from mock_network.lorawan.gateway import GatewayConfig
from mock_network.lorawan.memory import DeviceMemory
from mock_network.lorawan.radio import DownlinkFrame, NetworkServer
from mock_network.modem import UdpModem

log = logging.getLogger(__name__)

SAVE_DELAY = 1.0  # seconds; changes within it are written together


class RadioProcess:
    """Devices, gateways and modems of one process; the `RadioSide` of a network server. Use it on one event loop.

    Time is the loop's, so it follows a test clock where the loop does. `memory` is a file in which devices keep nonces
    and sessions from one run to the next, written a second after a change; it contains session keys.
    """

    def __init__(
        self, server: NetworkServer, *, seed: int = 1, modem_host: str = "127.0.0.1", memory: Path | None = None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._offset = current_clock().wall() - self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._save_timer: asyncio.TimerHandle | None = None
        self._saved = 0  # events in the air log when the memory was last written
        self._memory = memory
        self._kept: dict[str, Any] = _read_memory(memory)
        self.counts: Counter[tuple[str, str]] = Counter()  # (DevEUI, event of the modem)
        self.modem = UdpModem(self._datagram, modem_host)
        self.air = Air(random.Random(seed), self.now(), server, self._deliver)

    def now(self) -> float:
        """Return seconds since the epoch, never going back."""
        return self._loop.time() + self._offset

    async def stop(self) -> None:
        """Stop the air, close the modems' ports, write the devices' memory."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._save_timer is not None:
            self._save_timer.cancel()
        self.modem.close_all()
        self._save()

    def add_gateway(self, config: GatewayConfig) -> None:
        """Add a gateway."""
        self._step()
        self.air.add_gateway(config)
        self._arm()

    async def add_device(self, config: DeviceConfig, port: int = 0) -> tuple[str, int]:
        """Switch a device on, and return the address of its modem. Raises OSError if the port is taken.

        Each of its further FPorts gets a modem at any free port: see `state`.
        """
        address = await self.modem.open(config.dev_eui, port)
        for f_port in config.more_f_ports:
            await self.modem.open(_channel(config.dev_eui, f_port))
        kept = self._kept.get(config.dev_eui)
        memory = None
        if kept is not None:
            try:
                memory = DeviceMemory.from_json(kept)
            except (KeyError, TypeError, ValueError) as error:
                log.warning("what %s kept cannot be read, it starts afresh: %r", config.dev_eui, error)
        self._step()
        self.air.add_device(config, memory)
        self._arm()
        return address

    async def populate(
        self, devices: Iterable[tuple[DeviceConfig, int]], links: Iterable[dict[str, Any]]
    ) -> dict[str, tuple[str, int]]:
        """Switch devices on and set their links, as by action `link`; return the modems' addresses.

        Raises OSError if a port is taken, ValueError for a link that cannot be.
        """
        modems = {config.dev_eui: await self.add_device(config, port) for config, port in devices}
        for link in links:
            body = dict(link)
            dev_eui = str(body.pop("dev_eui", ""))
            if await self.act(dev_eui, "link", body) is None:
                raise ValueError(f"a link of device {dev_eui!r}, which is not described")
        return modems

    def remove_device(self, dev_eui: str) -> None:
        """Switch a device off. Raises KeyError."""
        self._step()
        self._keep()
        further = self.air.devices[dev_eui].config.more_f_ports
        self.air.remove_device(dev_eui)
        for name in dev_eui, *(_channel(dev_eui, f_port) for f_port in further):
            self.modem.close(name)
        self._arm()

    def downlink(self, frame: DownlinkFrame) -> None:
        """Take a command of the network server."""
        self._step()
        self.air.downlink(frame)
        self._arm()

    async def act(self, dev_eui: str, action: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Do something to a device; None if it is not here.

        Actions: `send` {payload: hex, f_port, confirmed}, `poll`, `rejoin`, `reset` (frame counters),
        `data-rate` {data_rate}, `link` {gateway_id, rssi, snr, uplink_loss, downlink_loss}, `unlink` {gateway_id},
        `state`. Raises ValueError for an unknown action or value.
        """
        if dev_eui not in self.air.devices:
            return None
        self._step()
        try:
            self._act(dev_eui, action, body)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{action}: {error!r}") from error
        finally:
            self._arm()
        return self.state(dev_eui)

    def _act(self, dev_eui: str, action: str, body: dict[str, Any]) -> None:
        match action:
            case "send":
                self._send(dev_eui, bytes.fromhex(body["payload"]), body.get("f_port"), body.get("confirmed"))
            case "poll":
                self.air.change(dev_eui, Device.poll)
            case "rejoin":
                self.air.change(dev_eui, Device.rejoin)
            case "reset":
                self.air.change(dev_eui, Device.reset_counters)
            case "data-rate":
                data_rate = int(body["data_rate"])
                self.air.change(dev_eui, lambda device, now: device.set_data_rate(data_rate, now))
            case "link":
                self._change_link(dev_eui, dict(body))
            case "unlink":
                self.air.unlink(dev_eui, body["gateway_id"])
            case "state":
                pass
            case _:
                raise ValueError(f"unknown action {action!r}")

    def _send(self, dev_eui: str, payload: bytes, f_port: int | None, confirmed: bool | None) -> None:
        why = self.air.send(dev_eui, payload, f_port=f_port, confirmed=confirmed)
        self.counts[dev_eui, "up" if why is None else "dropped"] += 1
        if why is not None:
            log.info("modem of %s: datagram dropped: %s", dev_eui, why)

    def _change_link(self, dev_eui: str, body: dict[str, Any]) -> None:
        link = self.air.link(dev_eui, body.pop("gateway_id"))
        for name, value in body.items():
            kinds = {"rssi": int, "snr": float, "uplink_loss": float, "downlink_loss": float}
            setattr(link, name, kinds[name](value))

    def state(self, dev_eui: str) -> dict[str, Any]:
        """Return the state of a device, without keys. Raises KeyError."""
        device = self.air.devices[dev_eui]
        session, settings = device.session, device.settings
        return {
            "dev_eui": dev_eui,
            "name": device.config.name,
            "class": device.config.device_class,
            "modem": self.modem.address(dev_eui),
            "modems": {
                str(f_port): self.modem.address(_channel(dev_eui, f_port)) for f_port in device.config.more_f_ports
            },
            "joined": device.joined,
            "dev_addr": None if session is None else f"{session.dev_addr:08x}",
            "f_cnt_up": None if session is None else session.f_cnt_up,
            "n_f_cnt_down": None if session is None else session.n_f_cnt_down,
            "a_f_cnt_down": None if session is None else session.a_f_cnt_down,
            "data_rate": settings.data_rate,
            "limit": device.limit(),
            "rx1_delay": settings.rx1_delay,
            "datagrams": {what: n for (name, what), n in self.counts.items() if name == dev_eui},
            "air": {what.value: self.air.log.counts[dev_eui, what] for what in AirEventKind},
        }

    def _datagram(self, channel: str, payload: bytes) -> None:
        """Take a datagram of an LwM2M client: an uplink."""
        dev_eui, _, f_port = channel.partition("/")
        self._step()
        if dev_eui in self.air.devices:
            self._send(dev_eui, payload, int(f_port) if f_port else None, None)
        self._arm()

    def _deliver(self, dev_eui: str, payload: bytes, f_port: int) -> None:
        """Pass a device's received payload to its LwM2M client."""
        further = self.air.devices[dev_eui].config.more_f_ports
        delivered = self.modem.deliver(_channel(dev_eui, f_port) if f_port in further else dev_eui, payload)
        self.counts[dev_eui, "down" if delivered else "nobody there"] += 1
        if not delivered:
            log.info("modem of %s: no client has sent from there yet; %d bytes lost", dev_eui, len(payload))

    def _step(self) -> None:
        self.air.advance(self.now())

    def _run(self) -> None:
        self._timer = None
        self._step()
        self._arm()

    def _arm(self) -> None:
        """Set a timer for the air's next event."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.air.next_at()
        if due is not None:
            self._timer = self._loop.call_at(due - self._offset, self._run)
        if self._memory is not None and self._save_timer is None and self._saved != self.air.log.total:
            self._save_timer = self._loop.call_later(SAVE_DELAY, self._save)

    def _save(self) -> None:
        self._save_timer = None
        if self._memory is None:
            return
        self._saved = self.air.log.total
        self._keep()
        try:
            _write_memory(self._memory, self._kept)
        except OSError as error:
            log.error("the devices' memory cannot be written: %s", error)  # noqa: TRY400  # the reason is in the text

    def _keep(self) -> None:
        for name, device in self.air.devices.items():
            self._kept[name] = device.memory.to_json()


def _channel(dev_eui: str, f_port: int) -> str:
    """Return the name of the modem of a device's further FPort."""
    return f"{dev_eui}/{f_port}"


def _read_memory(path: Path | None) -> dict[str, Any]:
    """Read what devices kept; a file that is not there yet is empty. Raises OSError or ValueError."""
    if path is None or not path.exists():
        return {}
    body = json.loads(path.read_text())
    if not isinstance(body, dict):
        raise ValueError(f"{path} is not a file of device memories")  # noqa: TRY004  # one kind of error for a bad file
    return body


def _write_memory(path: Path, body: dict[str, Any]) -> None:
    """Replace the file, readable by its owner alone: it holds session keys."""
    temporary = path.with_suffix(path.suffix + ".new")
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(body, indent=1))
    temporary.replace(path)
