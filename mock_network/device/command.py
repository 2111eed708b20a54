"""The command of the emulated devices: alone it runs some, with a further word it has a running one do something."""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mock_network.command_line import (
    block_size_option,
    clock_option,
    control_option,
    forever,
    parse_address,
    ready,
    run,
)
from mock_network.control_api import listening
from mock_network.device.ask import COMMANDS
from mock_network.device.control import describe, make_app
from mock_network.device.fleet import Fleet
from mock_network.device.options import (
    DEFAULT_LIFETIME,
    DEFAULT_OBJECTS,
    REGISTER_PARAMETERS,
    RESPONSE_TIMEOUT,
    DeviceOptions,
)
from mock_network.device.parameters import BEARER_WORDS, SERVER_WORDS, bearer_options, rds_pipe, server_options
from mock_network.lwm2m.credentials import ClientCertificate, PreSharedKey, client_certificate_from, key_from
from mock_network.lwm2m.definitions import Model
from mock_network.lwm2m.messages import Tuning
from mock_network.lwm2m.object_files import DefinitionError, read_files
from mock_network.lwm2m.oscore import OscoreKeys, keys_from
from mock_network.lwm2m.small_records import LEAST
from mock_network.lwm2m.standard import standard_model

_ALL_OBJECTS = "all"


def _each(parse: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], tuple[Any, ...]]:
    def callback(_context: click.Context, _parameter: click.Parameter, words: tuple[str, ...]) -> tuple[Any, ...]:
        try:
            return tuple(parse(word) for word in words)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return callback


