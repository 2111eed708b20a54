"""Background work that a bug does not end in silence.

What reports a bug is the event loop's exception handler: `bridge run` sets one that logs and counts (`told_to`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

log = logging.getLogger(__name__)

AGAIN = 10.0  # seconds from a bug in background work until that work begins again; doubles with each one in a row
LONGEST = 600.0  # seconds
_WELL = 600.0  # seconds: work that went on for so long since it began was not ended by the bug before

_BUG = "bug"  # key of a context that is about background work


async def kept_up(what: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do background work until it ends. After an exception, which is reported, it begins again from its beginning.

    `what` names the work for a person. The pause before it begins again is `AGAIN` seconds, and grows.
    """
    pause, now = AGAIN, asyncio.get_running_loop().time
    while True:
        began = now()
        try:
            await work()
        except Exception as error:  # noqa: BLE001  # whatever it is, the work must go on
            if now() - began > _WELL:
                pause = AGAIN
            report(f"{what} was ended by a bug in the bridge, and begins again in {pause:.0f} s", error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST)
        else:
            return


def report(text: str, error: BaseException) -> None:
    """Have a bug logged and counted, for code that has no counter. Call it in the event loop."""
    asyncio.get_running_loop().call_exception_handler({"message": text, "exception": error, _BUG: True})


def told_to(count: Callable[[str], None]) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """Return a handler for an event loop: it logs what nobody else saw, and counts bugs as `failed_tasks`.

    A bug is what `report` was told of, an exception of a task or future that nobody awaited, and one in a callback.
    Anything else, such as a listener that has no descriptor left, is only logged.
    """

    def handle(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        text, error = context["message"], context.get("exception")
        if error is not None and not context.keys().isdisjoint({_BUG, "future", "handle"}):
            count("failed_tasks")
        # Nothing else of the context: it can show what messages and settings hold.
        log.error("%s", text, exc_info=error, extra={"sample": f"loop {type(error).__name__} {text[:40]}"})

    return handle
