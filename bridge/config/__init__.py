"""The configuration of a bridge: one TOML file. `load` reads it, `template` prints a commented one."""

from bridge.config.checking import catalogue, checked, drafts
from bridge.config.model import Config, EndpointSettings, Network, North, PolicySettings, ServerSettings, Service
from bridge.config.printing import template
from bridge.config.profiles import PROFILES, profile
from bridge.config.reading import control_socket, load, parse
from bridge.config.secured import Secured, plain_connections, secured

__all__ = [
    "PROFILES",
    "Config",
    "EndpointSettings",
    "Network",
    "North",
    "PolicySettings",
    "Secured",
    "ServerSettings",
    "Service",
    "catalogue",
    "checked",
    "control_socket",
    "drafts",
    "load",
    "parse",
    "plain_connections",
    "profile",
    "secured",
    "template",
]
