"""One component that tests use, where it is built, and whether it is there."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tests.components.programs import program_is_missing

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"


@dataclass(frozen=True, slots=True)
class Component:
    """What is fetched with a package manager, and built, into `build/NAME`.

    `command` and then `offline` are tried; `fetched` is a pattern of the output lines that say that one more file has
    come, and `unreachable` one of the lines that say that the network is the reason of a failure. `sources` are the
    files and folders from which it is made: when one of them changes, it is made again.
    """

    name: str
    title: str
    programs: tuple[str, ...]
    sources: tuple[Path, ...]
    command: tuple[str, ...]
    offline: tuple[str, ...]
    directory: Path
    fetched: str
    unreachable: str

    @property
    def folder(self) -> Path:
        """Return where the component is built."""
        return BUILD / self.name

    @property
    def stamp(self) -> Path:
        """Holds the digest of the sources from which it was built."""
        return self.folder / "built-from"

    @property
    def reason(self) -> Path:
        """Holds why it could not be fetched."""
        return self.folder / "absent"

    def digest(self) -> str:
        """Return what changes with the sources and the commands."""
        digest = hashlib.sha256(repr(self.command).encode())
        for source in self.sources:
            for path in [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file()):
                digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()

    def is_built(self) -> bool:
        """Return whether it is there, built from the sources as they are now."""
        return self.stamp.exists() and self.stamp.read_text() == self.digest()


def why_absent(component: Component) -> str | None:
    """Return why a component cannot be used, with the cure; None if it is there."""
    for program in component.programs:
        missing = program_is_missing(program)
        if missing is not None:
            return f"{component.title}: {missing}"
    if component.is_built():
        return None
    if component.reason.exists():
        return f"{component.title} could not be fetched: {component.reason.read_text()}"
    return f"{component.title} is not built from its present sources: run `make components`"
