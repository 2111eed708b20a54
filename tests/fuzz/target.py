"""What a fuzz target is, and where its inputs are."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Target:
    """One reader of bytes from outside. `run` raises for a fault, and takes every other input without a word.

    `seeds` are inputs from which a fuzzer starts beside the corpus: they are made by code that changes with the reader.
    """

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]] = list

    @property
    def corpus(self) -> Path:
        """A file of inputs, checked in, that reach different parts of the reader: one a line, in hexadecimal digits."""
        return HERE / "corpus" / f"{self.name}.hex"

    @property
    def crashes(self) -> Path:
        """The folder of inputs that once were a fault."""
        return HERE / "crashes" / self.name

    def inputs(self) -> Iterator[tuple[str, bytes]]:
        """Yield a name and the bytes of every input that is checked in."""
        lines = self.corpus.read_text().splitlines() if self.corpus.exists() else []
        for number, line in enumerate(lines, 1):
            yield f"{self.corpus.name}:{number}", bytes.fromhex(line)
        for file in sorted(self.crashes.glob("*")):
            yield file.name, file.read_bytes()

    def keep(self, inputs: Iterable[bytes]) -> None:
        """Make these the corpus."""
        lines = sorted((one.hex() for one in inputs), key=lambda line: (len(line), line))
        self.corpus.parent.mkdir(exist_ok=True)
        self.corpus.write_text("".join(f"{line}\n" for line in lines))


def refusal(read: Callable[[], object], kind: type[Exception]) -> str | None:
    """Read something; return the text of the error with which it was refused, None if it was not."""
    try:
        read()
    except kind as error:
        return str(error)
    return None


def pieces(data: bytes) -> list[bytes]:
    """Return an input cut into pieces: the first byte of each says how long it is."""
    found = []
    while data:
        found.append(data[1 : 1 + data[0]])
        data = data[1 + data[0] :]
    return found


def joined(*parts: bytes) -> bytes:
    """Return the input that `pieces` cuts into these parts, of at most 255 bytes each."""
    return b"".join(bytes((len(part),)) + part for part in parts)
