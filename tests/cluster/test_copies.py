"""The judge of copies allows what R9 and R31 allow, and no more."""

import pytest

from bridge.delivery.attempts import Attempt
from bridge.delivery.knowledge import Knowledge
from tests.cluster.copies import is_allowed

IN_DOUBT, REFUSED, GONE, DELIVERED = Knowledge.IN_DOUBT, Knowledge.REFUSED, Knowledge.GONE, Knowledge.DELIVERED


@pytest.mark.parametrize(
    ("copies", "known", "allowed"),
    [
        (1, [DELIVERED], True),
        (2, [DELIVERED], False),  # one attempt, two copies: a node that is not fenced
        (2, [IN_DOUBT, DELIVERED], True),  # R9: once more
        (2, [REFUSED, DELIVERED], False),  # the refused one was on air
        (3, [IN_DOUBT, IN_DOUBT, DELIVERED], False),  # R9: twice more
        (3, [IN_DOUBT, GONE, DELIVERED], True),  # R31: what the network held is gone
        (3, [IN_DOUBT, DELIVERED], False),
        (2, [], False),  # the ledger has no attempt
    ],
)
def test_copies_that_the_attempts_allow(copies: int, known: list[Knowledge], allowed: bool) -> None:
    attempts = [Attempt(number, one, 0.0) for number, one in enumerate(known, 1)]
    assert is_allowed(copies, attempts) is allowed
