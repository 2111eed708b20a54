"""The running service checks every network, also if one of them cannot be checked."""

from pathlib import Path
from types import SimpleNamespace

import aiohttp

from bindings.diagnosis import Finding, Grade
from bridge.errors import BindingError
from bridge.service.control import Control


class Down:
    async def check(self) -> list[Finding]:
        raise BindingError("network down is not running")


class Up:
    async def check(self) -> list[Finding]:
        return [Finding("it", Grade.GOOD, "runs")]


async def test_a_network_that_cannot_be_checked_hides_no_other(tmp_path: Path) -> None:
    socket = tmp_path / "control.sock"
    control = Control(SimpleNamespace(networks={"down": Down(), "up": Up()}), socket)  # type: ignore[arg-type]  # a part
    await control.start()
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session,
            session.get("http://bridge/doctor") as answer,
        ):
            found = await answer.json()
    finally:
        await control.stop()
    assert [(one["grade"], one["detail"]) for one in found["down"]] == [("unchecked", "network down is not running")]
    assert [one["grade"] for one in found["up"]] == ["good"]