@click.group("device", invoke_without_command=True, commands={command.name or "": command for command in COMMANDS})
@click.option("--connect", help="URI of the server, or of a modem's port; {n}: device number; needed but for a command")
@click.option("--port-step", default=0, show_default=True, help="added to the port of --connect for each next device")
@click.option(
    "--server",
    "more_servers",
    multiple=True,
    callback=_each(server_options),
    help=f"one more server account, as id=2,uri=coap://192.0.2.1; of {SERVER_WORDS}",
)
@click.option(
    "--bootstrap",
    "bootstrap_uri",
    default="",
    help="URI of a bootstrap server; alone, without --connect, it comes first",
)
@click.option("--hold-off", default=0, show_default=True, help="seconds before the first Bootstrap-Request (/0/x/11)")
@click.option("--name", default="urn:dev:os:mock-{n}", show_default=True, help="endpoint names; {n}: device number")
@click.option("--count", default=1, show_default=True, help="how many devices; 0: none yet, see the control API")
@click.option("--first", default=1, show_default=True, help="number of the first device")
@click.option("--ramp", default=0.0, show_default=True, help="seconds over which the devices are started")
@click.option("--listen", default="127.0.0.1:0", show_default=True, help="local address; a port only for one device")
@click.option("--pipe", default=None, help="address of a modem's port: all goes there, whatever the servers' URIs say")
@click.option(
    "--largest-record",
    type=click.IntRange(min=LEAST),
    help="bytes of a DTLS record that carries the handshake, for a modem with small messages",
)
@click.option(
    "--rds-pipe",
    "rds_pipes",
    multiple=True,
    callback=_each(rds_pipe),
    help="address of the modem's port for an RDS destination port of --server …,rds=PORT, as 2=127.0.0.1:8022",
)
@click.option(
    "--bearer",
    "more_bearers",
    multiple=True,
    callback=_each(bearer_options),
    help=f"one more way out, as binding=S,pipe=127.0.0.1:8022; of {BEARER_WORDS}",
)
@click.option("--lifetime", default=DEFAULT_LIFETIME, show_default=True, help="seconds")
@click.option("--binding", default="U", show_default=True, help="binding letter: U, or N for Non-IP")
@click.option("--queue-mode", is_flag=True, help="register with Q")
@click.option(
    "--awake-time", type=float, help="seconds that the device listens after its last message; left out: always"
)
@click.option("--lwm2m", "version", default="1.1", show_default=True, help="LwM2M version in Register")
@click.option("--omit", multiple=True, type=click.Choice(sorted(REGISTER_PARAMETERS)), help="leave out of Register")
@click.option("--root", default="", help="alternate path, as lwm2m")
@click.option("--objects", default="", help="further objects by their ids, as 6,3442; or all")
@click.option(
    "--object-files",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="further object definitions: a file or folder of the OMA registry's XML, or of TOML",
)
@click.option("--send-at-register", multiple=True, help="path whose value goes out by Send after each Register")
@click.option(
    "--oscore",
    callback=lambda _context, _parameter, words: None if words is None else _keys(words),
    help="protect all traffic with the server: secret=HEX,sender=HEX,recipient=HEX, if wanted salt=HEX, context=HEX",
)
@click.option(
    "--psk",
    callback=lambda _context, _parameter, words: None if words is None else _psk(words),
    help="reach the server by DTLS with a pre-shared key: identity=TEXT,key=HEX",
)
@click.option(
    "--certificate",
    callback=lambda _context, _parameter, words: None if words is None else _certificate(words),
    help="reach the server by DTLS with certificates: certificate=FILE,private_key=FILE,server=FILE, all PEM; server "
    "is the authority of the server's certificate or, with usage=3, that certificate itself",
)
@click.option("--fresh-within", type=float, help="seconds: a changing request must carry an Echo value no older")
@click.option("--no-clock", is_flag=True, help="the device knows no time before a server writes /3/0/13")
@click.option("--answer-delay", default=0.0, show_default=True, help="seconds that the device takes for an answer")
@click.option("--con-notify", is_flag=True, help="notifications are CON, not NON")
@click.option("--no-register", is_flag=True, help="register only when the control API asks for it")
@block_size_option
@click.option("--max-request", type=int, help="bytes; a larger request in one piece is answered 4.13")
@click.option("--ack-timeout", default=2.0, show_default=True, help="seconds (RFC 7252 §4.8)")
@click.option("--max-retransmit", default=4, show_default=True, help="RFC 7252 §4.8")
@click.option("--retry-timer", default=60.0, show_default=True, help="seconds before Register is tried again (/1/x/18)")
@click.option("--seed", default=None, type=int, help="of random numbers")
@control_option(what="control API: of the new devices, or of the running ones that a command is for")
@clock_option
@click.pass_context
def device(
    context: click.Context,
    /,
    connect: str | None,
    port_step: int,
    name: str,
    count: int,
    first: int,
    ramp: float,
    control: tuple[str, int],
    clock: str,
    **given: Any,
) -> None:
    """Run emulated LwM2M 1.1 devices, or have a running one do something.

    Without a command devices run; one line of JSON with all addresses is printed when they are there. They may be
    pointed at any LwM2M server, or at the modem of an emulated network:

        lwm2m-bridge mock device --connect coap://192.0.2.1:5683 --name urn:dev:os:meter-1

    With a command, a running device whose control API is at --control does it:

        lwm2m-bridge mock device --control 127.0.0.1:8002 set urn:dev:os:meter-1 /3303/0/5700 21.5
    """
    context.obj = control
    if context.invoked_subcommand is not None:
        return
    if connect is None and not given["bootstrap_uri"]:
        raise click.UsageError("name a server with --connect, or a bootstrap server with --bootstrap")
    if count > 1 and "{n}" not in name:
        raise click.BadParameter("several devices need {n} in their names", param_hint="--name")
    defaults = _defaults(**given)
    many = [
        dataclasses.replace(
            defaults,
            endpoint=name.replace("{n}", str(number)),
            server_uri=_stepped((connect or "").replace("{n}", str(number)), port_step * (number - first)),
            bootstrap_uri=defaults.bootstrap_uri.replace("{n}", str(number)),
            seed=None if defaults.seed is None else defaults.seed + number,
        )
        for number in range(first, first + count)
    ]

    async def main() -> None:
        fleet = Fleet()
        try:
            async with listening(make_app(fleet, defaults), control) as bound:
                await fleet.add_all(many, ramp)
                devices = [describe(device) for device in fleet.devices.values()]
                ready(control=f"http://{bound}/control", devices=devices)
                await forever()
        finally:
            await fleet.stop()

    run(main, clock, logging.WARNING)


