"""Bodies of calls as a trace shows them: whatever a peer answers, showing it raises nothing."""

import pytest

from bindings.shown_calls import shown_body


@pytest.mark.parametrize("depth", [100, 400, 490, 600, 900, 990, 100_000])
@pytest.mark.parametrize("link", [("[", "]"), ('{"a":', "}")])
def test_a_body_of_any_depth_is_shown(depth: int, link: tuple[str, str]) -> None:
    opened, closed = link
    body = (opened * depth + "1" + closed * depth).encode()
    assert shown_body(body)
    assert len(shown_body(body)) <= 401


def test_payloads_and_secrets_are_not_shown() -> None:
    shown = shown_body(b'{"data": "AAAA", "notificationDestination": "http://a/secret", "status": "SENT"}')
    assert shown == '{"data": "(4 characters)", "notificationDestination": "http://a/***", "status": "SENT"}'
