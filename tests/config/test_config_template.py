import re
import tomllib
from dataclasses import replace

from bridge.config import (
    Config,
    EndpointSettings,
    North,
    PolicySettings,
    ServerSettings,
    Service,
    parse,
    profile,
    template,
)
from bridge.config.security import Links, Security
from bridge.config.shape import shape
from bridge.relay.model import Server


def test_the_template_reads_back_as_the_defaults(tmp_path):
    assert parse(template(), "template", tmp_path) == Config(tmp_path)


def test_the_settings_in_the_template_are_the_defaults(tmp_path):
    """Every commented setting is taken in: the sections of the bridge are the defaults, the examples are valid."""
    text = re.sub(r"(?m)^#(?=[\[\w])", "", template())
    text = text.replace('network = "example"', 'network = "example-radio"')
    text = text.replace('profile = ""', 'profile = "leshan"')
    config = parse(text, "template", tmp_path)
    assert (config.service, config.north, config.policy) == (Service(), North(), PolicySettings())
    shown = replace(profile("default"), default_lifetime=86400, transfer=120.0)  # as examples
    assert config.server("example") == Server("example", shown, ("127.0.0.1",), 5683)
    assert config.networks["example-radio"].settings.http.timeout == 10.0
    assert config.endpoints[0].name == "urn:imei:490154203237518"


def test_every_setting_of_the_bridge_is_described():
    text = template()
    for kind in (Service, North, PolicySettings, ServerSettings, Security, Links, EndpointSettings):
        for field in shape(kind):
            assert field.description, (kind, field.name)
            section = kind is ServerSettings and field.struct is not None
            assert (f"\n#[servers.example.{field.name}]\n" if section else f"\n#{field.name} = ") in text


def test_each_installed_binding_has_an_example_and_a_broken_one_says_so():
    text = template()
    assert '#[networks.example-radio]\n# One radio network.\n\n# which binding carries it\n#binding = "radio"' in text
    assert '# where it is, a URL · required\n#root = "http://127.0.0.1:1"' in text
    assert "#[networks.example-radio.http]" in text
    assert "# password · secret" in text
    assert "binding 'broken' cannot be loaded" in text
    tomllib.loads(text)
