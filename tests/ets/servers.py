"""The server's end of an enabler test case, emulated or a real Leshan: a case asks both in the same words."""

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mock_network.lab import Api
from tests.interop.leshan_server import Leshan
from tests.waiting import until

Json = dict[str, Any]


class ServerEnd(ABC):
    """An LwM2M server, and what a test can ask of it. Values stand by path: {"/3/0/9": 100}."""

    @abstractmethod
    async def ask(self, name: str, operation: str, path: str = "", **body: Any) -> Json:
        """Carry out an operation of `mock_network.lwm2m_server.calls`; return its answer, with `code`."""

    @abstractmethod
    async def clients(self) -> list[Json]:
        """Return the registrations: endpoint, version, lifetime, queue_mode, links."""

    @abstractmethod
    async def seen(self, kind: str, name: str) -> list[Json]:
        """Return what was seen of a device, oldest first.

        Kinds: registered, updated, deregistered, expired, rst sent, request.
        """

    @abstractmethod
    async def sends(self, name: str) -> list[Json]:
        """Return the values of each Send."""

    @abstractmethod
    async def notified(self, name: str) -> list[Json]:
        """Return the values of each notification of observations that the server still knows."""

    @abstractmethod
    async def forget(self, name: str) -> None:
        """Lose the registration of a device without a word to anybody."""

    @abstractmethod
    async def asleep(self, name: str) -> None:
        """Wait until the server believes a silent device in queue mode to sleep; a test has moved virtual time."""

    @abstractmethod
    async def use_key(self, name: str, keys: Mapping[str, str]) -> None:
        """Let a device have sessions by a key: identity, and key in hexadecimal."""

    @abstractmethod
    async def use_certificate(self, certificate: Mapping[str, str]) -> None:
        """Let devices have sessions by certificates: certificate and private_key of the server, and authorities."""

    async def kept(self, name: str, operation: str, path: str) -> Json:
        """Ask a device that sleeps: the request is sent when it is awake, and the answer returned."""
        return await self.ask(name, operation, path, timeout=600)

    async def client(self, name: str) -> Json | None:
        """Return a registration, None if there is none."""
        return next((client for client in await self.clients() if client["endpoint"] == name), None)


@dataclass(frozen=True)
class EmulatedServer(ServerEnd):
    """The server of `mock_network`, by its control API."""

    api: Api

    async def ask(self, name: str, operation: str, path: str = "", **body: Any) -> Json:
        named = {"path": path} if path else {}
        answer: Json = await self.api.post(f"/clients/{name}/{operation}", {**named, **body})
        return answer

    async def clients(self) -> list[Json]:
        return list(await self.api.get("/clients"))

    async def seen(self, kind: str, name: str) -> list[Json]:
        return list(await self.api.get("/seen", kind=kind, endpoint=name))

    async def sends(self, name: str) -> list[Json]:
        return [
            {record["path"]: record["value"] for record in one["records"]}
            for one in await self.api.get("/sends")
            if one["endpoint"] == name
        ]

    async def notified(self, name: str) -> list[Json]:
        return [
            notification["values"] or {}
            for one in await self.api.get("/observations")
            if one["endpoint"] == name
            for notification in one["notifications"]
        ]

    async def asleep(self, name: str) -> None:
        pass  # its clock is the virtual one

    async def use_key(self, name: str, keys: Mapping[str, str]) -> None:
        await self.api.ask("PUT", f"/psk/{name}", dict(keys))

    async def use_certificate(self, certificate: Mapping[str, str]) -> None:
        await self.api.ask("PUT", "/certificate", dict(certificate))

    async def forget(self, name: str) -> None:
        await self.api.post("/stop", {"forget": True})
        await self.api.post("/start", {})


