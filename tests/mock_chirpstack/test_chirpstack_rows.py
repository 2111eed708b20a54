"""Tenants, applications, profiles, devices and gateways are made, read, changed and deleted as ChirpStack 4.20 does it.

Statuses, cascades and limits: its chirpstack/src/storage, and `references … on delete cascade` in its migrations.
"""

import uuid
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from chirpstack_api import api
from mock_chirpstack_kit import DEV_EUI, GATEWAYS, Stubs

from mock_network.chirpstack.model import Settings

NOBODY = str(uuid.UUID(int=1))
NO_EUI = "ffffffffffffffff"
INVALID, MISSING, INTERNAL, EXISTS = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.ALREADY_EXISTS,
)


@dataclass(frozen=True)
class Kind:
    """How the API names one kind; `parents` are its columns that name rows of other kinds."""

    service: str
    message: type
    word: str
    key: str = "id"
    parents: tuple[str, ...] = ("tenant_id",)


KINDS = [
    Kind("tenant", api.Tenant, "Tenant", parents=()),
    Kind("application", api.Application, "Application"),
    Kind("profile", api.DeviceProfile, "DeviceProfile"),
    Kind("gateway", api.Gateway, "Gateway", key="gateway_id"),
    Kind("device", api.Device, "Device", key="dev_eui", parents=("application_id", "device_profile_id")),
]
TENANT, APPLICATION, PROFILE, GATEWAY, DEVICE = KINDS
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.service)


class Caller:
    """Calls the API and gives the answer, or the status of a refusal."""

    def __init__(self, stubs: Stubs) -> None:
        self._stubs = stubs

    async def __call__(self, kind: Kind, method: str, **values: Any) -> Any:
        word = f"{kind.word}s" if method == "List" else kind.word
        request = getattr(api, f"{method}{word}Request")(**values)
        try:
            return await getattr(getattr(self._stubs, kind.service), method)(request, metadata=self._stubs.auth)
        except grpc.aio.AioRpcError as error:
            return error.code()

    async def create(self, kind: Kind, message: Any) -> Any:
        """Create a row and return its key, or the status of a refusal."""
        answer = await self(kind, "Create", **{field(kind): message})
        if isinstance(answer, grpc.StatusCode):
            return answer
        return answer.id if kind.key == "id" else getattr(message, kind.key)

    async def get(self, kind: Kind, key: str) -> Any:
        answer = await self(kind, "Get", **{kind.key: key})
        return answer if isinstance(answer, grpc.StatusCode) else getattr(answer, field(kind))

    async def update(self, kind: Kind, message: Any) -> Any:
        return await self(kind, "Update", **{field(kind): message})

    async def delete(self, kind: Kind, key: str) -> Any:
        return await self(kind, "Delete", **{kind.key: key})


def field(kind: Kind) -> str:
    return {"DeviceProfile": "device_profile"}.get(kind.word, kind.word.lower())


class House(Caller):
    """One row of each kind, below one tenant."""

    def __init__(self, stubs: Stubs) -> None:
        super().__init__(stubs)
        self.keys: dict[str, str] = {}

    def message(self, kind: Kind, **values: Any) -> Any:
        """Make a message of a kind whose parents are there."""
        return kind.message(**({"name": "n"} | {column: self.keys[column] for column in kind.parents} | values))

    async def furnish(self, **tenant: Any) -> "House":
        message = api.Tenant(**({"name": "n", "can_have_gateways": True} | tenant))
        self.keys["tenant_id"] = await self.create(TENANT, message)
        self.keys["application_id"] = await self.create(APPLICATION, self.message(APPLICATION))
        self.keys["device_profile_id"] = await self.create(PROFILE, self.message(PROFILE))
        self.keys["gateway_id"] = await self.create(GATEWAY, self.message(GATEWAY, gateway_id=GATEWAYS[0]))
        self.keys["dev_eui"] = await self.create(DEVICE, self.message(DEVICE, dev_eui=DEV_EUI))
        return self

    def key(self, kind: Kind) -> str:
        return self.keys[kind.key if kind.key != "id" else f"{field(kind)}_id"]

    async def present(self) -> set[str]:
        return {kind.service for kind in KINDS if await self.get(kind, self.key(kind)) is not MISSING}


