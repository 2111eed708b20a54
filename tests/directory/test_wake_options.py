"""Options that say how a device is woken up: what makes no sense is refused, with the cure."""

import pytest

from bindings.option_names import OF_THE_BRIDGE
from bridge.directory.record import binding_options, check_options
from bridge.directory.waking import wake_of
from bridge.errors import DirectoryError
from bridge.relay.model import Wake

GOOD = {"wake_endpoint": "m-sms", "wake_accepts": "true"}


@pytest.mark.parametrize(
    ("options", "wake"),
    [
        ({}, None),
        (GOOD, Wake("m-sms", 8, None)),
        (GOOD | {"wake_by": "bootstrap", "wake_instance": "7"}, Wake("m-sms", 9, 7)),
        (GOOD | {"wake_by": "update", "wake_instance": "0"}, Wake("m-sms", 8, 0)),
    ],
)
def test_what_is_said_is_what_is_done(options, wake):
    assert wake_of(check_options(options)) == wake


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"wake_endpoint": "m-sms"}, r"needs wake_accepts = \"true\".*/1/x/21 is true.*NoSec.*/0/x/9"),
        (GOOD | {"wake_accepts": "yes"}, "needs wake_accepts"),
        (GOOD | {"wake_endpoint": ""}, "is empty"),
        (GOOD | {"wake_by": "reboot"}, "none of: update, bootstrap"),
        (GOOD | {"wake_instance": "-1"}, "no instance: 0 to 65534"),
        (GOOD | {"wake_instance": "65535"}, "no instance"),
        (GOOD | {"wake_instance": "٣"}, "no instance"),
        ({"wake_by": "update"}, "has no effect without wake_endpoint"),
        ({"group": " "}, "option group"),
        ({"group": "g" * 65}, "option group"),
    ],
)
def test_what_makes_no_sense_is_refused(options, said):
    with pytest.raises(DirectoryError, match=said):
        check_options(options)


def test_bindings_never_see_options_of_the_bridge():
    assert binding_options(dict.fromkeys(OF_THE_BRIDGE, "x") | {"block2": "false"}) == {"block2": "false"}
