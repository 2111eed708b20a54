"""Mistakes about servers: their ports, registrations, notifications that they do not acknowledge, odd messages."""

from tests.mutations.mutations import RELAY, Mutation

OBSERVATIONS = RELAY + "test_r16_to_r20_observations.py"
BAD_INPUT = RELAY + "test_bad_input.py"
BAD_BLOCKS = RELAY + "test_bad_blocks_and_servers.py"
PORTS = "tests/directory/test_ports_of_servers.py"
RDS = "tests/nidd/test_rds.py"
LORAWAN_DOCTOR = "tests/lorawan/test_lorawan_provisioning.py"

MUTATIONS = [
    # Ports by which servers are known
    Mutation(
        "a network's ports of servers are not those of its endpoints",
        "with_ports",
        "{**$options, SERVER_PORTS: written($ports)} if $ports else $options",
        "$options",
        PORTS,
    ),
    Mutation(
        "an endpoint with ports of its own has those of its network",
        "with_ports",
        "not $of_network or not _OWN_PORTS.isdisjoint($options)",
        "not $of_network",
        PORTS,
    ),
    Mutation(
        "the star in server_ports stands for no server",
        "Catalogue.ports",
        "ports.get(server, ports.get(OTHERS))",
        "ports.get(server)",
        PORTS,
    ),
    Mutation(
        "a configuration at the SCEF is taken over without the RDS ports of the endpoint",
        "_has_ports",
        "return {*ports_there(body)}.issuperset(ports_of(record))",
        "return True",
        RDS,
    ),
    Mutation(
        "RDS ports that change are not changed at the SCEF",
        "LifeCycle.mark_of",
        "if not ports:\n    return self.mark",
        "return self.mark",
        RDS,
    ),
    Mutation(
        "an uplink comes without its RDS ports",
        "read_port",
        "return f'{pair[0]}:{pair[1]}'",
        "return None",
        RDS,
    ),
    Mutation(
        "a lookup takes a message on other RDS ports for its own",
        "_may_have_port",
        "port is None or read_port(pending.rdsPort) in (None, port)",
        "True",
        RDS,
    ),
    Mutation(
        "doctor compares no RDS ports with the SCEF's",
        "LifeCycle.ports_missing",
        "[port for port in ports_of(record) if port not in ports_there(body)]",
        "[]",
        "tests/nidd/test_diagnosis.py",
    ),
    Mutation(
        "doctor compares the network's FPort only with the layers of ChirpStack",
        "LorawanBinding._ports_of",
        "await self._records.get(device) if self._calls.open else None",
        "None",
        LORAWAN_DOCTOR,
    ),
    # Notifications
    Mutation(
        "a server that acknowledges no notification gets them as CON",
        "_is_never_acknowledged",
        "server is not None and not server.profile.acknowledges_notifications",
        "False",
        OBSERVATIONS,
    ),
    Mutation(
        "a notification that goes as NON is FORWARDED although its link did not take it",
        "NetworkActor._send_unconfirmed",
        "sending is Sending.LEFT",
        "True",
        "tests/service/test_actor.py",
    ),
    Mutation(
        "a notification that goes as NON does not wait for its link",
        "_send",
        "SendToServer(row.server, to_server(row), row=row.id if unconfirmed else None)",
        "SendToServer(row.server, to_server(row))",
        OBSERVATIONS,
    ),
    Mutation(
        "an answer is sent once over a link that is down",
        "_answer_that_goes_once",
        "step.carries(row.server, datagram)",
        "True",
        RELAY + "test_r05_acknowledgements.py",
    ),
    Mutation(
        "a DTLS record is FORWARDED over a link that is down",
        "from_device",
        "step.carries(server, to_send, secure=True)",
        "True",
        RELAY + "test_r26_r27_protected.py",
    ),
    # Registrations
    Mutation(
        "no registration is late",
        "is_late",
        "lifetime * NEARLY < now - registration.refreshed_at < lifetime",
        "False",
        "tests/e2e/test_waiting.py::test_a_device_that_is_about_to_be_lost_is_named_before_and_when_its_update_comes_late",
    ),
    Mutation(
        "a late Update is not told",
        "_refreshed",
        "pause > lifetime * NEARLY",
        "False",
        RELAY + "test_r23_several_servers.py",
    ),
    # Odd messages
    Mutation(
        "the text of an error is shown as a value",
        "values_of",
        "message.code >= _ERROR",
        "False",
        "tests/operations/test_traced_values.py",
    ),
    Mutation(
        "a request that came as NON is answered by an acknowledgement",
        "respond",
        "_answer($step, $uplink, NON, ...)",
        "_answer($step, $uplink, 2, ...)",
        BAD_INPUT,
    ),
    Mutation(
        "a part of a split block is taken for the whole block",
        "next_part",
        "at >= block.offset + len(whole.payload)",
        "True",
        BAD_BLOCKS,
    ),
    Mutation(
        "two servers' Locations are told to the device as they are",
        "path_for_device",
        "told in taken or (...)",
        "False",
        BAD_BLOCKS + " " + RELAY + "test_r23_several_servers.py",
    ),
    Mutation(
        "observations have no bound",
        "seconds_until_room",
        "_has_room(step, pending)",
        "True",
        RELAY + "test_r30_bounds.py",
    ),
    Mutation(
        "an answer that comes too late is that to the next request under the same token",
        "_responded",
        "if row.answered:\n    _record_late(...)\n    return",
        "pass",
        BAD_BLOCKS,
    ),
    Mutation(
        "the block number of a server's write is not told back to it",
        "relayed_body",
        "block.number if row.split_from is None else asked.number",
        "block.number",
        RELAY + "test_r25_block1.py",
    ),
]