@pytest.fixture
async def house(serve):
    _, stubs = await serve()
    return await House(stubs).furnish()


@every_kind
async def test_a_row_is_read_back_changed_and_deleted(house, kind):
    key = house.key(kind)
    assert (await house.get(kind, key)).name == "n"
    changed = house.message(kind, name="m", **{kind.key: key})
    await house.update(kind, changed)
    read = await house.get(kind, key)
    assert (read.name, getattr(read, kind.key)) == ("m", key)
    assert all(getattr(read, column) == house.keys[column] for column in kind.parents)
    await house.delete(kind, key)
    assert await house.get(kind, key) is MISSING
    assert await house.delete(kind, key) is MISSING


@every_kind
async def test_what_is_not_there_is_not_found(house, kind):
    nobody = NOBODY if kind.key == "id" else NO_EUI
    assert await house.get(kind, nobody) is MISSING
    assert await house.update(kind, house.message(kind, **{kind.key: nobody})) is MISSING
    assert await house.delete(kind, nobody) is MISSING


@every_kind
async def test_a_request_without_its_message_and_a_key_that_is_none_are_refused(house, kind):
    assert await house(kind, "Create") is INVALID
    assert await house(kind, "Update") is INVALID
    garbled = INVALID if kind.key == "id" else INTERNAL
    assert await house.get(kind, "no key") is garbled
    assert await house.delete(kind, "no key") is garbled


@every_kind
async def test_a_name_must_be_set_but_for_a_new_device(house, kind):
    fresh = {} if kind.key == "id" else {kind.key: NO_EUI}
    made = await house.create(kind, house.message(kind, name="", **fresh))
    assert (made is INVALID) is (kind is not DEVICE)
    nameless = house.message(kind, name="", **{kind.key: house.key(kind)})
    assert await house.update(kind, nameless) is INVALID
    stranger = house.message(kind, name="", **{kind.key: NOBODY if kind.key == "id" else "fffffffffffffffe"})
    assert await house.update(kind, stranger) is INVALID  # validated before it is looked for


@pytest.mark.parametrize(
    ("kind", "column", "status"),
    [
        (APPLICATION, "tenant_id", INTERNAL),
        (PROFILE, "tenant_id", INTERNAL),
        (GATEWAY, "tenant_id", MISSING),  # the tenant is read first, for its limits
        (DEVICE, "application_id", INTERNAL),  # so it is here, but nobody says which row was missing
        (DEVICE, "device_profile_id", INTERNAL),
    ],
)
async def test_a_parent_that_is_not_there_is_refused(house, kind, column, status):
    fresh = {} if kind.key == "id" else {kind.key: NO_EUI}
    assert await house.create(kind, house.message(kind, **fresh, **{column: NOBODY})) is status
    assert await house.create(kind, house.message(kind, **fresh, **{column: "no uuid"})) is INVALID


@pytest.mark.parametrize("kind", [APPLICATION, PROFILE, GATEWAY], ids=lambda kind: kind.service)
async def test_a_row_stays_with_its_tenant(house, kind):
    moved = house.message(kind, name="m", tenant_id=NOBODY, **{kind.key: house.key(kind)})
    await house.update(kind, moved)
    read = await house.get(kind, house.key(kind))
    assert (read.name, read.tenant_id) == ("m", house.keys["tenant_id"])