def _defaults(
    more_servers: tuple[Any, ...],
    more_bearers: tuple[Any, ...],
    bootstrap_uri: str,
    hold_off: int,
    listen: str,
    pipe: str | None,
    largest_record: int | None,
    rds_pipes: tuple[Any, ...],
    lifetime: int,
    binding: str,
    queue_mode: bool,
    awake_time: float | None,
    version: str,
    omit: tuple[str, ...],
    root: str,
    objects: str,
    object_files: tuple[Path, ...],
    send_at_register: tuple[str, ...],
    oscore: OscoreKeys | None,
    psk: PreSharedKey | None,
    certificate: ClientCertificate | None,
    fresh_within: float | None,
    no_clock: bool,
    answer_delay: float,
    con_notify: bool,
    no_register: bool,
    block_size: int,
    max_request: int | None,
    ack_timeout: float,
    max_retransmit: int,
    retry_timer: float,
    seed: int | None,
) -> DeviceOptions:
    try:
        model = standard_model().with_objects(read_files(object_files))
    except (DefinitionError, OSError) as error:
        raise click.BadParameter(str(error), param_hint="--object-files") from error
    tuning = Tuning(
        ack_timeout=ack_timeout, max_retransmit=max_retransmit, block_exponent=block_size, max_request=max_request
    )
    return DeviceOptions(
        endpoint="",
        server_uri="",
        more_servers=more_servers,
        more_bearers=more_bearers,
        bootstrap_uri=bootstrap_uri,
        bootstrap_hold_off=hold_off,
        lifetime=lifetime,
        binding=binding,
        queue_mode=queue_mode,
        awake_time=awake_time,
        version=version,
        omit=frozenset(omit),
        root=root,
        objects=DEFAULT_OBJECTS | _objects(objects, model),
        model=model,
        bind=parse_address(listen),
        pipe=None if pipe is None else parse_address(pipe),
        largest_record=largest_record,
        rds_pipes=rds_pipes,
        send_at_register=send_at_register,
        oscore=oscore,
        psk=psk,
        certificate=certificate,
        fresh_within=fresh_within,
        has_clock=not no_clock,
        answer_delay=answer_delay,
        tuning=tuning,
        response_timeout=max(RESPONSE_TIMEOUT, tuning.exchange_lifetime),  # it repeats its message to the last first
        confirmable_notifications=con_notify,
        keep_registered=not no_register,
        retry_timer=retry_timer,
        seed=seed,
    )


def _keys(words: str) -> OscoreKeys:
    try:
        return keys_from(dict(word.partition("=")[::2] for word in words.split(",")))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _psk(words: str) -> PreSharedKey:
    try:
        return key_from(dict(word.partition("=")[::2] for word in words.split(",")))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _certificate(words: str) -> ClientCertificate:
    found: dict[str, Any] = dict(word.partition("=")[::2] for word in words.split(","))
    try:
        if "usage" in found:
            found["usage"] = int(found["usage"])
        files = {name: Path(file).read_text("ascii") for name, file in found.items() if name != "usage"}
        return client_certificate_from({**found, **files})
    except (ValueError, OSError) as error:
        raise click.BadParameter(str(error)) from error


def _objects(text: str, model: Model) -> frozenset[int]:
    if text == _ALL_OBJECTS:
        return frozenset(model.objects) - {2}  # Access Control comes with a second server
    try:
        found = frozenset(int(word) for word in filter(None, text.split(",")))
    except ValueError:
        raise click.BadParameter(f"{text!r} are no object ids", param_hint="--objects") from None
    if unknown := sorted(found - set(model.objects)):
        raise click.BadParameter(f"object {unknown[0]} has no definition", param_hint="--objects")
    return found


def _stepped(uri: str, step: int) -> str:
    if not step:
        return uri
    start, _, port = uri.rpartition(":")
    if not port.isdigit():
        raise click.BadParameter("--port-step needs a port in the URI", param_hint="--connect")
    return f"{start}:{int(port) + step}"
