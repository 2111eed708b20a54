"""What tests of reloads share: the file that changes, the command, and traffic that must not notice."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.kit import SetUp
from tests.waiting import until


@dataclass
class File:
    """The configuration's file: changed in place, and put back at the end."""

    path: Path
    first: str = field(init=False)

    def __post_init__(self) -> None:
        self.first = self.path.read_text()

    def change(self, before: str, after: str) -> None:
        text = self.path.read_text()
        assert before in text, before
        self.path.write_text(text.replace(before, after))

    def add(self, text: str) -> None:
        self.path.write_text(self.path.read_text() + text)


async def reloaded(world: SetUp, *arguments: str) -> dict[str, str]:
    """Reload by command; return when each difference applies."""
    ended = await world.command("config", "reload", "--json", *arguments)
    assert ended.code == 0, ended.err + ended.out
    return {one["setting"]: one["applies"] for one in json.loads(ended.out)["items"]}


@contextlib.asynccontextmanager
async def traffic(world: SetUp, *names: str) -> AsyncIterator[list[str]]:
    """Have devices send and the server read all the time; at the end, each once and each answered."""
    going, sent, answers = True, dict.fromkeys(names, 0), list[str]()
    before = {name: len(await world.seen("send", name)) for name in names}

    async def send(name: str) -> None:
        while going:
            assert (await world.act(name, "send", paths=["/3303/0/5700"]))["code"] == "2.04"
            sent[name] += 1

    async def read(name: str) -> None:
        while going:
            answers.append((await world.ask(name, "read", "/3/0/1"))["code"])

    async with asyncio.TaskGroup() as tasks:
        for name in names:
            tasks.create_task(send(name))
            tasks.create_task(read(name))
        await until(lambda: len(answers) >= 4 and min(sent.values()) >= 4)
        yield answers
        more = len(answers) + 4, {name: sent[name] + 4 for name in names}
        await until(lambda: len(answers) >= more[0] and all(sent[name] >= more[1][name] for name in names))
        going = False
    assert set(answers) == {"2.05"}
    for name in names:
        assert len(await world.seen("send", name)) - before[name] == sent[name]
