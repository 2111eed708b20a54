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
        "[servers.lab] uri": ("coap://127.0.0.1:10583", "coap://127.0.0.1:10584", Applies.NOW),
        "[[endpoints]] e2": ("", "two@example.com on nidd", Applies.NOW),
    }


def test_all_applies_at_once_but_what_the_process_and_its_addresses_are_built_on(tmp_path: Path) -> None:
    more = '[api]\nlisten = "127.0.0.1:8460"\ncertificate = "a.pem"\n[north]\nport = 16000\n[policy]\nlong_ttl = 60\n'
    service = '[service]\nlog_level = "debug"\ndatabase = "b.db"\ncontrol_socket = "c.sock"\ncache_mib = 8'
    before, after = read(tmp_path), read(tmp_path, more, **{"[service]": service})
    waiting = {
        "[service] database": Applies.RESTART,
        "[service] control_socket": Applies.RESTART,
        "[service] cache_mib": Applies.RESTART,
        "[north] port": Applies.RESTART,
    }
    assert {name: applies for name, (_, _, applies) in found(before, after).items()} == {
        "[service] log_level": Applies.NOW,
        "[api] listen": Applies.NOW,
        "[api] certificate": Applies.NOW,
        "[policy] long_ttl": Applies.NOW,
        **waiting,
    }
    left = found(in_force(before, after), after)
    assert {name: applies for name, (_, _, applies) in left.items()} == waiting


def test_a_server_or_network_that_is_new_or_gone_is_one_difference(tmp_path: Path) -> None:
    more = '[networks.sms]\nbinding = "sms"\napi_root = "http://127.0.0.1:9"\nscs_as_id = "l"\ncallbacks.port = 9000\n'
    before, after = read(tmp_path), read(tmp_path, more)
    assert found(before, after) == {"[networks.sms]": ("", "sms", Applies.NOW)}
    assert found(after, before) == {"[networks.sms]": ("sms", "", Applies.NOW)}


def test_a_certificate_with_other_contents_under_the_same_name_is_a_difference(tmp_path: Path) -> None:
    file = tmp_path / "client.pem"
    more = f'[networks.nidd.http]\nclient_certificate = "{file}"\n'
    file.write_text("first")
    before = read(tmp_path, more)
    file.write_text("second")
    setting = "[networks.nidd.http] client_certificate"
    assert found(before, read(tmp_path, more)) == {setting: ("as it was read", "the file has changed", Applies.NOW)}


def test_events_are_turned_on_and_off_with_a_restart_and_kept_longer_at_once(tmp_path: Path) -> None:
    none, day, week = (read(tmp_path, f"[events]\nkeep = {keep}\n") for keep in (0, 86400, 604800))
    assert found(none, day)["[events] keep"][2] is Applies.RESTART
    assert found(day, week)["[events] keep"][2] is Applies.NOW


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
    assert (before, after, applies) == ("(secret)", "(secret)", Applies.NOW)


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
