"""`lwm2m-bridge run`: the service."""

import asyncio
import logging
import os
import signal
import ssl
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.background import told_to
from bridge.cli.common import config_option, errors_shown, read_config
from bridge.config import Config, api_context, load_api_certificate
from bridge.service.clock import Clock, RealClock, behind_the_release

if TYPE_CHECKING:
    from bridge.service.reload import Reloader

log = logging.getLogger("bridge")

GC_THRESHOLD = 50_000  # allocations between two runs of the garbage collector; the default 700 costs 5 % at full load

LOST = 75  # exit status: another attempt may succeed (EX_TEMPFAIL of sysexits.h)

clock_option = click.option(
    "--clock",
    "clock_url",
    default="real",
    show_default=True,
    help="For tests: URL of a clock process on loopback whose time this process follows.",
)


@click.command("run")
@config_option
@clock_option
@errors_shown
def run(config_path: Path, clock_url: str) -> None:
    """Run the bridge until SIGTERM or Ctrl-C."""
    from bridge.logging import configure

    asked: list[int] = []
    signal.signal(signal.SIGHUP, lambda number, _frame: asked.append(number))  # ends the process otherwise
    config = read_config(config_path)
    configure(config.service.log_level, config.service.log_format, config.secrets)
    factory, clock = on_clock(clock_url)
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(config, clock, lambda: read_config(config_path), asked))


def on_clock(url: str) -> tuple[Callable[[], asyncio.AbstractEventLoop] | None, Callable[[], Clock]]:
    """Return the event loop and the clock for `--clock`: the machine's own, or those of a test.

    Raises ClickException if no clock process answers there, or if it is not on this machine.
    """
    if url == "real":
        return None, RealClock
    from mock_network.clock import ClockControl, ClockError, clock_loop_factory, current_clock

    try:
        ClockControl(url).mapping()
    except ClockError as error:
        raise click.ClickException(f"--clock: {error}") from error
    return clock_loop_factory(url), current_clock


async def _serve(
    config: Config, clock: Callable[[], Clock], read: Callable[[], Config], asked_before: Sequence[int]
) -> None:
    import gc

    from bridge.control.local_socket import LocalSocket
    from bridge.control.rest.server import RestApi
    from bridge.service.descriptors import take_all, warn_if_too_few
    from bridge.service.metrics_server import MetricsServer
    from bridge.service.reload import Reloader
    from bridge.service.service import Service
    from bridge.service.systemd import Systemd

    gc.set_threshold(GC_THRESHOLD, 50, 100)
    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop.set)
    descriptors = take_all()
    _define_objects(config)
    service = Service(config, clock())
    loop.set_exception_handler(told_to(service.metrics.count))
    service.ledger_lost = _end_at_once
    control = LocalSocket(service, config.control_socket)
    metrics = MetricsServer(service, config.service.metrics_address())
    api = RestApi(service, config.api.address(), api_context(config), config.api.allowed_origins, service.metrics.count)
    reloader = service.reloader = Reloader(
        read,
        config,
        [
            lambda after: _renew_certificate(api.context, after),  # api_context has tried it
            lambda after: api.allow_origins(after.api.allowed_origins),
            _apply_logging,
            _define_objects,
            service.change_quotas,
            service.seed,
        ],
        service.metrics.count,
        listen=[
            lambda after: api.moving(after.api.address(), api_context(after)),
            lambda after: metrics.moving(after.service.metrics_address()),
        ],
        change=service.change,
    )
    if clock is RealClock and (early := behind_the_release(RealClock.wall())):  # the clock of a test says what it likes
        log.warning("%s", early)
    asked_to_reload = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, asked_to_reload.set)  # also during the start: then it follows the start
    if asked_before:
        asked_to_reload.set()
    systemd = Systemd()
    telling = asyncio.create_task(systemd.follow(service.summary, is_ready=lambda: service.ready))
    try:
        if config.standby.enabled:  # probes and metrics are answered also while another bridge serves
            await metrics.start()
        if await _completed(service.open(), asked_to_stop):  # its lock proves that no other process has the socket
            await control.start()
            if not config.standby.enabled:
                await metrics.start()
            await api.start()
        if not asked_to_stop.is_set() and await _completed(service.start(), asked_to_stop):
            systemd.ready()
            if service.parts.north.descriptor_each:
                warn_if_too_few(descriptors, service.directory.size)
            service.begin(_reload_when_asked(reloader, asked_to_reload))
            log.info("ready", extra={"endpoints": service.directory.size, "networks": ",".join(service.networks)})
            if config.idle:
                log.warning("the bridge %s", config.idle)
            await asked_to_stop.wait()
        log.info("stopping")
    finally:
        telling.cancel()
        systemd.stopping()
        loop.remove_signal_handler(signal.SIGHUP)
        await api.stop()
        await service.stop()
        await metrics.stop()
        await control.stop()


def _end_at_once() -> None:
    """End the process: another bridge may serve the ledger in a moment. All that was accepted is in the ledger."""
    log.critical("the database did not confirm the lease in time: the bridge ends, so that another one can take over")
    os._exit(LOST)


def _renew_certificate(context: ssl.SSLContext | None, config: Config) -> None:
    if context is not None:
        load_api_certificate(config, context)


async def _reload_when_asked(reloader: "Reloader", asked: asyncio.Event) -> None:
    while True:
        await asked.wait()
        asked.clear()  # what is asked from now on may be about another file
        await reloader.reload_and_log()


def _apply_logging(config: Config) -> None:
    from bridge.logging import configure

    configure(config.service.log_level, config.service.log_format, config.secrets)


def _define_objects(config: Config) -> None:
    from bridge.config.object_models import object_models
    from bridge.lwm2m.objects import define

    define(object_models(config))


async def _completed(start: Coroutine[Any, Any, None], asked_to_stop: asyncio.Event) -> bool:
    """Run a start to its end; return False if a stop was requested before that."""
    starting = asyncio.create_task(start)
    stopping = asyncio.create_task(asked_to_stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        return False
    starting.result()
    return True
