import io
import json
import logging

import pytest
from aiohttp.http_exceptions import BadHttpMessage

from bridge.logging import LineFormatter, Redactor, Sampler, configure, handler


@pytest.fixture
def logger():
    made = logging.getLogger("bridge.test_log_lines")
    made.propagate = False
    made.setLevel(logging.DEBUG)
    yield made
    made.handlers.clear()


@pytest.fixture
def lines(logger):
    """Return a function that makes the logger write in some way, and returns the lines so far."""

    def use(form="text", level=logging.INFO, secrets=()):
        stream = io.StringIO()
        logger.handlers[:] = [handler(form, level, Redactor(secrets), stream)]
        return lambda: stream.getvalue().splitlines()

    return use


def test_a_line_is_a_text_and_facts(logger, lines):
    got = lines()
    logger.info("server address", extra={"server": "leshan", "port": 5683, "why": 'no "such" host', "none": ""})
    (line,) = got()
    moment, rest = line.split(" ", 1)
    assert moment.endswith("Z")
    assert rest == (
        'info bridge.test_log_lines server address server=leshan port=5683 why="no \\"such\\" host" none=""'
    )


def test_json_lines_are_one_object_each(logger, lines):
    got = lines("json")
    logger.warning("two\nlines", extra={"from": ("127.0.0.1", 1), "n": 3})
    (line,) = got()
    found = json.loads(line)
    assert found["event"] == "two\nlines"
    assert (found["level"], found["n"], found["from"]) == ("warning", 3, "('127.0.0.1', 1)")


def test_a_peer_cannot_write_a_line_of_its_own(logger, lines):
    got = lines()
    logger.info("registered %s", "x\n2026 info bridge forged", extra={"ep": "a\r\nb\x1b[31m"})
    (line,) = got()
    assert "registered x\\n2026" in line
    assert "\x1b" not in line


def test_what_peers_send_is_cut(logger, lines):
    got = lines()
    logger.info("garbage", extra={"text": "x" * 1000, "raw": bytes(1000)})
    (line,) = got()
    assert len(line) < 600
    assert "(1000 characters)" in line
    assert "(1000 bytes)" in line


def test_payloads_are_shown_at_debug_only(logger, lines):
    got = lines()
    logger.info("uplink", extra={"payload": b"\x40\x01secret"})
    assert got()[0].endswith("uplink bytes=8")
    got = lines(level=logging.DEBUG)
    logger.info("uplink", extra={"payload": b"\x40\x01"})
    assert got()[0].endswith("uplink bytes=2 payload=4001")


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_are_nowhere_in_a_line(logger, lines, form):
    secret = 'hush "quoted" \\ secret'
    got = lines(form, secrets=[secret, 'hush "quoted"', "abc"])
    try:
        int(f"inside {secret}")
    except ValueError:
        logger.exception("text %s", secret, extra={"fact": f"with {secret}", "cut": "x" * 250 + secret, "abc": "abc"})
    shown = "\n".join(got())
    assert "hush" not in shown
    assert "quoted" not in shown
    assert shown.count("***") >= 3
    assert "abc" in shown  # too short to be hidden
    assert "Traceback" in shown


def test_a_short_secret_does_not_eat_the_words_of_a_line(logger, lines):
    got = lines(secrets=["wrong", "a-long-token"])
    logger.info("credentials are missing, wrong or expired: a-long-token")
    assert got()[0].endswith("credentials are missing, wrong or expired: ***")


def test_a_secret_that_is_learned_later_is_hidden_too(logger):
    redactor = Redactor()
    stream = io.StringIO()
    logger.handlers[:] = [handler("text", logging.INFO, redactor, stream)]
    redactor.add("path-made-at-start")
    logger.info("listening on /%s", "path-made-at-start")
    assert stream.getvalue().endswith("listening on /***\n")


def record(sample, created):
    made = logging.makeLogRecord({"name": "bridge.x", "msg": "garbage"})
    made.created = created
    if sample is not None:
        made.sample = sample
    return made


def test_lines_that_peers_cause_are_sampled_and_the_others_counted():
    sampler = Sampler(burst=2, seconds=60)
    assert [sampler.filter(record("bad", t)) for t in range(5)] == [True, True, False, False, False]
    assert sampler.filter(record("other", 5))
    assert all(sampler.filter(record(None, 6)) for _ in range(10))
    later = record("bad", 61)
    assert sampler.filter(later)
    assert later.suppressed == 3
    assert LineFormatter().format(later).endswith("garbage suppressed=3")
    again = record("bad", 62)
    assert sampler.filter(again)
    assert not hasattr(again, "suppressed")


def test_the_sampler_remembers_a_bounded_number_of_keys(monkeypatch):
    monkeypatch.setattr("bridge.logging.SAMPLE_KEYS", 10)
    sampler = Sampler()
    for i in range(100):
        assert sampler.filter(record(f"key {i}", i))
    assert len(sampler._seen) == 10


def test_configure_sets_up_the_process():
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    root.handlers[:] = []
    stream = io.StringIO()
    try:
        configure("warning", "json", ["topsecret"], stream)
        logging.getLogger("bridge.anything").info("unseen")
        logging.getLogger("bridge.anything").warning("seen topsecret")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        logging.getLogger("aiohttp.access").setLevel(logging.NOTSET)
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["event"] == "seen ***"


def test_requests_that_are_no_http_leave_few_short_lines() -> None:
    stream = io.StringIO()
    writer = handler("text", logging.INFO, Redactor(), stream)
    for _ in range(100):
        cause = BadHttpMessage("400, message: Bad \xff")
        record = logging.LogRecord(
            "aiohttp.server", logging.ERROR, "", 1, "Error handling request from %s", ("192.0.2.1",),
            (type(cause), cause, None),
        )  # fmt: skip
        writer.handle(record)
    lines = stream.getvalue().splitlines()
    assert 0 < len(lines) < 10
    assert all("192.0.2.1: it is no HTTP" in line and "why=BadHttpMessage" in line for line in lines), lines[0]
