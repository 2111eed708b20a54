"""`lwm2m-bridge run --clock`: a clock that cannot be followed is told in one line."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.cli import main


@pytest.mark.parametrize(
    ("url", "said"),
    [("http://10.0.0.1:4711", "must be on this machine"), ("http://127.0.0.1:1", "no clock process answers")],
)
def test_a_clock_that_cannot_be_followed_is_told(tmp_path: Path, url: str, said: str) -> None:
    config = tmp_path / "bridge.toml"
    config.write_text('[servers.lab]\nuri = "coap://127.0.0.1:5683"\n')
    done = CliRunner().invoke(main, ["run", "--config", str(config), "--clock", url])
    assert done.exit_code == 1
    assert said in done.output.splitlines()[-1]
