"""Notifications: what is sent again, and what is given up."""

from scef_kit import UE

from tests.waiting import until


async def test_a_refused_notification_is_sent_again_until_it_is_taken(start):
    scs_as = await start()
    scs_as.answers = [503, 500, 204]
    await scs_as.configure()
    await scs_as.control("POST", f"/ues/{UE}/uplink", {"data": "01"})
    await scs_as.control("POST", f"/ues/{UE}/uplink", {"data": "02"})
    await until(lambda: len(scs_as.notified) == 4)
    assert [body["data"] for body in scs_as.notified] == ["AQ==", "AQ==", "AQ==", "Ag=="]
    await until(lambda: len(scs_as.service.notifier.records) == 4)
    _, records = await scs_as.control("GET", "/notifications")
    assert [(r["attempt"], r["status"], r["accepted"]) for r in records] == [
        (1, 503, False),
        (2, 500, False),
        (3, 204, True),
        (1, 204, True),
    ]
    _, air = await scs_as.control("GET", "/air-log?what=uplink")
    assert [str(line["number"]) for line in air] == [records[0]["subject"], records[3]["subject"]]


async def test_a_notification_refused_for_good_is_given_up_and_may_release_the_connection(start):
    scs_as = await start(profile_changes={"refused_uplink_releases_pdn": True})
    scs_as.answers = [404]
    await scs_as.configure()
    await scs_as.control("POST", f"/ues/{UE}/uplink", {"data": "01"})
    ue = scs_as.service.core.subscribers.find(UE)
    await until(lambda: ue.state.value == "attached, no PDN connection")
    assert scs_as.service.notifier.counts["uplink given up"] == 1


async def test_nobody_at_the_destination_is_recorded_and_harms_nothing(start):
    scs_as = await start()
    await scs_as.configure(notificationDestination="http://127.0.0.1:9/notify")
    await scs_as.control("POST", f"/ues/{UE}/uplink", {"data": "01"})
    await until(lambda: scs_as.service.notifier.counts["uplink given up"] == 1)
    assert all("error" in record for record in scs_as.service.notifier.records)
    assert (await scs_as.ask("GET", scs_as.base))[0] == 200


async def test_the_test_notification_comes_when_it_is_asked_for(start):
    scs_as = await start()
    location, _ = await scs_as.configure(requestTestNotification=True)
    await until(lambda: scs_as.notified)
    assert scs_as.notified == [{"subscription": location}]
