"""What a configuration says of things that all nodes of a cluster must have alike."""

from collections.abc import Iterator

import msgspec

from bridge.cluster.agreement import NO_KEY, Agreement
from bridge.config.model import Config
from bridge.config.store_keys import store_seal


def agreement(config: Config) -> Agreement:
    """Return what this node says of itself to the others; nothing of it is secret. Raises ConfigurationError.

    Prefixes are alike, since an endpoint keeps its address whichever node serves it; so is the kind of a network, since
    its posts and notes are read by whichever node has the shard. Servers, networks and quotas may be added and changed
    on one node after the other, and removed by reloads. A node with another port uses no address that was given with
    the former one, and says so for each endpoint (docs/cluster.md).
    """
    north = config.north
    alike = {
        "[north] scheme": north.scheme.value,
        "[north] prefixes": ", ".join(sorted(north.prefixes)) or "none",
        **{f"[networks.{name}] binding": network.binding for name, network in config.networks.items()},
    }
    seal = store_seal(config)
    return Agreement(alike, dict(_in_time(config)), seal.seals_under or NO_KEY, seal.opens_under)


def _in_time(config: Config) -> Iterator[tuple[str, str]]:
    yield "[north] port", str(config.north.port)
    for name, server in config.servers.items():
        yield f"[servers.{name}] uri", server.uri
        yield f"[servers.{name}] profile", server.profile
    for name, network in config.networks.items():
        public_url = getattr(getattr(network.settings, "callbacks", None), "public_url", "")
        yield f"[networks.{name}] public_url", public_url or "none"
    for quota in config.quotas:
        yield f"[[quotas]] {quota.name}", msgspec.json.encode(quota).decode()
