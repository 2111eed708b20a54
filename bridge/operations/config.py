"""Operations on the configuration of a running service."""

from bridge.operations.bridge import Bridge
from bridge.operations.operation import Operation
from bridge.operations.types.config import DifferenceView, ReloadConfig, Reloaded


async def reload_config(bridge: Bridge, asked: ReloadConfig) -> Reloaded:
    found = await bridge.reload(dry_run=asked.dry_run)
    items = tuple(
        DifferenceView(setting=one.setting, before=one.before, after=one.after, applies=one.applies) for one in found
    )
    return Reloaded(items=items, applied=not asked.dry_run)


OPERATIONS = (Operation(ReloadConfig, reload_config),)
