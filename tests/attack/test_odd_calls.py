"""Settings that make no sense."""

import pytest

from bindings.options import number_of_bytes
from bridge.errors import ConfigurationError


@pytest.mark.parametrize("value", ["\xb2", "\u0663", "9" * 5000, "-1", ""])
def test_a_number_of_bytes_is_one_or_a_clear_error(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"option max_payload .* is not a number of bytes"):
        number_of_bytes("max_payload", value)
