"""The steps of the tour. Each is judged by `outside`, never by the bridge."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mock_network.demo.outside import Outside, StepFailed, check, until
from mock_network.demo.screen import Screen
from mock_network.lab import Lab

ENDPOINT = "urn:dev:ops:32473-meter-1"  # 32473: the enterprise number for examples (RFC 5612)
EXTERNAL_ID = "meter-1@iot.example"
UE = "meter-1"
SECOND_ENDPOINT = "urn:dev:ops:32473-meter-2"
SECOND_EXTERNAL_ID = "meter-2@iot.example"
SECOND_UE = "meter-2"
SECOND_SERVER = "two-minutes"
LESHAN_PATIENCE = 120  # seconds that Leshan waits for a response (its default)
TTL = 30  # seconds, in the step on expiry
PATIENCE = 86400  # seconds that this server waits: its device sleeps for hours
TEMPERATURE = "/3303/0/5700"
MANUFACTURER = "/3/0/0"
UTC_OFFSET = "/3/0/14"
UPDATE_TRIGGER = "/1/0/8"


@dataclass(slots=True)
class Tour:
    """One tour through a set-up that is running."""

    lab: Lab
    screen: Screen
    outside: Outside

    @property
    def steps(self) -> list[tuple[str, str, Callable[[], Awaitable[str]]]]:
        """Return all steps: name, description, and the step; it returns its finding, or raises StepFailed."""
        return [
            ("register", "a device without IP registers at the server", self.register),
            ("read", "the server reads a resource", self.read),
            ("write", "the server writes one, and reads it back", self.write),
            ("execute", "the server executes the registration update trigger", self.execute),
            ("observe", "the server observes; the sensor changes; a notification arrives", self.observe),
            ("duplicate", "the network delivers a Send twice; the server gets it once", self.duplicate),
            ("sleep", "the device sleeps; a read by a server that waits a day is answered at wake-up", self.sleep),
            ("expiry", f"it sleeps again; a read that may wait {TTL} s expires, certainly undelivered", self.expiry),
            ("patience", f"a server with the {LESHAN_PATIENCE} s of Leshan reads a sleeping device", self.patience),
            ("crash", "the bridge is killed while a write waits; started again, it delivers it once", self.crash),
            ("continue", "the server still knows the device: a notification and a Send arrive", self.go_on),
        ]  # fmt: skip

    async def register(self) -> str:
        client = await self.outside.client()
        check(await self.outside.air(what="uplink"), "nothing of the device went over the air")
        check(client["address"].startswith("127.64."), f"the server sees {client['address']}")
        return f"the server sees {client['endpoint']} at {client['address']}, an address of its own"

    async def read(self) -> str:
        air = await self.outside.last_air()
        answer = await self.outside.ask_device("read", MANUFACTURER)
        check(answer.get("ok"), f"the server got {answer}")
        requests = await self.outside.requests_on_air(air)
        check(len(requests) == 1, f"{len(requests)} requests went over the air")
        return f"{MANUFACTURER} is {answer['values'][MANUFACTURER]!r}; {len(requests[0])} bytes went over the air"

    async def write(self) -> str:
        answer = await self.outside.ask_device("write", UTC_OFFSET, value="+02:00")
        check(answer.get("ok"), f"the server got {answer}")
        back = await self.outside.ask_device("read", UTC_OFFSET)
        check(back.get("values", {}).get(UTC_OFFSET) == "+02:00", f"read back: {back}")
        return f"{UTC_OFFSET} is now '+02:00'"

    async def execute(self) -> str:
        before = await self.outside.last_seen()
        done = len(await self.outside.executed())
        answer = await self.outside.ask_device("execute", UPDATE_TRIGGER)
        check(answer.get("ok"), f"the server got {answer}")
        executed = [entry["operation"] for entry in await self.outside.executed(done)]
        check(executed == ["Execute"], f"the device executed {executed}")
        await until("an Update at the server", lambda: self.outside.seen(before, "updated"))
        return "the device executed it once, and its Update reached the server"

    async def observe(self) -> str:
        answer = await self.outside.ask_device("observe", TEMPERATURE)
        check(answer.get("ok"), f"the server got {answer}")
        before = await self.outside.last_seen()
        await self._set_temperature(23.5)
        await until("a notification at the server", lambda: self.outside.seen(before, "notification"))
        return f"{TEMPERATURE} was {answer['values'][TEMPERATURE]}, the server is told of 23.5"

    async def duplicate(self) -> str:
        if self.lab.scef is None:
            raise StepFailed("there is no SCEF")
        before = await self.outside.last_seen()
        await self.lab.scef.post("/faults", {"kind": "notification_duplicate", "count": 1})
        await self._send()
        await until("a Send at the server", lambda: self.outside.seen(before, "send"))
        notified = await self.lab.scef.get("/faults")
        check(notified["happened"].get("notification_duplicate"), "the network did not deliver it twice")
        await self.outside.ask_device("read", MANUFACTURER)  # whatever came twice has been forwarded before this
        sends = len(await self.outside.seen(before, "send"))
        check(sends == 1, f"the server got it {sends} times")
        return "two notifications at the bridge, one Send at the server"

    async def sleep(self) -> str:
        await self.outside.sleep()
        air, seen = await self.outside.last_air(), await self.outside.last_seen()
        waiting = asyncio.create_task(self.outside.ask_device("read", MANUFACTURER, timeout=PATIENCE))
        await until("the server's request accepted", lambda: self._accepted(seen))
        await self.lab.step(3600)
        check(not waiting.done(), "the read ended while the device slept")
        check(not await self.outside.requests_on_air(air), "something went over the air to a sleeping device")
        await self.outside.wake()
        answer = await asyncio.wait_for(waiting, 20)
        check(answer.get("ok"), f"the server got {answer}")
        check(len(await self.outside.requests_on_air(air)) == 1, "it did not go over the air exactly once")
        return "accepted at once, delivered an hour later at wake-up, answered 2.05"

    async def expiry(self) -> str:
        await self.outside.sleep()
        air, seen = await self.outside.last_air(), await self.outside.last_seen()
        asked = self.outside.ask_device("read", "/3/0/1", timeout=PATIENCE, ttl=TTL)
        waiting = asyncio.create_task(asked)
        await until("the server's request accepted", lambda: self._accepted(seen))
        await self.lab.step(TTL + 5)
        done, _ = await asyncio.wait({waiting}, timeout=10)
        if not done:
            waiting.cancel()
            raise StepFailed("the server was not told that the time to live is over")
        answer = waiting.result()
        check(answer.get("code") == "5.04", f"the server got {answer}")
        await self.outside.wake()
        control = await self.outside.ask_device("read", MANUFACTURER)
        check(control.get("ok"), f"a read after wake-up got {control}")
        requests = await self.outside.requests_on_air(air)
        check(len(requests) == 1, f"{len(requests)} requests went over the air; only the later one should have")
        return "the server got 5.04, and the air log has no trace of it even after wake-up"

    async def patience(self) -> str:
        """Show a request that expires at a server with the usual patience."""
        if self.lab.devices is None:
            raise StepFailed("there is no device")
        outside = Outside(self.lab, SECOND_ENDPOINT, SECOND_UE, SECOND_SERVER)
        body = {"endpoint": SECOND_ENDPOINT, "connect": self.lab.modem(SECOND_UE)}
        await self.lab.devices.post("/devices", body)
        await outside.client()
        await outside.sleep()
        air, seen = await outside.last_air(), await outside.last_seen()
        waiting = asyncio.create_task(outside.ask_device("read", MANUFACTURER, timeout=LESHAN_PATIENCE))
        await until("the server's request accepted", lambda: outside.seen(seen, "acknowledged"))
        await self.lab.step(LESHAN_PATIENCE - 1)
        answer = await asyncio.wait_for(waiting, 10)
        check(answer.get("code") == "5.04", f"the server got {answer}")
        await outside.wake()
        again = await outside.ask_device("read", MANUFACTURER, timeout=LESHAN_PATIENCE)
        check(again.get("ok"), f"asked again when the device is awake, the server got {again}")
        requests = await outside.requests_on_air(air)
        check(len(requests) == 1, f"{len(requests)} requests went over the air; only the second should have")
        return (
            f"5.04 within {LESHAN_PATIENCE} s, while it still waited, and nothing of it went over the air; "
            "asked again when the device is awake: 2.05"
        )

    async def crash(self) -> str:
        bridge = self.lab.bridge
        if bridge is None:
            raise StepFailed("there is no bridge")
        await self.outside.sleep()
        done, seen, air = (
            len(await self.outside.executed()),
            await self.outside.last_seen(),
            await self.outside.last_air(),
        )
        waiting = asyncio.create_task(self.outside.ask_device("write", UTC_OFFSET, value="-05:00", timeout=PATIENCE))
        await until("the server's request accepted", lambda: self._accepted(seen))
        bridge.process.kill()
        self.screen.say("SIGKILL to the bridge; starting it again on what is on disk")
        await bridge.start()
        await self.outside.wake()
        ended, _ = await asyncio.wait({waiting}, timeout=15)
        if not ended:
            waiting.cancel()
            raise StepFailed("what was accepted before the crash never came back to the server")
        check(waiting.result().get("ok"), f"the server got {waiting.result()}")
        executed = [entry["path"] for entry in await self.outside.executed(done) if entry["operation"] == "Write"]
        check(executed == [UTC_OFFSET], f"the device wrote {executed}")
        requests = await self.outside.requests_on_air(air)
        check(len(requests) == 1, f"it went over the air {len(requests)} times")
        return "accepted before the crash, written once after it, answered 2.04"

    async def go_on(self) -> str:
        before = await self.outside.last_seen()
        client = await self.outside.client()
        await self._set_temperature(19.25)
        await self._send()
        await until("a notification at the server", lambda: self.outside.seen(before, "notification"))
        await until("a Send at the server", lambda: self.outside.seen(before, "send"))
        check(not await self.outside.seen(before, "registered"), "the device had to register anew")
        return f"no new Register: {client['address']} is still its address"

    # -- parts of steps ------------------------------------------------------------------------------------------

    async def _accepted(self, since: int) -> list[dict[str, object]]:
        return await self.outside.seen(since, "acknowledged")

    async def _set_temperature(self, value: float) -> None:
        if self.lab.devices is None:
            raise StepFailed("there is no device")
        await self.lab.devices.ask("PUT", f"/devices/{ENDPOINT}/resources{TEMPERATURE}", {"value": value})

    async def _send(self) -> None:
        if self.lab.devices is None:
            raise StepFailed("there is no device")
        await self.lab.devices.post(f"/devices/{ENDPOINT}/send", {"paths": [TEMPERATURE]})