@dataclass
class LeshanEnd(ServerEnd):
    """A real Leshan, by the control port of the program that the tests run it in."""

    leshan: Leshan
    _events: list[Json] = field(default_factory=list)

    async def ask(self, name: str, operation: str, path: str = "", **body: Any) -> Json:
        """Raise AssertionError where Leshan got no answer, with the name of its exception."""
        details = _details(operation, body)
        result = await self.leshan.run(ORDERS.get(operation, operation), name, path or "/", **details)
        assert result["state"] == "response", result
        if "links" in result:
            result["links"] = dict(map(_link, result["links"]))
        return result

    async def clients(self) -> list[Json]:
        return [
            {**one, "version": one["lwm2m"], "links": dict(map(_link, one["object_links"]))}
            for one in await self.leshan.registrations()
        ]

    async def seen(self, kind: str, name: str) -> list[Json]:
        kind = {"deregistered": "unregistered", "rst sent": "rst-sent"}.get(kind, kind)
        events = [one for one in await self._all() if one["kind"] == kind]
        if kind == "rst-sent":  # that is for an address
            registration = await self.leshan.registration(name)
            return [one for one in events if registration and one["address"] == registration["address"]]
        return [one for one in events if one["endpoint"] == name]

    async def sends(self, name: str) -> list[Json]:
        return [one["values"] for one in await self.seen("send", name)]

    async def notified(self, name: str) -> list[Json]:
        known = {one["token"] for one in await self.leshan.observations(name)}
        return [one["values"] for one in await self.seen("notification", name) if one["token"] in known]

    async def use_key(self, name: str, keys: Mapping[str, str]) -> None:
        pass  # Leshan was started with it

    async def use_certificate(self, certificate: Mapping[str, str]) -> None:
        pass  # as above

    async def forget(self, name: str) -> None:
        await self.leshan.forget(name)

    async def asleep(self, name: str) -> None:
        await self._further("sleeping", name, 0)

    async def kept(self, name: str, operation: str, path: str) -> Json:
        """Leshan refuses, and keeps nothing: an application asks again when Leshan says that the device is awake."""
        awake = len(await self.seen("awake", name))
        refused = await self.leshan.run(operation, name, path)
        assert refused["error"] == "ClientSleepingException", refused
        await self._further("awake", name, awake)
        return await self.ask(name, operation, path)

    async def _further(self, kind: str, name: str, than: int) -> None:
        async def look() -> bool:
            return len(await self.seen(kind, name)) > than

        await until(look, 30.0, f"{name} is not {kind}")

    async def _all(self) -> list[Json]:
        self._events += await self.leshan.events(after=len(self._events))
        return self._events


ORDERS = {
    "write_attributes": "write-attributes",
    "observe_composite": "observe-composite",
    "read_composite": "read-composite",
    "write_composite": "write-composite",
    "cancel": "cancel-observe",
    "forget": "forget-observe",
}


def _details(operation: str, body: Json) -> Json:
    """Return what an order of Leshan's control port says beside operation and path."""
    details = {
        name: body[name] for name in ("timeout", "ttl", "paths", "replace", "arguments", "value") if name in body
    }
    if content_format := body.get("accept") or body.get("format"):
        details["format"] = content_format.upper()
    if "payload" in body:
        details |= {"value": base64.b64decode(body["payload"]).hex(), "format": "OPAQUE"}
    if "attributes" in body:
        details["attributes"] = "&".join(k if v is None else f"{k}={v}" for k, v in body["attributes"].items())
    if operation == "write_composite":
        details["values"] = body["values"]
    elif "values" in body:
        details["values"] = {one.rsplit("/", 1)[1]: value for one, value in body["values"].items()}
    if operation == "create" and body.get("values"):
        details["instance"] = int(next(iter(body["values"])).split("/")[2])
    return details


def _link(text: str) -> tuple[str, dict[str, str]]:
    """Take a link of CoRE Link Format apart: target, and attributes without the quotes."""
    target, *attributes = text.split(";")
    pairs = (attribute.partition("=") for attribute in attributes)
    return target.strip("<>"), {name: value.strip('"') for name, _, value in pairs}
