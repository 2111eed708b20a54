"""The interoperability test cases of OMA's enabler test specification for LwM2M 1.1, written as our own.

A number is that of LightweightM2M-1.1-int-NUMBER. Titles and text are ours, after public summaries of the
specification: its own text is not used here. A case leaves the device registered, with nothing observed.
"""

import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from mock_network.lab import ApiError
from tests.ets.ends import Ends
from tests.ets.packages import firmware

MANUFACTURER = "LwM2M Non-IP bridge"
DEVICE = {"/3/0/0": MANUFACTURER, "/3/0/1": "Emulated device"}


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table. `faults` has a reason for each network on which the case is known to fail."""

    number: int
    title: str
    shows: str
    objects: tuple[int, ...]
    run: Callable[[Any], Awaitable[None]]
    faults: Mapping[str, str] = field(default_factory=dict)


CASES: dict[int, Case] = {}
_Run = Callable[[Ends], Awaitable[None]]


def case(number: int, title: str, shows: str, *objects: int, **faults: str) -> Callable[[_Run], _Run]:
    """Put a function into the table."""

    def add(run: _Run) -> _Run:
        assert number not in CASES
        CASES[number] = Case(number, title, shows, objects, run, faults)
        return run

    return add


def has(answer: Any, **values: Any) -> None:
    """Check that a Read was answered with these values among others: `r3_0_9=100`."""
    assert answer["code"] == "2.05", answer
    wanted = {f"/{name[1:].replace('_', '/')}": value for name, value in values.items()}
    assert wanted.items() <= answer["values"].items(), answer["values"]


# Registration


@case(101, "Initial registration", "2.01; name, lifetime, version and object list reach the server", 1, 3)
async def initial_registration(ends: Ends) -> None:
    client = await ends.registered()
    assert client["version"] == "1.1"
    assert client["lifetime"] > 0
    assert {"/1/0", "/3/0"} <= set(client["links"])
    assert not any(link.split("/")[1] in {"0", "21"} for link in client["links"])


@case(102, "Registration update", "a new lifetime causes an Update; a device that is silent expires", 1)
async def registration_update(ends: Ends) -> None:
    before, expired = len(await ends.seen("updated")), len(await ends.seen("expired"))
    assert (await ends.ask("write", "/1/0/1", value=20))["code"] == "2.04"
    await ends.more_seen("updated", before)
    assert (await ends.client())["lifetime"] == 20
    await ends.machine("crash")
    await ends.pass_time(40)
    await ends.more_seen("expired", expired)
    await ends.machine("restart")
    await ends.registered()
    assert (await ends.ask("write", "/1/0/1", value=ends.lifetime))["code"] == "2.04"


@case(103, "Deregistration", "Disable makes the device deregister; it comes back after the timeout", 1)
async def deregistration(ends: Ends) -> None:
    assert (await ends.ask("write", "/1/0/5", value=5))["code"] == "2.04"
    before = len(await ends.seen("deregistered"))
    assert (await ends.ask("execute", "/1/0/4"))["code"] == "2.04"
    await ends.more_seen("deregistered", before)
    await ends.pass_time(6)
    await ends.registered()


@case(104, "Registration update trigger", "executing the trigger causes an Update", 1)
async def registration_update_trigger(ends: Ends) -> None:
    before = await ends.seen("updated")
    assert (await ends.ask("execute", "/1/0/8"))["code"] == "2.04"
    await ends.more_seen("updated", len(before))


@case(105, "Update that the server refuses", "a server that forgot answers 4.04; the device registers again", 1)
async def discarded_update(ends: Ends) -> None:
    registered = len(await ends.seen("registered"))
    await ends.server.forget(ends.name)
    assert await ends.client() is None
    assert (await ends.act("update"))["code"] == "4.04"
    await ends.more_seen("registered", registered)
    await ends.registered()


@case(107, "Longer lifetime", "a lifetime of 120 s in place of 60 s reaches the server by Updates", 1)
async def longer_lifetime(ends: Ends) -> None:
    for lifetime in (60, 120, ends.lifetime):
        before = len(await ends.seen("updated"))
        assert (await ends.ask("write", "/1/0/1", value=lifetime))["code"] == "2.04"
        await ends.more_seen("updated", before)
        assert (await ends.client())["lifetime"] == lifetime


# Read and Write in each format


async def basic_information(ends: Ends, accept: str) -> None:
    """Read the Device object in one format."""
    answer = await ends.ask("read", "/3/0", accept=accept)
    has(answer, r3_0_0=MANUFACTURER, r3_0_1="Emulated device", r3_0_9=100)


async def server_settings(ends: Ends, content_format: str) -> None:
    """Write resources of the Server object in one format, and read them."""
    values = {"/1/0/2": 101, "/1/0/3": 1010, "/1/0/6": False}
    written = await ends.ask("write", "/1/0", values=values, format=content_format, replace=False)
    assert written["code"] == "2.04", written
    has(await ends.ask("read", "/1/0", accept=content_format), r1_0_2=101, r1_0_3=1010, r1_0_6=False)
    await usual_settings(ends)


async def usual_settings(ends: Ends) -> None:
    values = {"/1/0/2": 0, "/1/0/3": 0, "/1/0/6": True}
    assert (await ends.ask("write", "/1/0", values=values, replace=False))["code"] == "2.04"


async def single_settings(ends: Ends, content_format: str) -> None:
    """Write resources of the Server object one by one, in a format for single values."""
    for path, value in (("/1/0/2", 101), ("/1/0/3", 1010), ("/1/0/6", False)):
        assert (await ends.ask("write", path, value=value, format=content_format))["code"] == "2.04"
        answer = await ends.ask("read", path, accept=content_format)
        assert (answer["code"], answer["values"]) == ("2.05", {path: value})
    await usual_settings(ends)


async def single_information(ends: Ends, accept: str) -> None:
    for path, value in DEVICE.items():
        answer = await ends.ask("read", path, accept=accept)
        assert (answer["code"], answer["values"]) == ("2.05", {path: value})


@case(201, "Read in plain text", "manufacturer and model as text", 3)
async def read_text(ends: Ends) -> None:
    await single_information(ends, "text")


@case(203, "Read in TLV", "the Device object as TLV", 3)
async def read_tlv(ends: Ends) -> None:
    await basic_information(ends, "tlv")


@case(204, "Read in JSON", "the Device object in the JSON of LwM2M 1.0", 3)
async def read_json(ends: Ends) -> None:
    await basic_information(ends, "json")


@case(205, "Write in plain text", "resources of the Server object as text", 1)
async def write_text(ends: Ends) -> None:
    await single_settings(ends, "text")


@case(211, "Read in CBOR", "manufacturer and model as CBOR", 3)
async def read_cbor(ends: Ends) -> None:
    await single_information(ends, "cbor")


@case(212, "Write in CBOR", "resources of the Server object as CBOR", 1)
async def write_cbor(ends: Ends) -> None:
    await single_settings(ends, "cbor")


@case(215, "Write in TLV", "resources of the Server object as TLV", 1)
async def write_tlv(ends: Ends) -> None:
    await server_settings(ends, "tlv")


@case(220, "Write in JSON", "resources of the Server object in the JSON of LwM2M 1.0", 1)
async def write_json(ends: Ends) -> None:
    await server_settings(ends, "json")


@case(221, "Operations on the Security object", "Read, Write, Delete and Discover of object 0 are refused: 4.01", 0)
async def security_object(ends: Ends) -> None:
    for operation, path, body in (
        ("read", "/0/0", {}),
        ("write", "/0/0/0", {"value": "coap://192.0.2.1"}),
        ("delete", "/0/0", {}),
        ("discover", "/0", {}),
    ):
        answer = await ends.ask(operation, path, **body)
        assert answer["code"] == "4.01", (operation, answer)


@case(222, "Read of an object", "all instances of object 1", 1)
async def read_object(ends: Ends) -> None:
    has(await ends.ask("read", "/1", accept="senml_cbor"), r1_0_1=await ends.value("/1/0/1"))


@case(223, "Read of an object instance", "all resources of /1/0", 1)
async def read_instance(ends: Ends) -> None:
    has(await ends.ask("read", "/1/0", accept="senml_cbor"), r1_0_1=await ends.value("/1/0/1"))


@case(224, "Read of a resource", "one value of /1/0", 1)
async def read_resource(ends: Ends) -> None:
    answer = await ends.ask("read", "/1/0/1", accept="senml_cbor")
    assert answer["values"] == {"/1/0/1": await ends.value("/1/0/1")}


@case(225, "Read of a resource instance", "one value of a multiple resource", 3)
async def read_resource_instance(ends: Ends) -> None:
    answer = await ends.ask("read", "/3/0/7/0", accept="senml_cbor")
    assert (answer["code"], answer["values"]) == ("2.05", {"/3/0/7/0": 3600})


@case(226, "Partial update of an object instance", "what is written changes, the rest stays", 1)
async def partial_update(ends: Ends) -> None:
    before = (await ends.ask("read", "/1/0"))["values"]
    assert (await ends.ask("write", "/1/0", values={"/1/0/5": 86000}, replace=False))["code"] == "2.04"
    assert (await ends.ask("read", "/1/0"))["values"] == {**before, "/1/0/5": 86000}


@case(227, "Write of a resource", "the value is replaced", 1)
async def replace_resource(ends: Ends) -> None:
    for value in (7000, 86400):
        assert (await ends.ask("write", "/1/0/5", value=value, format="senml_cbor"))["code"] == "2.04"
        assert await ends.value("/1/0/5") == value


@case(228, "Write of a resource instance", "one value of a multiple resource changes, the other stays", 3442)
async def write_resource_instance(ends: Ends) -> None:
    first = (await ends.ask("read", "/3442/0/1120/0", accept="senml_cbor"))["values"]
    assert (await ends.ask("write", "/3442/0/1120/7", value=77, format="senml_cbor"))["code"] == "2.04"
    answer = await ends.ask("read", "/3442/0/1120", accept="senml_cbor")
    assert answer["values"] == {**first, "/3442/0/1120/7": 77}
    assert (await ends.ask("execute", "/3442/0/0"))["code"] == "2.04"  # the usual values again


@case(229, "Read-Composite", "resources of several objects by one message", 1, 3)
async def read_composite(ends: Ends) -> None:
    answer = await ends.ask("read_composite", paths=["/3/0/0", "/3/0/9", "/1/0/1"])
    assert answer["values"] == {"/3/0/0": MANUFACTURER, "/3/0/9": 100, "/1/0/1": await ends.value("/1/0/1")}


@case(230, "Write-Composite", "resources of several objects by one message", 1, 3)
async def write_composite(ends: Ends) -> None:
    answer = await ends.ask("write_composite", values={"/1/0/5": 5000, "/3/0/14": "+05:00"})
    assert answer["code"] == "2.04", answer
    assert (await ends.value("/1/0/5"), await ends.value("/3/0/14")) == (5000, "+05:00")


@case(231, "Read in SenML JSON", "the Device object as SenML JSON", 3)
async def read_senml_json(ends: Ends) -> None:
    await basic_information(ends, "senml_json")


@case(232, "Read in SenML CBOR", "the Device object as SenML CBOR", 3)
async def read_senml_cbor(ends: Ends) -> None:
    await basic_information(ends, "senml_cbor")


@case(233, "Write in SenML CBOR", "resources of the Server object as SenML CBOR", 1)
async def write_senml_cbor(ends: Ends) -> None:
    await server_settings(ends, "senml_cbor")


@case(234, "Write in SenML JSON", "resources of the Server object as SenML JSON", 1)
async def write_senml_json(ends: Ends) -> None:
    await server_settings(ends, "senml_json")


@case(235, "Read-Composite of the root", "everything that the server may read, by one message", 1, 3)
async def read_root(ends: Ends) -> None:
    answer = await ends.ask("read_composite", paths=["/"])
    has(answer, r3_0_0=MANUFACTURER, r1_0_1=await ends.value("/1/0/1"))
    assert not any(path.startswith("/0/") for path in answer["values"])


@case(236, "Read-Composite, partly absent", "what is there is answered, what is not is left out", 1, 3)
async def read_partly_absent(ends: Ends) -> None:
    answer = await ends.ask("read_composite", paths=["/3/0/0", "/3/0/4711", "/3303/9/5700"])
    assert (answer["code"], answer["values"]) == ("2.05", {"/3/0/0": MANUFACTURER})


@case(237, "Read without Accept", "the device chooses the format", 3)
async def read_without_accept(ends: Ends) -> None:
    answer = await ends.ask("read", "/3/0")
    assert answer["content_format"] is not None
    has(answer, r3_0_0=MANUFACTURER)


# Execute, refusals, Discover


@case(241, "Reboot", "Execute is answered; the device starts again and registers anew", 3)
async def reboot(ends: Ends) -> None:
    before = len(await ends.seen("registered"))
    assert (await ends.ask("execute", "/3/0/4"))["code"] == "2.04"
    await ends.more_seen("registered", before)
    await ends.registered()


@case(256, "Write that is not allowed", "a resource that can only be read: 4.05, unchanged", 3)
async def write_refused(ends: Ends) -> None:
    assert (await ends.ask("write", "/3/0/0", value="somebody else"))["code"] == "4.05"
    assert await ends.value("/3/0/0") == MANUFACTURER


@case(257, "Write-Composite of several types", "values of several data types by one message", 3442)
async def write_composite_types(ends: Ends) -> None:
    values = {"/3442/0/110": "text", "/3442/0/120": -5, "/3442/0/130": 0.5, "/3442/0/140": True}
    assert (await ends.ask("write_composite", values=values))["code"] == "2.04"
    assert {path: await ends.value(path) for path in values} == values


@case(260, "Discover", "resources and attributes of an object, an instance and a resource", 3)
async def discover(ends: Ends) -> None:
    assert (await ends.ask("write_attributes", "/3/0/9", attributes={"pmin": 10, "pmax": 60}))["code"] == "2.04"
    for path in ("/3", "/3/0", "/3/0/9"):
        links = (await ends.ask("discover", path))["links"]
        assert {name: links["/3/0/9"][name] for name in ("pmin", "pmax")} == {"pmin": "10", "pmax": "60"}, path
    assert (await ends.ask("write_attributes", "/3/0/9", attributes={"pmin": None, "pmax": None}))["code"] == "2.04"


@case(261, "Write-Attributes on a multiple resource", "Discover shows the attributes, and how many values there are", 3)
async def attributes_of_multiple(ends: Ends) -> None:
    assert (await ends.ask("write_attributes", "/3/0/7", attributes={"pmin": 10, "pmax": 200}))["code"] == "2.04"
    links = (await ends.ask("discover", "/3/0/7"))["links"]
    shown = links["/3/0/7"]
    assert (shown["pmin"], shown["pmax"], shown["dim"]) == ("10", "200", "1")
    assert (await ends.ask("write_attributes", "/3/0/7", attributes={"pmin": None, "pmax": None}))["code"] == "2.04"


# Observe and Send


@case(301, "Observe", "notifications at pmax without a change, and of a change", 3303)
async def observe(ends: Ends) -> None:
    path = "/3303/0/5700"
    assert (await ends.ask("write_attributes", path, attributes={"pmin": 5, "pmax": 60}))["code"] == "2.04"
    first = await ends.ask("observe", path)
    before = len(await ends.notified())
    await ends.pass_time(61)

    async def more() -> bool:
        return len(await ends.notified()) > before

    await ends.until(more, "nothing was notified at pmax")
    assert list((await ends.notified())[-1].values()) == list(first["values"].values())
    await ends.set_value(path, 31.5)
    await ends.pass_time(6)
    await ends.notification(r3303_0_5700=31.5)
    await ends.ask("cancel", path)
    assert (await ends.ask("write_attributes", path, attributes={"pmin": None, "pmax": None}))["code"] == "2.04"


@case(302, "Cancel by Reset", "a server that forgot resets a notification; the device ends the observation", 3303)
async def cancel_by_reset(ends: Ends) -> None:
    path = "/3303/0/5700"
    await ends.ask("observe", path)
    await ends.ask("forget", path)
    before = len(await ends.seen("rst sent"))
    await ends.set_value(path, 41.5)
    await ends.more_seen("rst sent", before)
    await ends.set_value(path, 42.5)  # the bridge resets this one at the device

    async def ended() -> bool:
        return await ends.observed() == []

    await ends.until(ended, "the device still observes")


@case(303, "Cancel by Observe", "Observe with 1 ends the observation", 3303)
async def cancel_by_observe(ends: Ends) -> None:
    assert (await ends.ask("observe", "/3303/0/5700"))["code"] == "2.05"
    assert (await ends.ask("cancel", "/3303/0/5700"))["code"] == "2.05"
    assert await ends.observed() == []


@case(304, "Observe-Composite", "one notification with the values of several objects", 3, 3303)
async def observe_composite(ends: Ends) -> None:
    paths = ["/3303/0/5700", "/3/0/9"]
    assert set((await ends.ask("observe_composite", paths=paths))["values"]) == set(paths)
    await ends.set_value("/3303/0/5700", 51.5)
    await ends.notification(r3303_0_5700=51.5, r3_0_9=100)
    await ends.ask("cancel", paths=paths)


@case(305, "Cancel of Observe-Composite", "Observe with 1 ends the observation", 3, 3303)
async def cancel_composite(ends: Ends) -> None:
    paths = ["/3303/0/5700", "/3/0/9"]
    assert (await ends.ask("observe_composite", paths=paths))["code"] == "2.05"
    assert (await ends.ask("cancel", paths=paths))["code"] == "2.05"
    assert await ends.observed() == []


@case(306, "Send", "the device reports values that nobody observes", 3, 3303)
async def send(ends: Ends) -> None:
    answer = await ends.act("send", paths=["/3/0/9", "/3303/0/5700"])
    assert answer["code"] == "2.04"
    assert (await ends.sends())[-1] == {"/3/0/9": 100, "/3303/0/5700": await ends.value("/3303/0/5700")}


@case(307, "Muted Send", "the server mutes Send, and allows it again", 1, 3)
async def muted_send(ends: Ends) -> None:
    assert (await ends.ask("write", "/1/0/23", value=True))["code"] == "2.04"
    before = len(await ends.sends())
    with pytest.raises(ApiError, match="muted"):
        await ends.act("send", paths=["/3/0/9"])
    assert len(await ends.sends()) == before
    assert (await ends.ask("write", "/1/0/23", value=False))["code"] == "2.04"
    assert (await ends.act("send", paths=["/3/0/9"]))["code"] == "2.04"
    assert len(await ends.sends()) == before + 1


@case(308, "Observe-Composite, and an instance is created", "the new instance is notified", 3303)
async def composite_and_create(ends: Ends) -> None:
    paths = ["/3303", "/3/0/9"]
    await ends.ask("observe_composite", paths=paths)
    made = await ends.ask("create", "/3303", values={"/3303/1/5750": "cellar"})
    assert made["code"] == "2.01"
    await ends.notification(r3303_1_5750="cellar")
    await ends.ask("cancel", paths=paths)
    await ends.ask("delete", "/3303/1")


@case(309, "Observe-Composite, and an instance is deleted", "the notification no longer has the instance", 3303)
async def composite_and_delete(ends: Ends) -> None:
    paths = ["/3303", "/3/0/9"]
    await ends.ask("create", "/3303", values={"/3303/1/5750": "attic"})
    first = await ends.ask("observe_composite", paths=paths)
    assert first["values"]["/3303/1/5750"] == "attic"
    assert (await ends.ask("delete", "/3303/1"))["code"] == "2.02"

    async def without() -> bool:
        notified = await ends.notified()
        return bool(notified) and not any(path.startswith("/3303/1") for path in notified[-1])

    await ends.until(without, "no notification without the instance")
    await ends.ask("cancel", paths=paths)


@case(310, "Observe-Composite, and values change", "each change is notified", 3, 3303)
async def composite_and_changes(ends: Ends) -> None:
    paths = ["/3303/0/5700", "/3/0/9"]
    await ends.ask("observe_composite", paths=paths)
    await ends.set_value("/3303/0/5700", 61.5)
    await ends.notification(r3303_0_5700=61.5)
    await ends.set_value("/3/0/9", 80)
    await ends.notification(r3303_0_5700=61.5, r3_0_9=80)
    await ends.ask("cancel", paths=paths)
    await ends.set_value("/3/0/9", 100)


@case(311, "Send in SenML JSON", "the device reports in the other format that the enabler knows for Send", 1, 3)
async def send_senml_json(ends: Ends) -> None:
    answer = await ends.act("send", paths=["/3/0/0", "/1/0/1"], format="senml_json")
    assert answer["code"] == "2.04"
    assert (await ends.sends())[-1] == {"/3/0/0": MANUFACTURER, "/1/0/1": await ends.value("/1/0/1")}


# Firmware


async def push_firmware(ends: Ends, version: str) -> None:
    """Push a package of 2 KiB by blocks, and install it."""
    package = base64.b64encode(firmware(version, 2048)).decode()
    registered = len(await ends.seen("registered"))
    assert (await ends.ask("write", "/5/0/0", payload=package))["code"] == "2.04"
    assert (await ends.ask("read", "/5/0/3"))["values"] == {"/5/0/3": 2}
    assert (await ends.ask("execute", "/5/0/2"))["code"] == "2.04"
    await ends.pass_time(10)
    await ends.more_seen("registered", registered)
    await ends.registered()
    has(await ends.ask("read", "/5/0"), r5_0_3=0, r5_0_5=1)


@case(755, "Firmware pushed", "2 KiB by blocks; installed: state 0, result 1", 5)
async def firmware_pushed(ends: Ends) -> None:
    await push_firmware(ends, "2.0")


@case(756, "Firmware pulled", "refused: Delivery Method is push only, a URI ends with Update Result 9", 5)
async def firmware_pulled(ends: Ends) -> None:
    assert (await ends.ask("read", "/5/0/9"))["values"] == {"/5/0/9": 1}
    assert (await ends.ask("write", "/5/0/1", value="coap://192.0.2.1/firmware"))["code"] == "2.04"
    assert (await ends.ask("read", "/5/0/5"))["values"] == {"/5/0/5": 9}
    assert (await ends.ask("write", "/5/0/1", value=""))["code"] == "2.04"


@case(770, "Firmware pushed, version reported", "2 KiB by blocks; after the restart /3/0/3 is the new version", 3, 5)
async def firmware_version(ends: Ends) -> None:
    await push_firmware(ends, "3.0")
    assert (await ends.ask("read", "/3/0/3"))["values"] == {"/3/0/3": "3.0"}


@case(771, "Firmware pulled, another URI", "refused as in 756: the new URI too ends with Update Result 9", 5)
async def firmware_pulled_again(ends: Ends) -> None:
    assert (await ends.ask("write", "/5/0/1", value="coaps://192.0.2.1/firmware"))["code"] == "2.04"
    assert (await ends.ask("read", "/5/0/5"))["values"] == {"/5/0/5": 9}
    assert (await ends.ask("write", "/5/0/1", value=""))["code"] == "2.04"
