"""Ports by which servers are known: one setting of a network for all its endpoints, or an endpoint's own option."""

from dataclasses import fields, replace
from functools import partial

import pytest

from bridge.directory import Catalogue, Draft, EndpointRecord

PORTS = {"leshan": "1:1", "coiote": "2:2"}


@pytest.fixture
def in_force(catalogue):
    """Return a function that returns the port by which each server of an endpoint is known."""
    return partial(_in_force, catalogue())


def _in_force(known: Catalogue, of_network: dict[str, str], *servers: str, **options: str) -> dict[str, str | None]:
    catalogue = replace(known, server_ports={"nidd": of_network})
    draft = catalogue.check(Draft(network="nidd", device="d@x.org", name="e", servers=servers, options=options))
    settings = {one.name: getattr(draft, one.name) for one in fields(draft)}
    record = EndpointRecord(id=1, shard=1, created_at=0.0, changed_at=0.0, **settings)
    endpoint = catalogue.endpoint(record)
    return {server.key: server.application_port for server in endpoint.servers}


def test_r23_a_networks_setting_serves_all_endpoints_that_say_nothing(in_force):
    assert in_force(PORTS, "leshan", "coiote") == {"leshan": "1:1", "coiote": "2:2"}


def test_r23_an_endpoint_has_the_ports_of_its_own_servers_only(in_force):
    assert in_force(PORTS, "coiote") == {"coiote": "2:2"}
    assert in_force({"leshan": "1:1"}, "coiote") == {"coiote": None}


def test_r23_a_star_is_the_port_of_servers_that_the_network_does_not_name(in_force):
    ports = {"leshan": "1:1", "*": "3:3"}
    assert in_force(ports, "leshan", "coiote") == {"leshan": "1:1", "coiote": "3:3"}
    assert in_force(ports, "leshan") == {"leshan": "1:1"}


def test_r23_an_endpoints_own_ports_replace_all_of_the_networks(in_force):
    """So its port cannot be that of another server by the network's setting."""
    own = in_force(PORTS, "leshan", "coiote", server_ports="leshan=2:2")
    assert own == {"leshan": "2:2", "coiote": None}


@pytest.mark.parametrize("option", [{"rds_port": "4:4"}, {"f_port": "4"}, {"server_ports": ""}])
def test_r23_an_endpoint_with_one_port_for_all_servers_or_none_has_not_the_networks(in_force, option):
    assert in_force(PORTS, "leshan", "coiote", **option) == {"leshan": None, "coiote": None}
