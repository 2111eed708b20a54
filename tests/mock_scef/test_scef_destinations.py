"""Notifications follow the redirects that the API lists for a notification destination."""

import pytest
from aiohttp import web
from scef_kit import UE

from tests.waiting import until


@pytest.mark.parametrize("status", [307, 308])
async def test_a_notification_follows_a_redirect_with_its_body(start, status):
    scs_as = await start()
    seen = []

    async def moved(request):
        seen.append(await request.read())
        return web.Response(status=status, headers={"Location": scs_as.destination})

    app = web.Application()
    app.router.add_post("/old", moved)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        await scs_as.configure(notificationDestination=f"http://127.0.0.1:{runner.addresses[0][1]}/old")
        await scs_as.control("POST", f"/ues/{UE}/uplink", {"data": "0102"})
        assert (await scs_as.told())["data"] == "AQI="
        assert seen == scs_as.notified_bodies
    finally:
        await runner.cleanup()


async def test_a_configuration_that_is_moved_to_another_destination_is_notified_there(start):
    scs_as = await start()
    location, _ = await scs_as.configure(notificationDestination="http://127.0.0.1:9/nobody")
    change = {"notificationDestination": scs_as.destination}
    assert (await scs_as.ask("PATCH", location, change, "application/merge-patch+json"))[0] == 204
    await scs_as.control("POST", f"/ues/{UE}/uplink", {"data": "01"})
    await scs_as.told()
    await until(lambda: not scs_as.service.notifier.waiting)
    assert scs_as.service.notifier.counts["uplink given up"] == 0
