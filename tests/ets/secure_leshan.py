"""A real Leshan that knows the devices of the cases with DTLS."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.components import LESHAN
from tests.conftest import need_component
from tests.ets.secure import KEY, name_of, of_the_server
from tests.interop.leshan_server import LeshanProcess, start_leshan

NUMBERS = (401, 402, 403)
"""Cases without a bootstrap server, and without OSCORE."""


@contextmanager
def secure_leshan(folder: Path) -> Iterator[LeshanProcess]:
    """Run a server whose certificate and trusted authorities stand in files of a folder."""
    need_component(LESHAN)
    files = {name: folder / f"{name}.pem" for name in of_the_server()}
    for name, pem in of_the_server().items():
        files[name].write_text(pem)
    options = [
        ("--psk", f"{name_of(401)},identity-401,{KEY.hex()}"),
        ("--x509", name_of(402)),
        ("--x509", name_of(403)),
    ]
    options += [("--certificate", str(files["certificate"])), ("--private-key", str(files["private_key"]))]
    started = start_leshan(secure=[*options, ("--authority", str(files["authorities"]))])
    try:
        yield started
    finally:
        started.stop()
