"""Networks are told whose data they shall carry."""

import logging
from collections.abc import Callable, Mapping

from bindings.contract import Binding
from bridge.directory import Record
from bridge.errors import BridgeError, NotFound

log = logging.getLogger(__name__)


class Provisioning:
    """Asks bindings to provision devices, and to give them up."""

    def __init__(self, networks: Mapping[str, Binding], count: Callable[..., None]) -> None:
        self._networks = networks
        self._count = count

    async def ask(self, record: Record) -> None:
        """Have its network carry an endpoint's data. Raises NotFound, or BridgeError with the network's reason."""
        binding = self._networks.get(record.network)
        if binding is None:
            raise NotFound(f"network {record.network!r} is not configured")
        await binding.provision(record.device, record.options)

    async def begin(self, record: Record) -> None:
        """Do what `ask` does; a failure is logged and counted."""
        if record.network not in self._networks:
            return
        try:
            await self.ask(record)
        except BridgeError as error:
            self._count("provision_failures", network=record.network)
            log.warning("not provisioned: %s", error, extra={"endpoint": record.name, "sample": "provision"})

    async def end(self, record: Record) -> None:
        """Have its network give an endpoint's device up; a failure is logged and counted."""
        binding = self._networks.get(record.network)
        if binding is None:
            return
        try:
            await binding.deprovision(record.device)
        except BridgeError as error:
            self._count("deprovision_failures", network=record.network)
            log.warning("not deprovisioned: %s", error, extra={"endpoint": record.name, "sample": "deprovision"})
