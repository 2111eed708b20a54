"""What an emulated device is and how it behaves."""

from dataclasses import dataclass, field

from mock_network.lwm2m.formats import ContentFormat
from mock_network.lwm2m.messages import Tuning
from mock_network.lwm2m.transport import Address

REGISTER_PARAMETERS = frozenset({"ep", "lt", "lwm2m", "b", "links"})
RESPONSE_TIMEOUT = 247.0  # seconds: EXCHANGE_LIFETIME of RFC 7252 §4.8.2
DEFAULT_LIFETIME = 86400  # seconds (Core TS 1.1 §6.2.1.1)


@dataclass(frozen=True, slots=True)
class DeviceOptions:
    """Options of one device; times in seconds."""

    endpoint: str
    server_uri: str
    """`coap://` URI of the server, normally a modem's port on loopback."""
    lifetime: int = DEFAULT_LIFETIME
    binding: str = "U"
    """Binding letter for Register and /1/0/7: U, or N for Non-IP (§6.2.1.2)."""
    queue_mode: bool = False
    version: str = "1.1"
    omit: frozenset[str] = frozenset()
    """Register parameters left out, of REGISTER_PARAMETERS; "links" is the object list (Transport TS 6.8.4)."""
    bind: Address = ("127.0.0.1", 0)
    tuning: Tuning = field(default_factory=Tuning)
    confirmable_notifications: bool = False
    default_format: ContentFormat = ContentFormat.TLV
    """For a Read of more than one value without Accept."""
    keep_registered: bool = True
    """Register at start, Update before the lifetime ends, register again when the server has forgotten."""
    response_timeout: float = RESPONSE_TIMEOUT
    """How long a response is awaited."""
    retry_count: int = 5
    """Communication Retry Count, /1/x/17."""
    retry_timer: float = 60.0
    """Communication Retry Timer, /1/x/18: doubled with each attempt."""
    sequence_delay: float = 86400.0
    """Communication Sequence Delay Timer, /1/x/19: pause after the last attempt."""
    reboot_delay: float = 0.2
    """From the answer to Execute Reboot until the device is down."""
    reboot_time: float = 1.0
    """How long it is down."""
    token_length: int = 2
    seed: int | None = None
    """Of tokens; None draws one."""
