"""The configuration of a bridge: one TOML file. `load` reads it, `template` prints a commented one."""

from bridge.config.checking import api_context, catalogue, checked, drafts, load_api_certificate
from bridge.config.model import Api, Config, EndpointSettings, Events, Network, PolicySettings, Service
from bridge.config.nodes import WAKE_UPS, Cluster, Standby
from bridge.config.north import North
from bridge.config.printing import template
from bridge.config.profiles import PROFILES, profile
from bridge.config.reading import control_socket, load, parse
from bridge.config.secured import Secured, plain_connections, secured
from bridge.config.server_settings import ServerSettings

__all__ = [
    "PROFILES",
    "WAKE_UPS",
    "Api",
    "Cluster",
    "Config",
    "EndpointSettings",
    "Events",
    "Network",
    "North",
    "PolicySettings",
    "Secured",
    "ServerSettings",
    "Service",
    "Standby",
    "api_context",
    "catalogue",
    "checked",
    "control_socket",
    "drafts",
    "load",
    "load_api_certificate",
    "parse",
    "plain_connections",
    "profile",
    "secured",
    "template",
]
