"""Settings, credentials and TLS: every field explained, no secret shown, every mistake named with its cure."""

import socket
from typing import Annotated, get_args, get_origin, get_type_hints

import msgspec
import pytest
from scripted_scef import ScriptedScef

from bindings.contract import Accepted, Ambiguous, Binding, Kind, Refusal, Submission
from bindings.nidd import NiddBinding, NiddSettings
from bindings.nidd.settings import Configurations, Downlinks
from bindings.t8.settings import Callbacks, Credentials, Http
from bridge.errors import BindingError, ConfigurationError
from tests.waiting import until

DEVICE = "dev1@iot.example"
ATTEMPT = Submission(1, 1, DEVICE, b"x", Kind.REQUEST)


def described(struct):
    for name, hint in get_type_hints(struct, include_extras=True).items():
        notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
        yield name, any(isinstance(note, msgspec.Meta) and note.description for note in notes)


@pytest.mark.parametrize("struct", [NiddSettings, Credentials, Http, Callbacks, Configurations, Downlinks])
def test_every_field_is_explained(struct):
    assert not [name for name, explained in described(struct) if not explained]


def test_the_class_keeps_the_contract():
    binding: Binding = NiddBinding("n", NiddSettings(api_root="https://scef.example/x", scs_as_id="as1"))
    assert binding.settings() is NiddSettings


def test_no_secret_in_repr():
    settings = NiddSettings(
        api_root="https://scef.example",
        scs_as_id="as1",
        credentials=Credentials(kind="oauth2", client_secret="s3cret1", token="s3cret2", password="s3cret3"),
        http=Http(proxy="http://user:s3cret4@proxy", headers={"X-Key": "s3cret5"}),
        callbacks=Callbacks(path="s3cret6", password="s3cret7", token="s3cret8"),
    )
    assert "s3cret" not in repr(settings)
    assert "***" in repr(settings)


def test_unknown_keys_are_errors():
    with pytest.raises(msgspec.ValidationError, match="api_rot"):
        msgspec.convert({"api_root": "https://x", "scs_as_id": "a", "api_rot": 1}, NiddSettings)


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"api_root": "scef.example"}, "api_root"),
        ({"api_root": "https://scef.example/3gpp-nidd/v1"}, "3gpp-nidd"),
        ({"http": Http(connect_timeout=5, request_timeout=5)}, "connect_timeout"),
        ({"http": Http(ca_bundle="/nowhere.pem")}, "ca_bundle"),
        ({"http": Http(client_certificate="/nowhere.pem")}, "client_certificate"),
        ({"callbacks": Callbacks(certificate="/nowhere.pem")}, "callbacks.certificate"),
        ({"callbacks": Callbacks(client_ca="/nowhere.pem")}, "client_ca"),
        ({"callbacks": Callbacks(kind="basic")}, "callbacks.username"),
        ({"callbacks": Callbacks(kind="bearer")}, "callbacks.token"),
        ({"credentials": Credentials(kind="basic")}, "credentials.username"),
        ({"credentials": Credentials(kind="bearer")}, "credentials.token"),
        ({"credentials": Credentials(kind="oauth2", client_id="x")}, "credentials.token_url"),
    ],
)
def test_mistakes_are_named_before_anything_is_opened(parts, named):
    with pytest.raises(ConfigurationError, match=named):
        NiddBinding("n", NiddSettings(**({"api_root": "https://scef.example", "scs_as_id": "as1"} | parts)))


async def test_a_wildcard_address_needs_a_public_url(make):
    with pytest.raises(ConfigurationError, match="public_url"):
        await make(callbacks={"bind": "0.0.0.0"})


async def test_a_port_in_use_is_said(make):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BindingError, match="another process"):
            await make(callbacks={"port": taken.getsockname()[1]})


async def test_the_public_url_is_apart_from_the_bind_address(make, scef):
    binding = await make(callbacks={"public_url": "https://bridge.example/t8/", "path": "p"})
    await binding.provision(DEVICE, {})
    await until(lambda: scef.name_of(DEVICE))
    assert scef.callback_of(DEVICE) == "https://bridge.example/t8/p"


async def connected(binding, scef):
    await binding.provision(DEVICE, {})
    await until(lambda: binding.status()["configurations"]["active"] == 1)
    return await binding.submit(ATTEMPT)


async def test_basic(make, scef):
    scef.authorization = "Basic dTpw"
    binding = await make(credentials={"kind": "basic", "username": "u", "password": "p"})
    assert isinstance(await connected(binding, scef), Accepted)


async def test_bearer_and_extra_headers(make, scef):
    scef.authorization = "Bearer t"
    binding = await make(credentials={"kind": "bearer", "token": "t"}, http={"headers": {"X-Api-Key": "k"}})
    assert isinstance(await connected(binding, scef), Accepted)
    assert scef.made("submit")[0][1]["X-Api-Key"] == "k"


def oauth(scef, **more):
    return {"kind": "oauth2", "token_url": scef.host + "/token", "client_id": "me", "client_secret": "s3cret"} | more


async def test_oauth2_asks_once_and_uses_the_token(make, scef):
    scef.authorization = "none yet"
    binding = await make(credentials=oauth(scef))
    assert isinstance(await connected(binding, scef), Accepted)
    (request,) = scef.made("token")
    assert request[1]["Authorization"] == "Basic bWU6czNjcmV0"
    assert request[2] == "grant_type=client_credentials"
    assert binding.status()["client"]["credentials"]["token"] == "valid"


