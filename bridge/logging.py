"""Log lines: one event each, `key=value` or JSON, safe to show to anyone who may see the log.

Code logs with the standard library: a short fixed text, and facts in `extra`. These keys of `extra` mean something:

- `sample`: a line that peers can cause at will; only some lines of each key are written, with a count of the others
- `payload`: bytes of a message; shown at level debug only, otherwise their number is logged as `bytes`

Text from peers is cut, and its control characters are escaped: one event stays one line. Secrets become `***`.
"""

import json
import logging
import sys
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Literal, TextIO
from urllib.parse import quote

TEXT_CAP = 255
"""Characters of one value that are written."""

BYTES_CAP = 64
"""Bytes of one value that are written, in hexadecimal."""

SAMPLE_BURST = 5
SAMPLE_SECONDS = 60.0
"""Lines of each sampled key, and the seconds in which they are counted."""

SAMPLE_KEYS = 1024
"""Sampled keys that are remembered; the one unused for longest is forgotten first."""

SHORTEST_SECRET = 8
"""Characters; a shorter secret may be an ordinary word of a log line, and replacing it everywhere would reveal it."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "sample", "payload", "taskName"}
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/@+*[],()#%<>")

Form = Literal["text", "json"]


class Redactor:
    """Knows the secrets that must not be shown."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: list[str] = []
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Hide this text from now on; texts shorter than SHORTEST_SECRET cannot be hidden."""
        if len(secret) >= SHORTEST_SECRET:
            # Also as written in error texts, JSON and URLs.
            forms = {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret, safe=""), quote(secret)}
            self._secrets = sorted(
                forms.union(self._secrets), key=len, reverse=True
            )  # one secret may be part of another

    def clean(self, text: str) -> str:
        """Return the text without secrets."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, "***")
        return text


class Sampler(logging.Filter):
    """Writes only some of the lines that peers can cause at will; the next line says how many were left out."""

    def __init__(self, burst: int = SAMPLE_BURST, seconds: float = SAMPLE_SECONDS) -> None:
        super().__init__()
        self._burst = burst
        self._seconds = seconds
        self._seen: OrderedDict[tuple[str, str], list[float]] = OrderedDict()  # start of window, written, held back

    def filter(self, record: logging.LogRecord) -> bool:
        sample = getattr(record, "sample", None)
        if sample is None:
            return True
        key = (record.name, str(sample))
        state = self._seen.get(key)
        if state is None:
            if len(self._seen) >= SAMPLE_KEYS:
                self._seen.popitem(last=False)
            state = self._seen[key] = [record.created, 0, 0]
        else:
            self._seen.move_to_end(key)
        if record.created - state[0] >= self._seconds or record.created < state[0]:
            state[0], state[1] = record.created, 0
        if state[1] >= self._burst:
            state[2] += 1
            return False
        state[1] += 1
        if state[2]:
            record.suppressed = int(state[2])
            state[2] = 0
        return True


class UnreadableRequests(logging.Filter):
    """Makes a short, sampled line of a request that is no HTTP, of which aiohttp writes a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        cause = record.exc_info[1] if record.exc_info else None
        if record.name == "aiohttp.server" and type(cause).__module__ == "aiohttp.http_exceptions":
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.msg += ": it is no HTTP, and is refused"
            record.exc_info = record.exc_text = None
            record.why, record.sample = type(cause).__name__, "no HTTP"
        return True


class LineFormatter(logging.Formatter):
    """Writes `time level logger text key=value …`, or one JSON object."""

    def __init__(self, form: Form = "text", redactor: Redactor | None = None, *, payloads: bool = False) -> None:
        """`payloads`: show the bytes of messages."""
        super().__init__()
        self._form = form
        self._redactor = redactor or Redactor()
        self._payloads = payloads

    def format(self, record: logging.LogRecord) -> str:
        facts = self._facts(record)
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        moment = f"{moment}.{int(record.msecs):03d}Z"
        text = self._redactor.clean(record.getMessage())
        trace = self._redactor.clean(self.formatException(record.exc_info)) if record.exc_info else ""
        level = record.levelname.lower()
        if self._form == "json":
            line = {"time": moment, "level": level, "logger": record.name, "event": text}
            for key, value in facts.items():
                line.setdefault(key, value)
            if trace:
                line["trace"] = trace
            return json.dumps(line, ensure_ascii=False, default=str)
        parts = [
            moment,
            level,
            record.name,
            _escape(text),
            *(f"{key}={_quoted(value)}" for key, value in facts.items()),
        ]
        line_text = " ".join(parts)
        return f"{line_text}\n{trace}" if trace else line_text

    def _facts(self, record: logging.LogRecord) -> dict[str, Any]:
        facts = {key: self._value(value) for key, value in vars(record).items() if key not in _STANDARD}
        payload = getattr(record, "payload", None)
        if isinstance(payload, bytes | bytearray | memoryview):
            facts["bytes"] = len(payload)
            if self._payloads:
                facts["payload"] = self._value(bytes(payload))
        return facts

    def _value(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, bytes | bytearray | memoryview):
            raw = bytes(value)
            more = f"…({len(raw)} bytes)" if len(raw) > BYTES_CAP else ""
            return raw[:BYTES_CAP].hex() + more
        text = self._redactor.clean(str(value))
        return text if len(text) <= TEXT_CAP else f"{text[:TEXT_CAP]}…({len(text)} characters)"


def handler(form: Form, level: int, redactor: Redactor, stream: TextIO) -> logging.Handler:
    """Make the one handler of a process, writing to `stream`."""
    made = logging.StreamHandler(stream)
    made.setLevel(level)
    made.addFilter(UnreadableRequests())
    made.addFilter(Sampler())
    made.setFormatter(LineFormatter(form, redactor, payloads=level <= logging.DEBUG))
    return made


def configure(
    level: str = "info", form: Form = "text", secrets: Iterable[str] = (), stream: TextIO | None = None
) -> Redactor:
    """Set up the logging of this process. `add` secrets that become known later to the result."""
    redactor = Redactor(secrets)
    number = logging.getLevelNamesMapping()[level.upper()]
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.addHandler(handler(form, number, redactor, stream or sys.stderr))
    root.setLevel(number)
    if number > logging.DEBUG:
        # No line for each HTTP request: too many, and the path may be a secret.
        logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    return redactor


def _escape(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape", "backslashreplace").decode("ascii")


def _quoted(value: Any) -> str:
    text = str(value)
    return text if text and _PLAIN.issuperset(text) else json.dumps(_escape(text), ensure_ascii=False)
