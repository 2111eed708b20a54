"""The server accounts of a device: from its Security and Server objects (Core TS 1.1 §6.1, §6.2)."""

from dataclasses import dataclass

from mock_network.device.tree import ObjectTree
from mock_network.lwm2m.definitions import SECURITY, SERVER
from mock_network.lwm2m.paths import Path

URI, IS_BOOTSTRAP, SECURITY_SERVER_ID, HOLD_OFF, ACCOUNT_TIMEOUT, OSCORE_LINK, RDS_DESTINATION_PORT = (
    0,
    1,
    10,
    11,
    12,
    17,
    28,
)
SERVER_ID, LIFETIME, DEFAULT_PMIN, DEFAULT_PMAX, DISABLE, DISABLE_TIMEOUT, _STORING, BINDING, UPDATE_TRIGGER = range(9)
BOOTSTRAP_TRIGGER, APN_LINK, ALERT_CODE, LAST_BOOTSTRAPPED = range(9, 13)
ORDER, INITIAL_DELAY, FAILURE_BLOCK, BOOTSTRAP_ON_FAILURE = range(13, 17)
RETRY_COUNT, RETRY_TIMER, SEQUENCE_DELAY, SEQUENCE_COUNT, SMS_TRIGGER, PREFERRED_TRANSPORT, MUTE_SEND = range(17, 24)

FIRST_SERVER_ID, LAST_SERVER_ID = 1, 65534  # Core TS 1.1, /1/x/0
NO_MORE_SEQUENCES = 0xFFFFFFFF  # MAX_VALUE of /1/x/19


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and how far apart, a client tries to reach a server; seconds. Defaults of Core TS 1.1 §6.2.1.1."""

    count: int = 5
    """Attempts in a sequence, /1/x/17."""
    timer: float = 60.0
    """Pause after the first attempt, doubled after each further one, /1/x/18."""
    sequence_delay: float = 86400.0
    """Pause between sequences, /1/x/19."""
    sequences: int = 1
    """Sequences before registration counts as failed, /1/x/20."""

    def pause(self, attempt: int) -> float:
        """Return the pause after the given attempt of a sequence, counted from 1."""
        return self.timer * 2.0 ** (attempt - 1)


@dataclass(frozen=True, slots=True)
class Account:
    """One server account as it is now: an instance of Security and one of Server with the same Short Server ID."""

    server_id: int
    security: Path
    server: Path
    uri: str
    lifetime: int
    binding: str
    order: int | None
    initial_delay: float
    failure_block: bool
    bootstrap_on_failure: bool
    retry: RetryPolicy
    rds_port: int | None
    preferred_transport: str
    apn: Path | None
    """The instance of APN Connection Profile that /1/x/10 names."""
    muted: bool
    """Whether Send is muted (/1/x/23): true where the resource is absent."""


@dataclass(frozen=True, slots=True)
class BootstrapAccount:
    """The account of the bootstrap server."""

    security: Path
    uri: str
    hold_off: float
    """Seconds before the first Bootstrap-Request, /0/x/11."""
    timeout: float
    """Seconds after which the account is removed once bootstrap succeeded, /0/x/12; 0: never."""
    rds_port: int | None


class Accounts:
    """Reads the accounts in a tree, anew after each change."""

    def __init__(self, tree: ObjectTree) -> None:
        self._tree = tree
        self._read = -1
        self._servers: list[Account] = []

    def servers(self) -> list[Account]:
        """Return the accounts of LwM2M servers, by Short Server ID. An instance without its counterpart is none."""
        if self._read != self._tree.version:
            self._read, self._servers = self._tree.version, self._read_servers()
        return self._servers

    def _read_servers(self) -> list[Account]:
        securities = {self._integer((*one, SECURITY_SERVER_ID)): one for one in self._securities(bootstrap=False)}
        found = []
        for instance in self._tree.instances((SERVER,)):
            server_id = self._integer((*instance, SERVER_ID))
            if server_id is not None and server_id in securities:
                found.append(self._account(server_id, securities[server_id], instance))
        return sorted(found, key=lambda account: account.server_id)

    def server(self, server_id: int) -> Account | None:
        """Return the account of one server, None if there is none."""
        return next((account for account in self.servers() if account.server_id == server_id), None)

    def bootstrap(self) -> BootstrapAccount | None:
        """Return the account of the bootstrap server, None if there is none."""
        for security in self._securities(bootstrap=True):
            return BootstrapAccount(
                security,
                self._text((*security, URI)),
                float(self._integer((*security, HOLD_OFF)) or 0),
                float(self._integer((*security, ACCOUNT_TIMEOUT)) or 0),
                self._integer((*security, RDS_DESTINATION_PORT)),
            )
        return None

    def problem(self) -> str | None:
        """Return why the accounts are no consistent configuration (§6.1.7), None if they are one."""
        servers = [self._integer((*one, SERVER_ID)) for one in self._tree.instances((SERVER,))]
        securities = [self._integer((*one, SECURITY_SERVER_ID)) for one in self._securities(bootstrap=False)]
        if not servers:
            return "there is no Server instance"
        for server_id in servers:
            if server_id is None or not FIRST_SERVER_ID <= server_id <= LAST_SERVER_ID:
                return f"{server_id} is no Short Server ID"
            if servers.count(server_id) > 1 or securities.count(server_id) > 1:
                return f"Short Server ID {server_id} is used twice"
            if server_id not in securities:
                return f"server {server_id} has no Security instance"
        for account in self.servers():
            if not account.uri:
                return f"server {account.server_id} has no URI"
        return None

    def _securities(self, *, bootstrap: bool) -> list[Path]:
        return [
            one
            for one in self._tree.instances((SECURITY,))
            if (self._tree.get_or((*one, IS_BOOTSTRAP), default=False) is True) == bootstrap
        ]

    def _account(self, server_id: int, security: Path, server: Path) -> Account:
        defaults = RetryPolicy()
        apn = self._tree.get_or((*server, APN_LINK), "")
        return Account(
            server_id=server_id,
            security=security,
            server=server,
            uri=self._text((*security, URI)),
            lifetime=self._integer((*server, LIFETIME)) or 0,
            binding=self._text((*server, BINDING)),
            order=self._integer((*server, ORDER)),
            initial_delay=float(self._integer((*server, INITIAL_DELAY)) or 0),
            failure_block=self._tree.get_or((*server, FAILURE_BLOCK), default=False) is True,
            bootstrap_on_failure=self._tree.get_or((*server, BOOTSTRAP_ON_FAILURE), default=True) is True,
            retry=RetryPolicy(
                max(1, self._or(server, RETRY_COUNT, defaults.count)),
                float(self._or(server, RETRY_TIMER, int(defaults.timer))),
                float(self._or(server, SEQUENCE_DELAY, int(defaults.sequence_delay))),
                max(1, self._or(server, SEQUENCE_COUNT, defaults.sequences)),
            ),
            rds_port=self._integer((*security, RDS_DESTINATION_PORT)),
            preferred_transport=self._text((*server, PREFERRED_TRANSPORT)),
            apn=tuple(apn) if isinstance(apn, tuple) else None,
            muted=self._tree.get_or((*server, MUTE_SEND), default=True) is True,
        )

    def _integer(self, path: Path) -> int | None:
        value = self._tree.get_or(path, "")
        return value if isinstance(value, int) else None

    def _or(self, server: Path, number: int, default: int) -> int:
        value = self._integer((*server, number))
        return default if value is None else value

    def _text(self, path: Path) -> str:
        return str(self._tree.get_or(path, ""))
