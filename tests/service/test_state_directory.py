"""The directory of what must outlive a restart is not for everybody."""

import os
import stat
from pathlib import Path

from bridge.service.state_directory import make_state_directory


def test_it_is_for_its_owner_and_group_alone_and_one_that_is_there_is_left_as_it_is(tmp_path: Path):
    before = os.umask(0)
    try:
        make_state_directory(tmp_path / "above" / "state")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "above" / "state").stat().st_mode) == 0o750
    tmp_path.chmod(0o755)
    make_state_directory(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
