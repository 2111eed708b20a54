"""One-line mistakes in the bridge, each with the test that must notice it."""

from typing import NamedTuple


class Mutation(NamedTuple):
    """`old` occurs once in `file`; with `new` in its place, `test` must fail."""

    what: str
    file: str
    old: str
    new: str
    test: str


RELAY = "tests/relay/"
LORAWAN = "tests/lorawan/"

MUTATIONS = [
    Mutation(
        "effects leave before the commit",
        "bridge/service/runner.py",
        "            told = partial(self._committed, endpoint, loaded, placed, result.effects, done)\n",
        "            self._release(placed, result.effects)\n"
        "            told = partial(self._committed, endpoint, loaded, placed, [], done)\n",
        "tests/service/test_commit_then_act.py",
    ),
    Mutation(
        "commits are not synced to the disk",
        "bridge/store/connection.py",
        'connection.execute("PRAGMA synchronous = FULL")',
        'connection.execute("PRAGMA synchronous = OFF")',
        "tests/store/test_commit.py::test_every_commit_is_on_the_disk",
    ),
    Mutation(
        "a notification is answered 204 before the commit",
        "bindings/http/callbacks.py",
        "        under_way.add_done_callback(partial(self._done, reply))\n",
        "        self._answer(reply, None)\n",
        "tests/nidd/test_notifications.py::test_204_only_after_the_commit",
    ),
    Mutation(
        "packet sizes in bits are read as bytes",
        "bindings/nidd/packet_size.py",
        'return size // 8 if unit == "bits" else size',
        "return size",
        "tests/nidd",
    ),
    Mutation(
        "downlink data goes as hexadecimal instead of base64",
        "bindings/nidd/binding.py",
        "base64.b64encode(attempt.payload).decode()",
        "base64.b16encode(attempt.payload).decode()",
        "tests/nidd/test_submit.py",
    ),
    Mutation(
        "unpadded base64 of the field is refused",
        "bindings/nidd/models.py",
        'plain + "=" * (-len(plain) % 4)',
        "plain",
        "tests/nidd/test_notifications.py::test_base64_as_the_field_writes_it",
    ),
    Mutation(
        "deadlines are not looked at",
        "bridge/delivery/deliveries.py",
        "            if row.deliver_by is not None and row.deliver_by <= now:\n                self._past_deadline",
        "            if row.deliver_by is None:\n                self._past_deadline",
        RELAY + "test_r11_expiry.py",
    ),
    Mutation(
        "a copy leaves after deliver_by",
        "bridge/delivery/deliveries.py",
        " and (row.deliver_by is None or now < row.deliver_by)\n",
        "\n",
        RELAY + "test_r08_retransmissions.py",
    ),
    Mutation(
        "a server's retransmission is a new request",
        "bridge/relay/from_server.py",
        "if known is not None and step.wall - known.accepted_at < EXCHANGE_LIFETIME:",
        "if known is not None and step.wall < known.accepted_at:",
        RELAY + "test_r03_r04_accepting.py",
    ),
    Mutation(
        "network duplicates are taken as new",
        "bridge/relay/from_device.py",
        "        return any(row.duplicate_key == duplicate_key for row in step.state.all_uplinks())\n",
        "        return False\n",
        RELAY + "test_r13_repeats.py::test_r13_the_networks_duplicate_is_dropped_by_its_id",
    ),
    Mutation(
        "a device's repeat is forwarded again",
        "bridge/relay/from_device.py",
        "    if known is not None and _is_repeat(step, known):\n",
        "    if known is None and _is_repeat(step, known):\n",
        RELAY + "test_r13_repeats.py",
    ),
    Mutation(
        "the request slot is not held while a request is sent",
        "bridge/delivery/deliveries.py",
        "            return now < (row.sent_at or 0.0) + profile.response_timeout\n",
        "            return False\n",
        RELAY + "test_r06_slot.py",
    ),
    Mutation(
        "answers wait their turn",
        "bridge/delivery/deliveries.py",
        "                if not waits:\n                    return row\n",
        "                if not waits and best is None:\n                    best = row\n",
        RELAY + "test_r06_slot.py::test_r06_answers_go_before_requests",
    ),
    Mutation(
        "two network calls at a time",
        "bridge/delivery/deliveries.py",
        "        if self.call is not None:\n            return\n",
        "",
        RELAY + "test_r06_slot.py::test_r06_one_network_call_at_a_time",
    ),
    Mutation(
        "EXPIRED after a cancel that found nothing out",
        "bridge/delivery/outcomes.py",
        '        d.end(row, _S.UNKNOWN, work, "the network did not say whether it still held it")\n',
        '        d.end(row, _S.EXPIRED, work, "the network did not say whether it still held it")\n',
        RELAY + "test_r11_expiry.py",
    ),
    Mutation(
        "EXPIRED of what may have been delivered by an earlier attempt",
        "bridge/delivery/outcomes.py",
        "d.end(row, wish if row.setback != _S.UNKNOWN else _S.UNKNOWN, work,",
        "d.end(row, wish, work,",
        RELAY + "test_r11_expiry.py",
    ),
    Mutation(
        "an Execute goes again after an ambiguity",
        "bridge/relay/operation.py",
        'REPEATABLE = frozenset({"Read", ',
        'REPEATABLE = frozenset({"Execute", "Read", ',
        RELAY + "test_r09_ambiguity.py",
    ),
    Mutation(
        "an Execute goes again after a flush",
        "bridge/delivery/outcomes.py",
        "        again = row.sent == 0 and row.repeatable\n",
        "        again = row.sent == 0\n",
        RELAY + "test_r31_r32_flush_and_start.py",
    ),
    Mutation(
        "a south token is given twice",
        "bridge/relay/state.py",
        "            token = bytes((self.last_token,))\n"
        "            if token not in self.by_token and token not in self.observations and token not in self.retired:\n",
        "            token = bytes((self.last_token,))\n            if token:\n",
        RELAY + "test_r01_hops.py",
    ),
    Mutation(
        "an observation's request gets a new south token",
        "bridge/relay/from_server.py",
        "            return observation.south_token\n",
        "            pass\n",
        RELAY + "test_r01_hops.py",
    ),
    Mutation(
        "a late answer is forwarded",
        "bridge/relay/responses.py",
        "    if row.answered:\n        _late(",
        "    if row.late:\n        _late(",
        RELAY + "test_r12_late.py " + RELAY + "test_r10_deadlines.py",
    ),
    Mutation(
        "another endpoint's name is let through",
        "bridge/relay/register.py",
        'if query.startswith("ep=") and query[3:] != endpoint.name:',
        'if query.startswith("ep=") and not query[3:]:',
        RELAY + "test_r21_r22_register.py",
    ),
    Mutation(
        "a server's Reset to a notification is ignored",
        "bridge/relay/from_server.py",
        "    observation.state = _O.CANCELLED\n",
        "    observation.state = _O.ACTIVE\n",
        RELAY + "test_r16_to_r20_observations.py",
    ),
    Mutation(
        "absence in the network's queue is taken as proof",
        "bridge/delivery/outcomes.py",
        "        row.repeated = True\n        row.setback = _S.UNKNOWN.value",
        "        row.repeated = True\n        row.setback = None",
        RELAY + "test_r11_expiry.py",
    ),
    Mutation(
        "after a restart SUBMITTING is QUEUED",
        "bridge/delivery/outcomes.py",
        '            row.move(_S.UNKNOWN, work.now.wall, "the service ended during the network call")\n',
        "            row.move(_S.QUEUED, work.now.wall)\n",
        RELAY + "test_r07_attempts.py",
    ),
    Mutation(
        "nacks are not counted",
        "bridge/delivery/outcomes.py",
        "    row.failures += 1\n    row.sent = max(row.sent, 1)\n",
        "    row.sent = max(row.sent, 1)\n",
        RELAY + "test_r08_retransmissions.py",
    ),
    Mutation(
        "a verdict is given twice",
        "bridge/relay/verdict.py",
        "if row.kind == REQUEST and not row.answered and row.state",
        "if row.kind == REQUEST and row.state",
        RELAY + "test_r10_deadlines.py",
    ),
    Mutation(
        "message IDs go on from the server's after a restart",
        "bridge/relay/state.py",
        "if up.north_mid is not None and not is_acknowledgement(up.payload):",
        "if up.north_mid is not None:",
        RELAY + "test_r02_message_ids.py",
    ),
    Mutation(
        "the TTL option reaches the radio",
        "bridge/relay/from_server.py",
        "    options = [option for option in message.options if option[0] != number]\n",
        "    options = list(message.options)\n",
        RELAY + "test_r10_deadlines.py",
    ),
    Mutation(
        "no Empty ACK for accepted requests after a start",
        "bridge/relay/step.py",
        "        if row.confirmable and not row.answered:\n",
        "        if row.confirmable and row.answered:\n",
        RELAY + "test_r31_r32_flush_and_start.py",
    ),
    Mutation(
        "several device-originated messages at a time",
        "bridge/relay/toward_server.py",
        "            state.active[row.server] = row.id\n",
        "",
        RELAY + "test_r16_to_r20_observations.py",
    ),
    Mutation(
        "observations outlive a registration",
        "bridge/relay/responses.py",
        "        relay.refuse_update = False\n        end_observations(step)\n",
        "        relay.refuse_update = False\n",
        RELAY + "test_r16_to_r20_observations.py",
    ),
    Mutation(
        "an outcome may change",
        "bridge/delivery/ledger.py",
        "        if self.over or state not in DOWNLINK_TABLE[self.state]:\n",
        "        if state not in DOWNLINK_TABLE[self.state] and not self.over:\n",
        "tests/delivery",
    ),
    Mutation(
        "OSCORE messages are answered with errors that servers drop",
        "bridge/relay/verdict.py",
        '    if row.operation == "OSCORE" and code != Code.SERVICE_UNAVAILABLE:\n',
        '    if row.operation == "none" and code != Code.SERVICE_UNAVAILABLE:\n',
        RELAY + "test_r26_r27_protected.py",
    ),
    Mutation(
        "a LoRaWAN event is answered 200 before the commit",
        "bindings/lorawan/chirpstack/http.py",
        "        return self._take_event(kind, request.body)\n",
        '        __import__("asyncio").ensure_future(self._take_event(kind, request.body))\n        return None\n',
        LORAWAN + "test_lorawan_events.py::test_200_only_after_the_commit",
    ),
    Mutation(
        "the broker forgets the session of a bridge that is away",
        "bindings/lorawan/chirpstack/mqtt.py",
        "clean_start=False, properties=properties",
        "clean_start=True, properties=properties",
        LORAWAN + "test_lorawan_mqtt.py",
    ),
    Mutation(
        "a lost answer to Enqueue counts as not taken",
        "bindings/lorawan/chirpstack/downlinks.py",
        "        if error.unsure:\n            if passed:\n",
        "        if error.unsure and passed:\n            if passed:\n",
        LORAWAN + "test_lorawan_submit.py",
    ),
    Mutation(
        "an answer passes also what must not be repeated",
        "bindings/lorawan/chirpstack/queue.py",
        "item.kind is Kind.REQUEST and item.repeatable and not item.confirmed",
        "item.kind is Kind.REQUEST and not item.confirmed",
        LORAWAN + "test_lorawan_submit.py",
    ),
    Mutation(
        "a flushed request is forgotten",
        "bindings/lorawan/chirpstack/downlinks.py",
        '            self._tell(Flushed(device, "made way for an answer", handle))\n',
        "            continue\n",
        LORAWAN + "test_lorawan_submit.py::test_an_answer_passes_a_queued_request",
    ),
    Mutation(
        "a cancel is certain while a frame may be in the air",
        "bindings/lorawan/chirpstack/downlinks.py",
        "IN_FLIGHT = 30.0  #",
        "IN_FLIGHT = 0.0  #",
        LORAWAN + "test_lorawan_submit.py::test_a_cancel_soon_after_an_uplink_is_not_certain",
    ),
    Mutation(
        "a cancel flushes what others have queued",
        "bindings/lorawan/chirpstack/downlinks.py",
        "            if foreign or any(one.is_pending for one in items):\n",
        "            if any(one.is_pending for one in items):\n",
        LORAWAN + "test_lorawan_submit.py::test_what_others_queued_is_never_flushed",
    ),
    Mutation(
        "the data rate of the last uplink is not looked at",
        "bindings/lorawan/payload_size.py",
        "    rx1 = slowest if uplink_dr is None else rx1_data_rate(plan, uplink_dr)\n",
        "    rx1 = 5\n",
        LORAWAN + "test_lorawan_payload_size.py",
    ),
    Mutation(
        "an old join in the history ends a session",
        "bindings/lorawan/chirpstack/uplinks.py",
        "        if event.dev_addr == record.dev_addr or event.time <= max(record.joined_at, record.seen_at):\n",
        "        if False:\n",
        LORAWAN + "test_lorawan_events.py",
    ),
    Mutation(
        "a replayed uplink is forwarded anew",
        "bindings/lorawan/chirpstack/uplinks.py",
        "            return record.has_seen(event.f_cnt)\n",
        "            return False\n",
        LORAWAN + "test_lorawan_events.py",
    ),
    Mutation(
        "a nack counts as delivered",
        "bindings/lorawan/chirpstack/uplinks.py",
        "        if event.acknowledged:\n",
        "        if True:\n",
        LORAWAN + "test_lorawan_events.py",
    ),
    Mutation(
        "the AppKey of LoRaWAN 1.0.x goes where ChirpStack never looks",
        "bindings/lorawan/chirpstack/provisioning.py",
        "nwk_key=(otaa.nwk_key if new else otaa.app_key).lower()",
        'nwk_key=(otaa.nwk_key if new else "0" * 32).lower()',
        LORAWAN + "test_lorawan_provisioning.py",
    ),
]
