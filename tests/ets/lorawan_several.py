"""A set-up with several servers over LoRaWAN, and a device for each case that needs them."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from mock_network.lab import Lab
from tests.ets.several import SEVERAL, server_lines
from tests.lorawan.lorawan_kit import PATIENCE, LorawanSetUp, device, lorawan_set_up

EUIS = {f"case-{number}": f"70b3d57ed1000{number:03}" for number in SEVERAL}
KINDS = {"boot": "plain", "patient": "strict", "gone": "plain"}


@contextlib.asynccontextmanager
async def several_servers(directory: Path, leshan: str = "") -> AsyncIterator[LorawanSetUp]:
    """Start it; all devices have joined. `leshan`: the URI of a Leshan, which then is `leshan` and `patient`."""
    lines = server_lines()
    usual = "leshan" if leshan else "lab"

    async def more(lab: Lab) -> str:
        uris = {"leshan": leshan, "patient": leshan} if leshan else {}
        for name in KINDS.keys() - uris.keys():
            part = await lab.start_server("--profile", KINDS[name], name=name)
            uris[name] = part.ready["coap"]
        return "".join(
            f'[servers.{name}]\nuri = "{uri}"\npatience = {PATIENCE}\n{lines.get(name, lines["lab"])}\n'
            for name, uri in uris.items()
        )

    endpoints = [
        {
            "name": name,
            "network": "lorawan",
            "address": eui,
            "servers": ["patient"] if name in {"case-108", "case-109"} else ["boot", usual, "gone"],
        }
        for name, eui in EUIS.items()
    ]
    async with lorawan_set_up(
        directory,
        devices=[device(eui) for eui in EUIS.values()],
        endpoints=endpoints,
        server_lines=f"patience = {PATIENCE}\n{'' if leshan else lines['lab']}",
        also=more,
    ) as lorawan:
        await lorawan.joined()
        yield lorawan
