import re

import pytest

from bridge.config import parse, template
from bridge.config.reading import installed_bindings


@pytest.fixture(autouse=True)
def _really_installed(installed, monkeypatch):
    monkeypatch.undo()


def test_the_template_has_an_example_of_each_installed_binding_and_the_example_is_valid(tmp_path):
    assert "nidd" in installed_bindings()
    text = re.sub(r"(?m)^#(?=[\[\w])", "", template())
    text = text.replace('network = "example"', 'network = "example-nidd"').replace('profile = ""', "")
    config = parse(text, "template", tmp_path)
    assert {network.binding for network in config.networks.values()} == set(installed_bindings())
    assert type(config.networks["example-nidd"].settings) is config.networks["example-nidd"].factory.settings()
