"""What differs between two configurations, and when it comes into force."""

from pathlib import Path

import pytest

from bridge.config import Config, parse
from bridge.config.difference import Applies, differences, in_force
from bridge.config.secrets import reveal
from bridge.errors import ConfigurationError

TEXT = """
[service]
state_directory = "{tmp}"
[servers.lab]
uri = "coap://127.0.0.1:10583"
[networks.nidd]
binding = "nidd"
api_root = "http://127.0.0.1:9"
scs_as_id = "lab"
[[endpoints]]
name = "e1"
network = "nidd"
address = "dev@example.com"
"""
ENDPOINT = '[[endpoints]]\nname = "e2"\nnetwork = "nidd"\naddress = "two@example.com"\n'


def read(tmp_path: Path, more: str = "", **replaced: str) -> Config:
    text = TEXT.replace("{tmp}", str(tmp_path))
    for before, after in replaced.items():
        assert before in text
        text = text.replace(before, after)
    return parse(text + more, "bridge.toml", tmp_path)


def found(before: Config, after: Config) -> dict[str, tuple[str, str, Applies]]:
    return {one.setting: (one.before, one.after, one.applies) for one in differences(before, after)}


def test_the_same_file_differs_in_nothing(tmp_path: Path) -> None:
    assert differences(read(tmp_path), read(tmp_path)) == []


def test_each_difference_says_when_it_applies(tmp_path: Path) -> None:
    after = read(tmp_path, ENDPOINT, **{"10583": "10584"})
    assert found(read(tmp_path), after) == {
        "[servers.lab] uri": ("coap://127.0.0.1:10583", "coap://127.0.0.1:10584", Applies.RESTART),
        "[[endpoints]] e2": ("", "two@example.com on nidd", Applies.NOW),
    }


def test_logs_and_origins_apply_at_once_and_a_listener_does_not_change_to_tls(tmp_path: Path) -> None:
    before = read(tmp_path, '[api]\nlisten = "127.0.0.1:8460"\n')
    more = '[api]\nlisten = "127.0.0.1:8460"\nallowed_origins = ["https://a.example"]\ncertificate = "a.pem"\n'
    after = read(tmp_path, more, **{"[service]": '[service]\nlog_level = "debug"'})
    assert {name: applies for name, (_, _, applies) in found(before, after).items()} == {
        "[service] log_level": Applies.NOW,
        "[api] allowed_origins": Applies.NOW,
        "[api] certificate": Applies.RESTART,
    }
    kept = in_force(before, after)
    assert found(kept, after) == {"[api] certificate": ("", "a.pem", Applies.RESTART)}


def test_endpoints_that_the_directory_has_are_changed_by_commands(tmp_path: Path) -> None:
    changed = read(tmp_path, **{"dev@example.com": "other@example.com"})
    assert found(read(tmp_path), changed)["[[endpoints]] e1"][2] is Applies.NEVER
    assert found(read(tmp_path, ENDPOINT), read(tmp_path))["[[endpoints]] e2"][2] is Applies.NEVER


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    def with_secret(text: str) -> Config:
        return read(tmp_path, f'[networks.nidd.credentials]\nkind = "bearer"\ntoken = "{text}"\n')

    shown = found(with_secret("first"), with_secret("second"))
    ((setting, (before, after, applies)),) = shown.items()
    assert setting.endswith(" token")
    assert (before, after, applies) == ("(secret)", "(secret)", Applies.RESTART)


def test_a_secret_may_be_a_credential_of_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    revealed: set[str] = set()
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigurationError, match="LoadCredential=scef:FILE"):
        reveal("credential:scef", tmp_path, revealed)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "given"))
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "scef").write_text("hush\n")
    assert reveal("credential:scef", tmp_path, revealed) == "hush"
    assert revealed == {"hush"}
    for name in ("../bridge.toml", "", ".."):
        with pytest.raises(ConfigurationError, match="not a valid name of a credential"):
            reveal(f"credential:{name}", tmp_path, revealed)
