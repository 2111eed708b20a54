"""Secrets in the store are encrypted under a key that is not in it, in every kind of store."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from bindings.generated_values import secret_path
from bridge.config import parse
from bridge.errors import ConfigurationError
from bridge.service.sealing import sealed
from bridge.store.contract import Store
from bridge.store.outbox import Outbox, Webhook
from bridge.store.sealing import Seal, read_key

KEYS = [bytes([number]) * 32 for number in range(3)]
SECRET = b"planted secret of a webhook"
HOOK = Webhook(0, "https://one.example/", SECRET, (), "", 100.0, 0)
NETWORK = "lab"

Open = Callable[..., Awaitable[tuple[Store, Outbox]]]


@pytest.fixture
def opened(stores: Any, tmp_path: Path) -> Open:
    """Open the store as the service does, with these settings."""

    async def open_(**service: str) -> tuple[Store, Outbox]:
        lines = "\n".join(f'{name} = "{value}"' for name, value in service.items())
        network = f'[networks.{NETWORK}]\nbinding = "nidd"\napi_root = "http://127.0.0.1:9"\nscs_as_id = "a"\n'
        config = parse(f"[service]\n{lines}\n{network}", "bridge.toml", tmp_path)
        store = await stores.open()
        try:
            return store, await sealed(store, config)
        except BaseException:
            await store.close()
            raise

    return open_


async def what_is_stored(store: Store) -> bytes:
    """Return everything that the store keeps of secrets, as it is on disk."""
    ((_, path),) = await store.memories.table.table.page(NETWORK, "", None, 9)  # type: ignore[attr-defined]
    (hook,) = await store.outbox.webhooks()
    return path + hook.secret


async def fill(store: Store, outbox: Outbox) -> tuple[Webhook, str]:
    return await outbox.add_webhook(HOOK), await secret_path(store.memories.of(NETWORK), "")


async def secrets_of(store: Store, outbox: Outbox) -> tuple[list[Webhook], str]:
    return await outbox.webhooks(), await secret_path(store.memories.of(NETWORK), "")


async def test_secrets_are_stored_encrypted_and_found_again_after_a_restart(opened: Open) -> None:
    store, outbox = await opened(store_key=KEYS[0].hex())
    hook, path = await fill(store, outbox)
    assert hook.secret == SECRET
    stored = await what_is_stored(store)
    assert SECRET not in stored
    assert path.encode() not in stored
    await store.close()
    store, outbox = await opened(store_key=KEYS[0].hex())
    assert await secrets_of(store, outbox) == ([hook], path)
    await store.close()


async def test_what_was_kept_in_the_clear_is_encrypted_at_the_first_start_with_a_key(opened: Open) -> None:
    store, outbox = await opened()
    hook, path = await fill(store, outbox)
    assert SECRET in await what_is_stored(store)
    await store.close()
    store, outbox = await opened(store_key=KEYS[0].hex())
    stored = await what_is_stored(store)
    assert SECRET not in stored
    assert path.encode() not in stored
    assert await secrets_of(store, outbox) == ([hook], path)
    await store.close()


async def test_a_new_key_takes_over_with_the_former_one_beside_it_and_then_alone(opened: Open) -> None:
    store, outbox = await opened(store_key=KEYS[0].hex())
    hook, path = await fill(store, outbox)
    await store.close()
    store, outbox = await opened(store_key=KEYS[1].hex(), former_store_key=KEYS[0].hex())
    await store.close()
    store, outbox = await opened(store_key=KEYS[1].hex())
    assert await secrets_of(store, outbox) == ([hook], path)
    await store.close()
    store, outbox = await opened(former_store_key=KEYS[1].hex())  # encryption is given up
    assert SECRET in await what_is_stored(store)
    await store.close()


@pytest.mark.parametrize("settings", [{}, {"store_key": KEYS[1].hex()}])
async def test_another_key_or_none_is_refused_at_the_start_with_the_ids_and_the_cure(
    opened: Open, settings: dict[str, str]
) -> None:
    store, outbox = await opened(store_key=KEYS[0].hex())
    await fill(store, outbox)
    await store.close()
    with pytest.raises(ConfigurationError, match=r"encrypted under the key with id [0-9a-f]{16}.*former_store_key"):
        await opened(**settings)


async def test_a_secret_that_was_moved_to_another_webhook_is_refused(opened: Open) -> None:
    store, outbox = await opened(store_key=KEYS[0].hex())
    await outbox.add_webhook(HOOK)
    other = await outbox.add_webhook(Webhook(0, "https://two.example/", b"other", (), "", 100.0, 0))
    (first, _) = await store.outbox.webhooks()
    await store.outbox.set_secret(other.id, first.secret)
    with pytest.raises(ConfigurationError, match="was changed since it was encrypted, or was moved"):
        await outbox.webhooks()
    await store.close()


async def test_what_becomes_of_a_webhook_leaves_its_secret_encrypted(opened: Open) -> None:
    store, outbox = await opened(store_key=KEYS[0].hex())
    hook = await outbox.add_webhook(HOOK)
    await outbox.keep_webhook(hook)
    assert SECRET not in (await store.outbox.webhooks())[0].secret
    assert await outbox.webhooks() == [hook]
    await store.close()


@given(secret=st.binary(max_size=200), at=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(max_examples=50, deadline=None)
def test_no_bit_of_a_sealed_secret_can_be_changed(secret: bytes, at: int, bit: int) -> None:
    seal = Seal(KEYS[0])
    stored = bytearray(seal.seal(secret, "webhook:a"))
    assert seal.open(bytes(stored), "webhook:a") == secret
    stored[at % len(stored)] ^= 1 << bit
    try:
        assert seal.open(bytes(stored), "webhook:a") == bytes(stored)  # no longer looks sealed
    except ConfigurationError:
        pass
    else:
        assert at % len(stored) < len(b"\0sealed1")


@pytest.mark.parametrize("text", ["", "00", "x" * 64, "0" * 63, "file:x"])
def test_a_key_is_32_bytes_in_hexadecimal_and_never_shown(text: str) -> None:
    with pytest.raises(ConfigurationError, match="64 hexadecimal digits") as refused:
        read_key(text, "[service] store_key")
    assert not text or text not in str(refused.value)
