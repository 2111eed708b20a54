"""What a network delivers later than it heard it, such as its history after an outage: time has gone on."""

from world import START, World, ack, notification, observed, register, request, response

from bridge.coap.numbers import Code


def test_r14_the_answer_to_an_earlier_message_has_the_rest_of_the_devices_exchange(world: World, south):
    heard_at = START - 200.0
    world.device_sends(register(), heard_at=heard_at)
    world.server_sends(response(world.last_north(), Code.CREATED))
    assert world.submitted[-1].attempt.deadline == heard_at + south.exchange_span


def test_r14_an_answer_that_the_device_no_longer_waits_for_is_not_sent(world: World, south):
    world.device_sends(request(2, "dp", 5, b"s", b"[]"), heard_at=START - south.exchange_span - 1)
    world.server_sends(response(world.last_north(), Code.CHANGED))
    world.passes(1)
    assert world.submitted == []
    assert [down["state"] for down in world.downlinks("answer")] == ["EXPIRED"]


def test_r15_a_register_that_the_device_has_given_up_ends_without_reaching_the_server(world: World, south):
    world.device_sends(register(), heard_at=START - south.exchange_span)
    assert world.to_server == []
    (up,) = world.uplinks("request")
    assert (up["state"], up["reason"]) == ("EXPIRED", "the network delivered it after the device had stopped waiting")


def test_r15_data_of_long_ago_still_has_its_whole_time(world: World):
    north = observed(world)
    world.device_sends(request(2, "dp", 5, b"s", b"[]"), heard_at=START - 1e6)
    world.device_sends(notification(north, 77), heard_at=START - 1e6)
    ends = {up["operation"]: up["expires_at"] for kind in ("request", "notification") for up in world.uplinks(kind)}
    assert ends == {"Send": world.wall + world.policy.long_ttl, "Notify": world.wall + world.policy.long_ttl}


def test_r13_repeats_are_told_by_when_they_were_heard(world: World, south):
    world.device_sends(register(), "1", heard_at=START - south.exchange_span - 30)
    world.device_sends(register(), "2", heard_at=START - 20)
    assert [up["state"] for up in world.uplinks("request")] == ["EXPIRED", "RECEIVED"]


def test_nothing_is_heard_later_than_now(world: World, south):
    world.device_sends(register(), heard_at=START + 3600)
    (up,) = world.uplinks("request")
    assert (up["received_at"], up["expires_at"]) == (START, START + south.exchange_span)
    assert ack(1) not in world.to_server