async def test_oauth2_with_the_secret_in_the_body(make, scef):
    binding = await make(credentials=oauth(scef, client_secret_in="body", scope="nidd"))
    await connected(binding, scef)
    assert set(scef.made("token")[0][2].split("&")) == {
        "grant_type=client_credentials",
        "client_id=me",
        "client_secret=s3cret",
        "scope=nidd",
    }


async def test_401_renews_the_token_once_and_repeats(make, scef):
    binding = await make(credentials=oauth(scef))
    await connected(binding, scef)
    scef.authorization = "expired on their side"
    assert isinstance(await binding.submit(ATTEMPT), Accepted)
    assert len(scef.made("token")) == 2


async def test_401_again_is_an_answer(make, scef):
    binding = await make(credentials=oauth(scef))
    await connected(binding, scef)
    scef.script["submit"].extend([(401, None, {"WWW-Authenticate": "Bearer"})] * 3)
    assert (await binding.submit(ATTEMPT)).why is Refusal.NETWORK_UNAVAILABLE
    assert len(scef.script["submit"]) == 1  # two of three used


@pytest.mark.parametrize(
    "answer", [(400, {"error": "invalid_client"}), (200, {"access": "s3cret"}), (200, "<html>s3cret")]
)
async def test_a_token_that_cannot_be_had_is_certain_and_shows_nothing(make, scef, caplog, answer):
    binding = await make(credentials=oauth(scef))
    await connected(binding, scef)
    scef.authorization = "ended on their side"
    scef.script["token"].append(answer)
    result = await binding.submit(ATTEMPT)
    assert result.why is Refusal.NETWORK_UNAVAILABLE
    assert "token endpoint" in result.detail
    assert "s3cret" not in caplog.text + result.detail + str(binding.status())


async def test_credentials_do_not_follow_a_redirect_to_another_host(make, scef):
    binding = await make(credentials={"kind": "bearer", "token": "t"})
    async with ScriptedScef() as other:
        scef.script["list"].append((307, None, {"Location": other.root + "/3gpp-nidd/v1/as1/configurations"}))
        await binding.provision(DEVICE, {})
        await until(lambda: other.made("list"))
        assert "Authorization" not in other.made("list")[0][1]


async def test_callbacks_over_mutual_tls(make, scef, certificate):
    import ssl

    import aiohttp

    binding = await make(callbacks={"certificate": certificate, "client_ca": certificate})
    assert binding.listener.url.startswith("https://")
    trusting = ssl.create_default_context(cafile=certificate)
    with pytest.raises(aiohttp.ClientError):
        async with scef.session.post(binding.listener.url, json={"subscription": "x"}, ssl=trusting) as answer:
            await answer.read()
    trusting.load_cert_chain(certificate)
    async with scef.session.post(binding.listener.url, json={"subscription": "x"}, ssl=trusting) as answer:
        assert answer.status == 204


async def test_nothing_secret_follows_a_redirect_to_another_host(make, scef):
    """Keys of an API gateway are credentials as well."""
    binding = await make(credentials={"kind": "bearer", "token": "t"}, http={"headers": {"X-Api-Key": "s3cret"}})
    await connected(binding, scef)
    async with ScriptedScef() as other:
        location = other.root + "/3gpp-nidd/v1/as1/configurations/c/downlink-data-deliveries"
        scef.script["submit"].append((307, None, {"Location": location}))
        other.script["submit"].append((200, {"data": "AA==", "deliveryStatus": "SUCCESS"}))
        assert isinstance(await binding.submit(ATTEMPT), Accepted)
        (request,) = other.made("submit")
        assert not {"Authorization", "X-Api-Key"} & request[1].keys()


async def test_the_token_endpoint_gets_the_headers_of_the_gateway(make, scef):
    binding = await make(credentials=oauth(scef), http={"headers": {"X-Api-Key": "k"}})
    await connected(binding, scef)
    assert scef.made("token")[0][1]["X-Api-Key"] == "k"


@pytest.mark.parametrize("headers", [{"X": "a\r\nY: b"}, {"X:": "a"}, {"X\n": "a"}])
def test_headers_that_would_break_a_request_are_named(headers):
    with pytest.raises(ConfigurationError, match=r"http\.headers"):
        NiddBinding("n", NiddSettings(api_root="https://scef.example", scs_as_id="as1", http=Http(headers=headers)))


async def test_a_proxys_401_does_not_have_a_downlink_sent_again(make, scef):
    """A proxy's 401 proves nothing, so the first downlink may have been accepted."""
    binding = await make(credentials=oauth(scef))
    await connected(binding, scef)
    scef.script["submit"].append((401, "<html>log in</html>"))
    assert isinstance(await binding.submit(ATTEMPT), Ambiguous)
    assert len(scef.made("submit")) == 2  # that of `connected`, and this one


async def test_a_scef_whose_errors_have_no_body(make, scef):
    binding = await make(quirks={"bare_answers": True})
    await connected(binding, scef)
    scef.script["submit"].append((503, None))
    assert (await binding.submit(ATTEMPT)).why is Refusal.NETWORK_UNAVAILABLE
    scef.script["submit"].append((503, "<html>"))
    assert isinstance(await binding.submit(ATTEMPT), Ambiguous)
