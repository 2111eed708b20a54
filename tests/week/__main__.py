"""`python -m tests.week --ues 1000`: a week of a larger fleet, by hand."""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from tests.week.happenings import FAULTS
from tests.week.jumping import JumpingLoop
from tests.week.quotas import most_used
from tests.week.week import DAY, DAYS, week


async def live(ues: int, days: float, seed: int) -> int:
    """Run, print what came of it, and return how much is wrong, or came too seldom."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        async with week(Path(directory), ues, seed, FAULTS) as one:
            progress = asyncio.create_task(_progress(asyncio.get_running_loop().time(), begun))
            await one.live(days)
            progress.cancel()
            outcomes = one.outcomes()
            print(f"{sum(outcomes.values())} messages to devices in {time.monotonic() - begun:.0f} s: {dict(outcomes)}")
            print(f"faults: {dict(one.scef.faults.happened)}")
            print(*most_used(one.taken, ues), sep="\n", flush=True)
            wrong, rare = one.wrong(), one.rare()
    for line in wrong:
        print(f"WRONG: {line}")
    for line in rare:
        print(f"TOO SELDOM: {line}")
    not_over = [outcome for outcome in outcomes if outcome.startswith("not over")]
    for outcome in not_over:
        print(f"WRONG: {outcomes[outcome]} messages are {outcome}")
    return len(wrong) + len(rare) + len(not_over)


async def _progress(began: float, begun: float) -> None:
    while True:
        await asyncio.sleep(DAY)
        day = (asyncio.get_running_loop().time() - began) / DAY
        print(f"day {day:.0f} after {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ues", type=int, default=1000)
    parser.add_argument("--days", type=float, default=DAYS)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        raise SystemExit(min(1, runner.run(live(arguments.ues, arguments.days, arguments.seed))))
