"""A master key in a PKCS #11 token (SoftHSM): endpoints get the keys that the same master key in a file would give."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.config import parse
from bridge.config.store_keys import store_seal
from bridge.errors import ConfigurationError
from bridge.north.identities import DerivedKeys, EndpointNames, TokenKeys, read_token_uri
from tests.conftest import need_program

MASTER = bytes(range(32))
LIBRARY = Path("/usr/lib/softhsm/libsofthsm2.so")
WHO = EndpointNames("urn:dev:1", "nidd", "dev@iot")


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URI of a master key in a token; its PIN is in a file."""
    need_program("softhsm2-util")
    pkcs11 = pytest.importorskip("pkcs11")
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}\nlog.level = ERROR\n")
    (folder / "pin").write_text("123456\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
        command = [
            "softhsm2-util",
            "--init-token",
            "--free",
            "--label",
            "bridge",
            "--pin",
            "123456",
            "--so-pin",
            "1234",
        ]
        subprocess.run(command, check=True, capture_output=True)
        with pkcs11.lib(str(LIBRARY)).get_token(token_label="bridge").open(user_pin="123456", rw=True) as session:
            session.create_object(
                {
                    pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
                    pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.GENERIC_SECRET,
                    pkcs11.Attribute.VALUE: MASTER,
                    pkcs11.Attribute.LABEL: "master",
                    pkcs11.Attribute.TOKEN: True,
                    pkcs11.Attribute.SENSITIVE: True,
                    pkcs11.Attribute.EXTRACTABLE: False,
                    pkcs11.Attribute.SIGN: True,
                }
            )
        yield f"pkcs11:token=bridge;object=master?module-path={LIBRARY}&pin-source=file:{folder / 'pin'}"


def test_another_pin_is_refused_and_not_told(token: str) -> None:
    uri = read_token_uri(token.partition("&")[0] + "&pin-value=not-the-pin")
    with pytest.raises(ConfigurationError, match="PinIncorrect") as refused:
        TokenKeys("{endpoint}", uri).check()
    assert "not-the-pin" not in str(refused.value) + repr(uri)


def test_the_token_computes_what_a_key_in_a_file_would(token: str) -> None:
    keys = TokenKeys("fleet/{endpoint}", read_token_uri(token))
    keys.check()
    assert keys.credentials(WHO) == DerivedKeys("fleet/{endpoint}", MASTER).credentials(WHO)


def test_a_session_that_the_token_ended_is_opened_again(token: str) -> None:
    keys = TokenKeys("{endpoint}", read_token_uri(token))
    first = keys.credentials(WHO)
    keys._key._key.session.close()
    assert keys.credentials(WHO) == first


def test_two_servers_may_have_their_keys_in_one_token(token: str) -> None:
    one, other = (TokenKeys("{endpoint}", read_token_uri(token)) for _ in range(2))
    assert one.credentials(WHO) == other.credentials(WHO)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("object=master", "object=other", "NoSuchKey"),
        ("token=bridge", "token=other", "NoSuchToken"),
        ("libsoft", "none", "is not a PKCS #11 library"),
    ],
)
def test_what_is_not_there_is_told(token: str, old: str, new: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        TokenKeys("{endpoint}", read_token_uri(token.replace(old, new))).check()


@pytest.mark.parametrize(
    "text",
    ["", "0001", "pkcs11:", "pkcs11:token=a", "pkcs11:token=a;object=b", "pkcs11:object=b?module-path=/x", "file:/x"],
)
def test_any_other_text_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ConfigurationError, match="write pkcs11:token=NAME"):
        read_token_uri(text)


def test_a_token_computes_the_key_of_secrets_in_the_database_as_well(token: str, tmp_path: Path) -> None:
    config = parse(f'[service]\nstore_key = "{token}"\n', "bridge.toml", tmp_path)
    stored = store_seal(config).seal(b"a secret", "webhook:a")
    assert b"a secret" not in stored
    assert store_seal(config).open(stored, "webhook:a") == b"a secret"
    with pytest.raises(ConfigurationError, match=r"\[service\] store_key: .*cannot be used"):
        store_seal(parse(f'[service]\nstore_key = "{token.replace("master", "absent")}"\n', "x", tmp_path))


def test_a_plus_sign_in_a_token_uri_is_itself_and_percent_signs_are_decoded() -> None:
    """Only forms of web pages write a space as a plus sign (RFC 7512 §2.3). Some wrong PINs lock a token."""
    uri = read_token_uri("pkcs11:token=a+b;object=c%20d?module-path=/lib/c%2B%2B.so&pin-value=12+34%26")
    assert (uri.token, uri.label, uri.module, uri.pin) == ("a+b", "c d", "/lib/c++.so", "12+34&")
