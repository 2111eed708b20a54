"""The search for secrets finds one."""

from pathlib import Path

from tests.e2e.planted import places, reveals


def test_a_secret_in_a_log_or_an_output_is_found(tmp_path: Path):
    (tmp_path / "bridge.toml").write_text('credentials = { token = "a-planted-token" }\nkey = "0001020304050607"\n')
    (tmp_path / "bridge.log").write_text("nothing")
    assert places(tmp_path) == []
    (tmp_path / "ledger.db").write_bytes(b"\0\0a-planted-token\0")
    assert places(tmp_path) == [str(tmp_path / "ledger.db")]
    assert reveals(tmp_path, "key 0001020304050607 is bad") == ["0001020304050607"]
    (tmp_path / "ledger.db").unlink()  # what is found in the folders of the whole run at its end fails the run
