"""Dynamic management of RDS ports (TS 29.122 §4.4.5.5): reserved by the SCS/AS or by the UE, once the UE was asked."""

from mock_network.scef.core import effects as e
from mock_network.scef.core.cell import Cell
from mock_network.scef.core.context import Context
from mock_network.scef.core.nidd_model import Configuration, ManagedPort
from mock_network.scef.core.profile import DYNAMIC_PORTS
from mock_network.scef.core.refusals import Refusal, RefusedError
from mock_network.scef.core.states import Situation
from mock_network.scef.core.ue import Ue
from mock_network.scef.schema.nidd import ManagePort, RdsPort

_INQUIRY = "RDS inquiry"


def port_id(port: RdsPort) -> str:
    """Return the name of a pair of ports as the resource has it."""
    return f"ue{port.ue}-ef{port.scef}"


class RdsPorts:
    """Reserved ports of all configurations."""

    def __init__(self, context: Context, cell: Cell) -> None:
        self._context, self._timers, self._cell = context, context.timers, cell
        self._asked_now: dict[str, tuple[Configuration, ManagedPort]] = {}
        self._waiting: dict[str, list[tuple[Configuration, ManagedPort]]] = {}  # by UE
        self._timers.handle(_INQUIRY, self._inquired)

    def check(self, configuration: Configuration) -> Ue:
        """Return the UE of a configuration with the feature Rds_dynamic_port. Raises RefusedError."""
        if not (configuration.features or 0) & DYNAMIC_PORTS or configuration.ue is None:
            raise RefusedError(Refusal.FEATURE_NOT_NEGOTIATED)
        return self._cell.ues[configuration.ue]

    def find(self, configuration: Configuration, name: str) -> ManagedPort:
        """Return a reserved port. Raises RefusedError."""
        self.check(configuration)
        found = configuration.ports.get(name)
        if found is None or found.pending:
            raise RefusedError(Refusal.RESOURCE_UNKNOWN)
        return found

    def reserve(self, configuration: Configuration, port: RdsPort, terms: ManagePort, now: float) -> ManagedPort:
        """Reserve a port for the SCS/AS. Raises RefusedError.

        The answer is a PortAnswered effect: when the UE has been asked, or at once where it cannot be reached; then the
        end is notified.
        """
        ue, name = self.check(configuration), port_id(port)
        taken = configuration.ports.get(name)
        if taken is not None and (taken.entity != "AS" or taken.terms.app_id != terms.app_id):
            raise RefusedError(Refusal.PORT_NOT_FREE)
        managed = ManagedPort(name, port, terms, "AS", pending=not terms.skip_ue_inquiry)
        configuration.ports[name] = managed
        if not managed.pending:
            managed.terms = _with_format(terms, ue)
            self._context.out.append(e.PortAnswered(managed))
        else:
            self._ask(configuration, managed, ue, now)
        return managed

    def release(self, configuration: Configuration, name: str, now: float) -> ManagedPort:
        """Release a port; answered as `reserve`. Raises RefusedError."""
        managed = self.find(configuration, name)
        if managed.entity != "AS":
            raise RefusedError(Refusal.PORT_NOT_FREE)
        managed.release, managed.announced = True, False
        if managed.terms.skip_ue_inquiry:
            del configuration.ports[name]
            self._context.out.append(e.PortAnswered(managed))
        else:
            self._ask(configuration, managed, self.check(configuration), now)
        return managed

    def reserve_by_ue(self, configuration: Configuration, port: RdsPort, terms: ManagePort) -> None:
        """Let the UE reserve a port, and notify that. Raises RefusedError."""
        self.check(configuration)
        name = port_id(port)
        if name in configuration.ports:
            raise RefusedError(Refusal.PORT_NOT_FREE)
        configuration.ports[name] = ManagedPort(name, port, terms, "UE")
        self._notify(configuration)

    def contact(self, ue: Ue, now: float) -> None:
        """Ask a UE that can be reached now."""
        for configuration, managed in self._waiting.pop(ue.name, ()):
            if configuration.ports.get(managed.id) is managed:
                self._ask(configuration, managed, ue, now)

    def forget_ue(self, ue: Ue) -> None:
        """Drop what waits for a removed UE."""
        self._waiting.pop(ue.name, None)

    def _ask(self, configuration: Configuration, managed: ManagedPort, ue: Ue, now: float) -> None:
        if self._cell.situation(ue) is Situation.REACHABLE:
            key = f"{configuration.id}/{managed.id}"
            self._asked_now[key] = (configuration, managed)
            self._timers.set(_INQUIRY, key, now + 2 * ue.latency(self._context.rng))
        else:
            self._wait(configuration, managed, ue)

    def _wait(self, configuration: Configuration, managed: ManagedPort, ue: Ue) -> None:
        self._waiting.setdefault(ue.name, []).append((configuration, managed))
        if not managed.announced:
            managed.announced = True
            self._context.out.append(e.PortAnswered(managed, pending=True))

    def _inquired(self, key: str, now: float) -> None:
        configuration, managed = self._asked_now.pop(key)
        ue = self._cell.ues.get(configuration.ue or "")
        if ue is None or configuration.ports.get(managed.id) is not managed:
            return
        if not ue.settings.in_coverage:
            ue.silent = True
            self._wait(configuration, managed, ue)
            return
        refused = None
        if managed.release:
            del configuration.ports[managed.id]
        elif not _acceptable(managed.terms, ue):
            del configuration.ports[managed.id]
            refused = RefusedError(Refusal.PORT_REFUSED, more={"supportedUeFormats": list(ue.settings.rds_formats)})
        else:
            managed.pending, managed.terms = False, _with_format(managed.terms, ue)
        self._context.air.write(now, ue.name, "rds-port", port=managed.id, accepted=refused is None)
        if managed.announced:
            self._notify(configuration)
        else:
            self._context.out.append(e.PortAnswered(managed, refused=refused))

    def _notify(self, configuration: Configuration) -> None:
        reserved = tuple(port for port in configuration.ports.values() if not port.pending)
        self._context.out.append(e.NotifyPorts(configuration, reserved))


def _acceptable(terms: ManagePort, ue: Ue) -> bool:
    wanted, offered = terms.supported_formats, ue.settings.rds_formats
    return not wanted or not offered or bool(set(wanted) & set(offered))


def _with_format(terms: ManagePort, ue: Ue) -> ManagePort:
    """Return the terms with the format that both sides have, where formats were offered."""
    wanted, offered = terms.supported_formats or [], ue.settings.rds_formats
    common = [one for one in wanted if not offered or one in offered]
    members = {name: getattr(terms, name) for name in ("app_id", "skip_ue_inquiry", "supported_formats")}
    return ManagePort(**members, configured_format=common[0] if common else None)
