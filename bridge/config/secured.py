"""Sessions with servers, from the configuration: reads files, loads libraries, checks everything."""

from collections.abc import Callable
from dataclasses import dataclass

from bridge.config.model import Config
from bridge.config.security import NONE, Security
from bridge.config.uris import read_uri
from bridge.errors import ConfigurationError
from bridge.extras import cure
from bridge.north.identities import KeySource
from bridge.north.sessions.transport import LinkSettings
from bridge.tls.contract import Backend
from bridge.tls.settings import SessionSettings


@dataclass(frozen=True, slots=True)
class Secured:
    """How sessions with one server are made and kept."""

    backend: Backend
    session: SessionSettings
    source: KeySource
    link: LinkSettings
    asks_ocsp: Security | None = None  # its section, where OCSP responders are asked
    lists: Callable[[], bytes] | None = None  # reads its revocation lists as they are now; ConfigurationError


def secured(config: Config) -> dict[str, Secured]:
    """Return the servers with DTLS or TLS. Raises ConfigurationError that names section and cure."""
    backends: dict[str, Backend] = {}
    found: dict[str, Secured] = {}
    for key, server in config.servers.items():
        security, place = server.security, read_uri(server.uri)
        if security.mode == NONE:
            continue
        try:
            library = security.dtls
            if library not in backends:
                backends[library] = _backend(library)
            session = security.session(config.directory, place.host, stream=place.stream)
            backends[library].check(session)
            source = security.source(config.directory)
            source.check()
        except ConfigurationError as error:
            raise ConfigurationError(f"{config.where(f'[servers.{key}.security]')} {error}") from error
        asks_ocsp = security if security.revocation == "ocsp" else None
        link = server.links.settings(identified=True)
        lists = security.lists(config.directory)
        found[key] = Secured(backends[library], session, source, link, asks_ocsp, lists)
    return found


def plain_connections(config: Config) -> dict[str, LinkSettings]:
    """Return the servers with TCP without TLS."""
    places = {key: read_uri(server.uri) for key, server in config.servers.items()}
    return {
        key: config.servers[key].links.settings(identified=False)
        for key, place in places.items()
        if place.stream and not place.secure
    }


def _backend(library: str) -> Backend:
    if library == "openssl":
        from bridge.tls.openssl import OpenSsl

        return OpenSsl()
    try:
        from bridge.tls.mbedtls import MbedTls
    except ModuleNotFoundError as error:
        missing = (
            cure(error.name, "mbedtls", "lwm2m-nonip-bridge") or f"{error}; python-mbedtls is for Python 3.11, 3.12"
        )
        raise ConfigurationError(f'dtls = "mbedtls": {missing}') from None
    return MbedTls()
