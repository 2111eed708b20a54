"""Profiles of common servers, as data: requirements on a Register, patience, when they send."""

import enum
from dataclasses import dataclass

ENABLER_VERSIONS = frozenset({"1.0", "1.1"})


class Asleep(enum.Enum):
    """What a server does with an operation for a client in queue mode that it believes to be asleep."""

    SEND = "send"
    """Send it nevertheless."""
    REFUSE = "refuse"
    """Refuse it immediately, as Leshan's API does."""
    QUEUE = "queue"
    """Keep it until the client is heard; one at a time (Transport TS 1.1 §6.5)."""
    LAST = "last"
    """Keep only the last one: an earlier one that waits is dropped, as Leshan's demo does."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One server's behaviour. Times in seconds."""

    name: str
    summary: str
    patience: float = 120.0
    """How long to wait for a response by default."""
    asleep: Asleep = Asleep.SEND
    awake_time: float = 93.0
    """How long a client in queue mode counts as awake after it was heard."""
    nstart_unlimited: bool = True
    """Sends without waiting for earlier ACKs, as Californium does."""
    token_length: int = 8
    location_is_name: bool = False
    """The Location of a registration is `/rd/` and the endpoint name, not ten random characters."""
    needs_lifetime: bool = False
    versions: frozenset[str] = ENABLER_VERSIONS
    wrong_version: str = "4.12"
    missing_links: str = "4.00"
    """The answer to a Register without object list; 4.09 asks the client for it (Transport TS 6.8.4)."""
    bindings: frozenset[str] = frozenset("UTSN")
    separate_answers: float | None = None
    """Answers Register, Update, De-register and Send by a separate response after so long; None: piggybacked."""
    piggybacked_blocks: bool = False
    """Goes on with a Block1 transfer only after a 2.31 that comes in the acknowledgement."""


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("plain", "as the enabler says; sends whether the client is asleep or not"),
        Profile("leshan", "Leshan's API: two minutes of patience, refuses while asleep", asleep=Asleep.REFUSE),
        Profile("leshan-demo", "Leshan's demo: five seconds of patience", patience=5.0, asleep=Asleep.LAST),
        Profile(
            "thingsboard",
            "ThingsBoard: keeps requests, a client is awake for ten seconds",
            asleep=Asleep.QUEUE,
            awake_time=10.0,
        ),
        Profile(
            "emqx",
            "EMQX: needs lt, answers other versions 4.00, Location is the name, awake for 22 seconds",
            asleep=Asleep.QUEUE,
            awake_time=22.0,
            location_is_name=True,
            needs_lifetime=True,
            versions=frozenset({"1", "1.0", "1.1"}),
            wrong_version="4.00",
        ),
        Profile(
            "wakaama",
            "Wakaama: fifteen seconds of patience, one request at a time, blocks need piggybacked answers",
            patience=15.0,
            nstart_unlimited=False,
            token_length=4,
            piggybacked_blocks=True,
        ),
        Profile(
            "strict",
            "one that takes nothing but 1.1 over U, asks for the object list by 4.09, and answers separately",
            asleep=Asleep.QUEUE,
            versions=frozenset({"1.1"}),
            bindings=frozenset("U"),
            missing_links="4.09",
            separate_answers=1.0,
        ),
    )
}
