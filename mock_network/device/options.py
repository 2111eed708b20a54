"""What an emulated device is and how it behaves."""

from dataclasses import dataclass, field

from mock_network.lwm2m.credentials import ClientCertificate, PreSharedKey
from mock_network.lwm2m.definitions import (
    CONNECTIVITY,
    DEVICE,
    FIRMWARE,
    SECURITY,
    SERVER,
    TEMPERATURE,
    Model,
)
from mock_network.lwm2m.formats import ContentFormat
from mock_network.lwm2m.messages import Tuning
from mock_network.lwm2m.oscore import OscoreKeys
from mock_network.lwm2m.standard import standard_model
from mock_network.lwm2m.transport import Address

REGISTER_PARAMETERS = frozenset({"ep", "lt", "lwm2m", "b", "links", "root", "ver"})
RESPONSE_TIMEOUT = 247.0  # seconds: EXCHANGE_LIFETIME of RFC 7252 §4.8.2
DEFAULT_LIFETIME = 86400  # seconds (Core TS 1.1 §6.2.1.1)
SHORT_SERVER_ID = 101
DEFAULT_OBJECTS = frozenset({SECURITY, SERVER, DEVICE, CONNECTIVITY, FIRMWARE, TEMPERATURE})


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """One server account that the device has when it is new. Times in seconds; None leaves the resource out."""

    server_id: int
    uri: str
    lifetime: int = DEFAULT_LIFETIME
    binding: str = "U"
    order: int | None = None
    """Registration Priority Order, /1/x/13."""
    initial_delay: int | None = None
    failure_block: bool | None = None
    bootstrap_on_failure: bool | None = None
    retry_count: int | None = None
    retry_timer: int | None = None
    sequence_delay: int | None = None
    sequence_count: int | None = None
    rds_port: int | None = None
    """RDS Destination Port, /0/x/28."""
    oscore: OscoreKeys | None = None
    """What protects all traffic with this server; None: nothing."""


@dataclass(frozen=True, slots=True)
class BearerOptions:
    """One way out of the device: a socket, and where its datagrams go."""

    binding: str = "U"
    """Binding letter (§6.2.1.2). Over S, while no server uses that binding, only triggers are heard."""
    bind: Address = ("127.0.0.1", 0)
    pipe: Address | None = None
    """Everything goes to this address, a modem's port, whatever the server's URI says; None: where the URI says."""
    apn: str = ""
    """Name of the APN (/11/x/1) that this bearer is; empty for none."""
    rds_pipes: tuple[tuple[int, Address], ...] = ()
    """RDS destination ports and the modem's ports that stand for them; others go to `pipe`."""


@dataclass(frozen=True, slots=True)
class DeviceOptions:
    """Options of one device; times in seconds."""

    endpoint: str
    server_uri: str
    """URI of the first server, `coap://` or, with a pipe, any; empty: the device has no server account yet."""
    lifetime: int = DEFAULT_LIFETIME
    binding: str = "U"
    """Binding letter for Register and /1/x/7: U, or N for Non-IP (§6.2.1.2)."""
    more_servers: tuple[ServerOptions, ...] = ()
    """Further server accounts; with one, the device has object 2, and the first server owns what is nobody else's."""
    bootstrap_uri: str = ""
    """URI of a bootstrap server; without a server account the device begins there."""
    bootstrap_hold_off: int = 0
    bootstrap_account_timeout: int = 0
    queue_mode: bool = False
    """Register with Q."""
    awake_time: float | None = None
    """How long the device listens after its last message, in queue mode; None: always."""
    version: str = "1.1"
    omit: frozenset[str] = frozenset()
    """Register parameters left out, of REGISTER_PARAMETERS; "links" is the object list (Transport TS 6.8.4).

    Of that list, "root" is the link of the root with its content formats, and "ver" the links with objects' versions.
    """
    root: str = ""
    """Alternate path, as `lwm2m` or `a/b` (§6.2.1): all objects are below it."""
    objects: frozenset[int] = DEFAULT_OBJECTS
    """Objects that the device has, of the model's."""
    model: Model = field(default_factory=standard_model)
    bind: Address = ("127.0.0.1", 0)
    pipe: Address | None = None
    """As `BearerOptions.pipe`, of the first bearer."""
    rds_pipes: tuple[tuple[int, Address], ...] = ()
    """As `BearerOptions.rds_pipes`, of the first bearer."""
    more_bearers: tuple[BearerOptions, ...] = ()
    largest_record: int | None = None
    """Bytes of a DTLS record that carries the handshake, for small networks; None: as OpenSSL makes them."""
    tuning: Tuning = field(default_factory=Tuning)
    confirmable_notifications: bool = False
    default_format: ContentFormat = ContentFormat.TLV
    """For a Read of more than one value without Accept, and of the Bootstrap-Request's preference."""
    keep_registered: bool = True
    """Register at start, Update before the lifetime ends, register again when the server has forgotten."""
    send_at_register: tuple[str, ...] = ()
    """Paths whose values go out by Send directly after each 2.01 to Register."""
    oscore: OscoreKeys | None = None
    """As `ServerOptions.oscore`, of the first server."""
    bootstrap_oscore: OscoreKeys | None = None
    """As `ServerOptions.oscore`, of the bootstrap server."""
    psk: PreSharedKey | None = None
    """Everything of the device goes through DTLS sessions by this key, in all its accounts; None: nothing does."""
    certificate: ClientCertificate | None = None
    """As `psk`, by certificates."""
    tunnel: Address | None = None
    """UDP address of an application of the device, or of a device behind it, whose data object 19 carries."""
    fresh_within: float | None = None
    """How old an Echo value may be that a request that changes something must carry (RFC 9175); None: no such check."""
    has_clock: bool = True
    """Whether the device knows the time before a server writes it."""
    answer_delay: float = 0.0
    """How long the device takes for its answer; above 0.1 s an Empty ACK goes first, and the answer is separate."""
    response_timeout: float = RESPONSE_TIMEOUT
    """How long a response is awaited."""
    retry_count: int = 5
    """Communication Retry Count, /1/x/17, of the first server; of Bootstrap-Requests too."""
    retry_timer: float = 60.0
    """Communication Retry Timer, /1/x/18: doubled with each attempt; as before."""
    sequence_delay: float = 86400.0
    """Communication Sequence Delay Timer, /1/x/19: pause after the last attempt; as before."""
    reboot_delay: float = 0.2
    """From the answer to Execute Reboot until the device is down."""
    reboot_time: float = 1.0
    """How long it is down."""
    token_length: int = 2
    seed: int | None = None
    """Of tokens and random values; None draws one."""

    def servers(self) -> list[ServerOptions]:
        """Return all server accounts of a new device, the first one first."""
        if not self.server_uri:
            return list(self.more_servers)
        first = ServerOptions(
            SHORT_SERVER_ID,
            self.server_uri,
            self.lifetime,
            self.binding,
            oscore=self.oscore,
            retry_count=None if self.retry_count == 5 else self.retry_count,  # noqa: PLR2004  # the default needs no resource
            retry_timer=None if self.retry_timer == 60.0 else round(self.retry_timer),  # noqa: PLR2004  # as above
            sequence_delay=None if self.sequence_delay == 86400.0 else round(self.sequence_delay),  # noqa: PLR2004  # as above
        )
        return [first, *self.more_servers]