async def test_a_device_moves_to_an_application_and_a_profile_that_are_there(house):
    other = await house.create(APPLICATION, house.message(APPLICATION, name="other"))
    profile = await house.create(PROFILE, house.message(PROFILE, name="other"))
    moved = house.message(DEVICE, dev_eui=DEV_EUI, application_id=other, device_profile_id=profile)
    await house.update(DEVICE, moved)
    read = await house.get(DEVICE, DEV_EUI)
    assert (read.application_id, read.device_profile_id) == (other, profile)
    for column in DEVICE.parents:
        nowhere = house.message(DEVICE, dev_eui=DEV_EUI, **{column: NOBODY})
        assert await house.update(DEVICE, nowhere) is INTERNAL


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        (TENANT, set()),
        (APPLICATION, {"tenant", "profile", "gateway"}),
        (PROFILE, {"tenant", "application", "gateway"}),
        (GATEWAY, {"tenant", "application", "profile", "device"}),
        (DEVICE, {"tenant", "application", "profile", "gateway"}),
    ],
    ids=lambda value: value.service if isinstance(value, Kind) else "",
)
async def test_what_belongs_to_a_deleted_row_goes_with_it(house, kind, left):
    await house.delete(kind, house.key(kind))
    assert await house.present() == left


@pytest.mark.parametrize(("already_exists", "status"), [(False, INTERNAL), (True, EXISTS)])
@pytest.mark.parametrize("kind", [GATEWAY, DEVICE], ids=lambda kind: kind.service)
async def test_a_second_row_under_the_same_key_is_refused(serve, kind, already_exists, status):
    _, stubs = await serve(settings=Settings(duplicates_already_exist=already_exists))
    house = await House(stubs).furnish()
    assert await house.create(kind, house.message(kind, **{kind.key: house.key(kind).upper()})) is status


async def test_a_tenants_limits_hold(serve):
    _, stubs = await serve()
    house = await House(stubs).furnish(max_device_count=1, max_gateway_count=1)
    assert await house.create(DEVICE, house.message(DEVICE, dev_eui=NO_EUI)) is INVALID
    assert await house.create(GATEWAY, house.message(GATEWAY, gateway_id=NO_EUI)) is INVALID
    other = await House(stubs).furnish(can_have_gateways=False)
    assert other.keys["gateway_id"] is INVALID


@every_kind
async def test_a_list_is_sorted_by_name_searched_by_name_and_given_page_by_page(house, kind):
    for number, name in enumerate(("Zebra", "apple")):
        fresh = {} if kind.key == "id" else {kind.key: f"00000000000000f{number}"}
        await house.create(kind, house.message(kind, name=name, **fresh))
    below = {} if kind is TENANT else {kind.parents[0]: house.keys[kind.parents[0]]}
    counted = await house(kind, "List", **below)
    assert (counted.total_count, len(counted.result)) == (3, 0)
    whole = await house(kind, "List", limit=10, **below)
    assert [item.name for item in whole.result] == sorted(("Zebra", "apple", "n"))
    second = await house(kind, "List", limit=1, offset=1, **below)
    assert (second.total_count, [item.name for item in second.result]) == (3, [whole.result[1].name])
    found = await house(kind, "List", limit=10, search="ZEB", **below)
    assert [item.name for item in found.result] == ["Zebra"]
    by_key = await house(kind, "List", limit=10, search=house.key(kind), **below)
    assert by_key.total_count == 0


async def test_a_list_shows_of_a_row_what_its_message_has(house):
    profile = house.message(PROFILE, name="C", id=house.key(PROFILE), supports_class_c=True)
    await house.update(PROFILE, profile)
    (item,) = (await house(PROFILE, "List", limit=1, tenant_id=house.keys["tenant_id"])).result
    assert (item.id, item.name, item.supports_class_c) == (house.key(PROFILE), "C", True)
    await house.update(DEVICE, house.message(DEVICE, dev_eui=DEV_EUI, tags={"a": "b"}, description="text"))
    (item,) = (await house(DEVICE, "List", limit=1, application_id=house.keys["application_id"])).result
    assert (item.dev_eui, dict(item.tags), item.description) == (DEV_EUI, {"a": "b"}, "text")
    assert (item.device_profile_id, item.device_profile_name) == (house.key(PROFILE), "C")
    assert item.created_at.seconds <= item.updated_at.seconds != 0
