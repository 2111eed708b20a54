"""What a test orders an attacking bridge to do, and what the bridge notes of it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import until


@dataclass(frozen=True)
class Orders:
    """Orders for the bridge whose configuration is in `directory`."""

    directory: Path

    def attack(self, endpoint: str, way: str, what: str, **more: Any) -> None:
        """Have the next message of an endpoint attacked; it replaces earlier orders."""
        order = {"way": way, "endpoint": endpoint, "what": what, **more}
        new = self.directory / "attack.new"
        new.write_text(json.dumps([{**order, "id": f"{self._count()}"}]))
        new.replace(self.directory / "attack.json")

    def attacks(self, endpoint: str, what: str) -> list[dict[str, Any]]:
        """Return the attacks that were carried out."""
        notes = self.directory / "attacks.jsonl"
        found = [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []
        return [one for one in found if (one["endpoint"], one["what"]) == (endpoint, what)]

    async def attacked(self, endpoint: str, what: str, times: int = 1) -> None:
        """Wait until an attack was carried out: a test whose attack did not happen proves nothing."""
        await until(lambda: len(self.attacks(endpoint, what)) >= times, why=f"no message was met by {what}")

    def _count(self) -> int:
        """Return a number by which an order that is given twice is carried out twice."""
        notes = self.directory / "attacks.jsonl"
        return len(notes.read_text().splitlines()) if notes.exists() else 0
