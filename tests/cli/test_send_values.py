"""Values on the command line of `downlink send`: what goes to the device is what was typed."""

import pytest

from bridge.cli.send import _json


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("/1/0/1", "0012", "0012"),  # the bridge reads it by the type of the resource
        ("/1/0/1", "0x10", "0x10"),
        ("/3/0/14", "1234", "1234"),
        ("/3303/0/5700", "22.50", "22.50"),
        ("/32769/0/1", "12", 12),
        ("/32769/0/1", "9007199254740993", 9007199254740993),
        ("/32769/0/1", "22.5", 22.5),
        ("/32769/0/1", "true", True),
        ("/32769/0/1", "0012", "0012"),
        ("/32769/0/1", "1.50", "1.50"),
        ("/32769/0/1", "0.12345678901234567", "0.12345678901234567"),
        ("/32769/0/1", "9" * 5000, "9" * 5000),
    ],
)
def test_a_value_goes_as_it_is_typed(path: str, text: str, value: object) -> None:
    found = _json(text, path)
    assert (found, type(found)) == (value, type(value))
