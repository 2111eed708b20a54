"""A device's downlink queue: first in, first out by creation, one pending confirmed item, no length limit."""

from uuid import UUID

from .errors import Refused, Status, invalid
from .model import QueueItem
from .tables import Tables

MAX_F_PORT = 255
U8 = 0xFF


def enqueue(
    tables: Tables,
    *,
    identifier: UUID | None,
    dev_eui: bytes,
    f_port: int,
    confirmed: bool,
    data: bytes,
    now: float,
    expires_at: float | None = None,
    is_encrypted: bool = False,
    f_cnt_down: int | None = None,
) -> QueueItem:
    """Add an item. `f_port` is cut to 8 bits before the 1-255 check, as the server does: 257 becomes 1.

    Neither size nor activation is checked. Raises `Refused` for FPort 0, an unknown device or an id still in the queue.
    """
    f_port &= U8
    if f_port == 0:
        raise invalid(f"FPort must be between 1 - {MAX_F_PORT}")
    identifier = identifier or tables.new_id()
    if identifier in tables.queue:
        text = 'duplicate key value violates unique constraint "device_queue_item_pkey"'
        raise Refused(Status.INTERNAL, text)
    if dev_eui not in tables.devices.rows:
        text = 'insert or update on table "device_queue_item" violates foreign key constraint'
        raise Refused(Status.INTERNAL, text)
    item = QueueItem(
        id=identifier,
        dev_eui=dev_eui,
        created_at=now,
        f_port=f_port,
        confirmed=confirmed,
        data=data,
        is_encrypted=is_encrypted,
        f_cnt_down=f_cnt_down if is_encrypted else None,
        expires_at=expires_at,
    )
    tables.add_item(item)
    return item


def items(tables: Tables, dev_eui: bytes) -> list[QueueItem]:
    """Return the device's items, oldest first."""
    return tables.queued(dev_eui)


def following(tables: Tables, dev_eui: bytes, now: float) -> tuple[QueueItem, bool] | None:
    """Return the oldest item and whether more wait behind it; None if none may go now."""
    waiting = items(tables, dev_eui)
    if not waiting:
        return None
    head = waiting[0]
    if head.is_pending and head.timeout_after is not None and head.timeout_after > now:
        return None
    return head, len(waiting) > 1


def pending(tables: Tables, dev_eui: bytes) -> QueueItem | None:
    """Return the confirmed item that waits for the device's acknowledgement."""
    return next((item for item in items(tables, dev_eui) if item.is_pending), None)


def flush(tables: Tables, dev_eui: bytes, *, keep_pending: bool = False) -> int:
    """Drop the device's items without any event; return how many."""
    gone = [item for item in items(tables, dev_eui) if not (keep_pending and item.is_pending)]
    for item in gone:
        tables.remove_item(item)
    return len(gone)


def schedulable(tables: Tables, dev_eui: bytes, now: float) -> bool:
    """Return whether any item could be sent or timed out now (the class B and C scheduler's question)."""
    return any(
        not (item.is_pending and item.timeout_after is not None and item.timeout_after > now)
        for item in items(tables, dev_eui)
    )
