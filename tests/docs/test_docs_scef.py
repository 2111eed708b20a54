"""The page of the emulated SCEF names everything that there is: faults, settings, profiles, options."""

import click
import msgspec
import pytest

from mock_network.scef import PROFILES
from mock_network.scef.command import scef
from mock_network.scef.core import UeSettings
from mock_network.scef.fault_kinds import KINDS
from mock_network.scef.findings import ABOUT as FINDINGS
from mock_network.scef.t8.notices import KINDS as NOTICES
from tests.docs.markdown import ROOT

PAGE = (ROOT / "docs" / "mock-scef.md").read_text()
NAMES = (
    *(kind.name for kind in KINDS),
    *(setting.name for setting in msgspec.structs.fields(UeSettings)),
    *PROFILES,
    *NOTICES,
    *FINDINGS,
)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_names_it(name):
    assert f"`{name}`" in PAGE or f"\n{name} = " in PAGE


def test_options_that_the_page_names_exist():
    options = {word for parameter in scef.params if isinstance(parameter, click.Option) for word in parameter.opts}
    named = {word.strip("`,.;:()") for word in PAGE.split() if word.startswith(("`--", "--"))}
    pip = {"--retry", "--retry-delay", "--retry-connrefused"}  # curl's
    assert {word for word in named if word.startswith("--")} - pip <= options
