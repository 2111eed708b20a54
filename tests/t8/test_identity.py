"""Device addresses: External Identifiers are as free as user names of RFC 7542."""

import pytest

from bindings.t8.identity import canonical_device, identity_member, same_identity
from bridge.errors import ConfigurationError


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("meter/1@iot.example", "meter/1@iot.example"),
        ("m2m.default.1@177.iot.mts.ru", "m2m.default.1@177.iot.mts.ru"),
        ("a!#$%&'*+-/=?^_`{|}~b@IoT.Example", "a!#$%&'*+-/=?^_`{|}~b@iot.example"),
        ("zähler@München.example", "zähler@münchen.example"),
        (" +491700000001 ", "491700000001"),
    ],
)
def test_one_spelling(written, canonical):
    assert canonical_device(written) == canonical
    assert canonical_device(canonical) == canonical


@pytest.mark.parametrize(
    "bad", ["", "@", "a@", "@b", "a@b@c", "a b@c", "a@b/c", "a\x00@b", "a@b\x7f", "12", "1" * 16, "4917x"]
)
def test_no_device_address(bad):
    with pytest.raises(ConfigurationError, match="local@domain"):
        canonical_device(bad)


def test_the_member_of_our_kind_decides():
    assert identity_member("meter/1@iot.example") == "externalId"
    assert same_identity("meter/1@iot.example", "meter/1@IOT.EXAMPLE", "491700000001") is True
    assert same_identity("meter/1@iot.example", "meter/2@iot.example", None) is False
    assert same_identity("meter/1@iot.example", None, "491700000001") is None
    assert same_identity("491700000001", "meter/1@iot.example", "+491700000001") is True
