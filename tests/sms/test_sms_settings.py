"""What a person sets: options of an endpoint, addresses, and what a check of a network instance finds."""

import pytest

from bindings.contract import ChecksItself, ChecksOptions, Listens
from bindings.diagnosis import Grade
from bindings.sms import SmsBinding
from bridge.errors import BindingError, ConfigurationError


@pytest.mark.parametrize("options", [{}, {"application_port": "5683"}, {"block2": "false", "application_port": "1"}])
async def test_options_that_make_sense(binding, options):
    binding.check_options(options)
    await binding.provision("d@x", options)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"application_port": "0"}, "no port"),
        ({"application_port": "65536"}, "no port"),
        ({"application_port": "-1"}, "no port"),
        ({"application_port": "٣"}, "no port"),
        ({"block2": "no"}, "true or false"),
        ({"max_packet_size": "80"}, "application_port, block2"),
    ],
)
async def test_options_that_make_none(binding, options, word):
    with pytest.raises(ConfigurationError, match=word):
        binding.check_options(options)
    with pytest.raises(ConfigurationError, match=word):
        await binding.provision("d@x", options)


def test_a_device_is_written_in_one_way(binding):
    assert binding.canonical_device(" Dev1@IOT.Example ") == "Dev1@iot.example"
    assert binding.canonical_device("+491700000001") == "491700000001"
    with pytest.raises(ConfigurationError):
        binding.canonical_device("70b3d57ed0000001z")


def test_what_the_binding_offers():
    assert issubclass(SmsBinding, ChecksItself)
    assert issubclass(SmsBinding, ChecksOptions)
    assert issubclass(SmsBinding, Listens)


async def found(binding):
    return {one.what: one.grade for one in await binding.check()}


async def test_a_healthy_instance(make, centre):
    binding = await make(callbacks={"path": "secret"})
    assert await found(binding) == {
        "SCEF/NEF": Grade.GOOD,
        "encryption": Grade.WARNING,
        "callback URL": Grade.GOOD,
        "delivery reports": Grade.WARNING,
        "SMS of devices": Grade.WARNING,
    }
    await centre.sms(binding.listener.url)
    assert (await found(binding))["SMS of devices"] is Grade.GOOD


async def test_where_the_operator_cannot_be_told_the_url_that_is_said(binding):
    (finding,) = [one for one in await binding.check() if one.what == "SMS of devices"]
    assert "callbacks.path is empty" in finding.detail


async def test_a_scef_that_is_not_there(make):
    binding = await make(api_root="http://127.0.0.1:1")
    assert (await found(binding))["SCEF/NEF"] is Grade.BAD


async def test_an_instance_that_does_not_run_cannot_be_checked(make):
    binding = await make()
    await binding.stop()
    with pytest.raises(BindingError, match="not running"):
        await binding.check()


async def test_status_tells_no_secret(make):
    binding = await make(callbacks={"path": "unguessable"})
    assert "unguessable" not in str(binding.status())
    assert binding.status()["running"] is True
