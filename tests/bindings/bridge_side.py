"""The bridge's side of the contract, for tests of a binding: it keeps what it is told, and fails when it shall."""

import asyncio
import time
from collections import Counter

from bindings.contract import MISS, Provisioned, UplinkMessage
from bridge.errors import DirectoryError, NotServedHere, StoreUnavailable, UnknownDevice


class DictMemory:
    """Memory of the contract, in a dict; `fails` makes the next puts fail, `forgets` leaves nothing in memory."""

    def __init__(self):
        self.notes = {}
        self.devices = {}
        self.fails = False
        self.forgets = False
        self.is_shared = False
        self.node = ""

    def cached(self, key):
        return MISS if self.forgets else self.notes.get(key, MISS)

    def load(self, key):
        async def read():
            return self.notes.get(key)

        return asyncio.ensure_future(read())

    load_with_endpoint = fresh = load

    def held(self, key):
        return self.notes.get(key)

    async def items(self, prefix):
        for key, value in list(self.notes.items()):
            if key.startswith(prefix):
                yield key, value

    async def put(self, key, value, device=""):
        await asyncio.sleep(0)
        if self.fails:
            raise StoreUnavailable("disk full")
        if value is None:
            owner = self.devices.get(key, device)  # of a note that the test itself wrote, none is known
            assert device == owner, f"{key} of {owner!r} is removed without its device: a former node could do that"
            self.notes.pop(key, None)
            self.devices.pop(key, None)
        else:
            self.notes[key] = value
            self.devices[key] = device


class BridgeSide:
    """Events of the contract: keeps what is delivered; its clock can be moved."""

    def __init__(self, *strangers):
        self.delivered = []
        self.provisioning = {}  # device → words about its provisioning, in order
        self.counts = Counter()
        self.offset = 0.0
        self.store_fails = False
        self.strangers = set(strangers)
        self.elsewhere = {}  # devices that another node serves, and their shards
        self.gate = None
        self.added = {}  # device to name and options

    def deliver(self, event):
        if isinstance(event, Provisioned):
            self.provisioning.setdefault(event.device, []).append(event)
            done = asyncio.get_running_loop().create_future()
            done.set_result(None)
            return done
        return asyncio.ensure_future(self._commit(event))

    async def _commit(self, event):
        if event.device in self.strangers:
            raise UnknownDevice(f"{event.device} is not in the directory")
        await self.check_served(event.device)
        if self.gate is not None:
            await self.gate.wait()
        if self.store_fails:
            raise StoreUnavailable("disk full")
        self.delivered.append(event)

    async def check_served(self, device):
        if device in self.elsewhere:
            raise NotServedHere(f"another node serves {device}", self.elsewhere[device])

    async def add_endpoint(self, device, name, options):
        if device in self.added:
            return False
        if name in {taken for taken, _ in self.added.values()}:
            raise DirectoryError(f"the name {name!r} is another endpoint's")
        self.added[device] = (name, dict(options))
        return True

    async def has_taken(self, uplink, within):
        messages = (one for one in self.delivered if isinstance(one, UplinkMessage) and one.device == uplink.device)
        taken = [one for one in messages if not _is_empty(one.payload)]
        return any(
            one.duplicate_key == uplink.duplicate_key
            or (one.payload == uplink.payload and abs(uplink.received_at - one.received_at) <= within)
            for one in taken
        )

    def now(self):
        return time.time() + self.offset

    def count(self, name, **labels):
        self.counts[name] += 1

    def of(self, kind):
        return [event for event in self.delivered if isinstance(event, kind)]


def _is_empty(payload):
    """Return whether a message is an Empty one of CoAP (RFC 7252 §4.1): the ledger has no row of such."""
    return len(payload) == 4 and payload[1] == 0
