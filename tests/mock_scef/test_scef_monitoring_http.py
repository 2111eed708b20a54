"""3gpp-monitoring-event and 3gpp-network-parameter-configuration over HTTP."""

import datetime as dt

from scef_kit import JSON_PATCH, MERGE_PATCH, UE


def wanted(scs_as, kind, **members):
    return {"externalId": UE, "notificationDestination": scs_as.destination, "monitoringType": kind, **members}


async def subscribed(scs_as, kind, **members):
    url = scs_as.api("3gpp-monitoring-event/v1/as1/subscriptions")
    members = members if "monitorExpireTime" in members else {"maximumNumberOfReports": 10, **members}
    return await scs_as.ask("POST", url, wanted(scs_as, kind, **members))


async def test_reachability_is_reported_each_time_the_ue_can_be_reached_again(start):
    scs_as = await start(ue={"t3324": 10, "t3412": 3600})
    await scs_as.control("POST", f"/ues/{UE}/sleep")
    status, body, headers = await subscribed(scs_as, "UE_REACHABILITY", reachabilityType="DATA")
    assert (status, headers["Location"]) == (201, body["self"])
    assert "monitoringEventReport" not in body
    await scs_as.control("POST", f"/ues/{UE}/wake")
    told = await scs_as.told()
    assert told["subscription"] == body["self"]
    (report,) = told["monitoringEventReports"]
    assert (report["monitoringType"], report["externalId"]) == ("UE_REACHABILITY", UE)
    assert report["reachabilityType"] == "DATA"
    assert report["maxUEAvailabilityTime"] > report["eventTime"]


async def test_what_is_known_already_is_answered_at_once_and_a_single_report_ends_the_subscription(start):
    scs_as = await start()
    status, body, headers = await subscribed(scs_as, "UE_REACHABILITY", maximumNumberOfReports=1)
    assert (status, body["monitoringType"]) == (200, "UE_REACHABILITY")
    assert "Location" not in headers
    assert (await scs_as.control("GET", "/subscriptions"))[1] == []
    status, body, _ = await subscribed(scs_as, "PDN_CONNECTIVITY_STATUS")
    assert status == 201
    (connection,) = body["monitoringEventReport"]["pdnConnInfoList"]
    assert connection == {
        "status": "CREATED",
        "pdnType": "NON_IP",
        "apn": "nidd.example",
        "interfaceInd": "EXPOSURE_FUNCTION",
    }


async def test_loss_and_pdn_release_are_reported(start):
    scs_as = await start()
    await subscribed(scs_as, "LOSS_OF_CONNECTIVITY")
    await subscribed(scs_as, "PDN_CONNECTIVITY_STATUS")
    await scs_as.control("POST", f"/ues/{UE}/detach")
    await scs_as.told(2)
    reports = {body["monitoringEventReports"][0]["monitoringType"]: body for body in scs_as.notified}
    assert reports["LOSS_OF_CONNECTIVITY"]["monitoringEventReports"][0]["lossOfConnectReason"] == 0
    assert reports["PDN_CONNECTIVITY_STATUS"]["monitoringEventReports"][0]["pdnConnInfoList"][0]["status"] == "RELEASED"


async def test_a_subscription_can_be_read_replaced_patched_and_deleted(start):
    scs_as = await start(ue={"pdn": False})
    _, body, _ = await subscribed(scs_as, "UE_REACHABILITY", supportedFeatures="1FFFF")
    url = body["self"]
    assert body["supportedFeatures"] == "1643"
    assert (await scs_as.ask("GET", url))[1] == body
    assert (await scs_as.ask("GET", url.rpartition("/")[0]))[1] == [body]
    later = (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).isoformat()
    changed = wanted(scs_as, "UE_REACHABILITY", monitorExpireTime=later)
    assert (await scs_as.ask("PUT", url, changed))[0] == 204
    patch = [{"op": "add", "path": "/idleStatusIndication", "value": True}]
    assert (await scs_as.ask("PATCH", url, patch, JSON_PATCH))[0] == 204
    now = (await scs_as.ask("GET", url))[1]
    assert (now["idleStatusIndication"], "maximumNumberOfReports" in now) == (True, False)
    for wrong in ({"op": "remove", "path": "/nothing"}, {"op": "replace", "path": "/monitoringType", "value": 7}, {}):
        assert (await scs_as.ask("PATCH", url, [wrong], JSON_PATCH))[0] == 400
    assert (await scs_as.ask("PUT", url, wanted(scs_as, "LOSS_OF_CONNECTIVITY", monitorExpireTime=later)))[0] == 403
    assert (await scs_as.ask("DELETE", url))[0] == 204
    assert (await scs_as.ask("GET", url))[0] == 404


async def test_what_cannot_be_monitored_is_refused(start):
    scs_as = await start()
    assert (await subscribed(scs_as, "LOCATION_REPORTING"))[0] == 403
    assert (await subscribed(scs_as, "UE_REACHABILITY", externalId="nobody@example.com"))[0] == 404
    url = scs_as.api("3gpp-monitoring-event/v1/as1/subscriptions")
    assert (await scs_as.ask("POST", url, wanted(scs_as, "UE_REACHABILITY")))[0] == 400


async def test_parameters_come_into_force_at_the_next_update_as_they_can_be_coded_and_that_is_told(start):
    scs_as = await start()
    url = scs_as.api("3gpp-network-parameter-configuration/v1/as1/configurations")
    body = {
        "externalId": UE,
        "maximumLatency": 7_000,
        "maximumResponseTime": 45,
        "notificationDestination": scs_as.destination,
    }
    status, made, headers = await scs_as.ask("POST", url, body)
    assert (status, headers["Location"]) == (201, made["self"])
    await scs_as.control("POST", f"/ues/{UE}/detach")
    await scs_as.control("POST", f"/ues/{UE}/attach")
    told = await scs_as.told()
    assert told["configuration"] == made["self"]
    assert told["appliedParam"] == {"externalIds": [UE], "maximumLatency": 6_600, "maximumResponseTime": 44}
    ue = scs_as.service.core.subscribers.find(UE)
    assert (ue.t3412, ue.t3324) == (6_600, 44)
    assert (await scs_as.ask("GET", url))[1] == [made]
    assert (await scs_as.ask("PUT", made["self"], {"externalId": UE, "maximumLatency": 600}))[0] == 204
    assert (await scs_as.ask("PATCH", made["self"], {"maximumResponseTime": 8}, MERGE_PATCH))[0] == 204
    assert (await scs_as.ask("PATCH", made["self"], {"maximumLatency": None}, MERGE_PATCH))[0] == 204
    now = (await scs_as.ask("GET", made["self"]))[1]
    assert ("maximumLatency" in now, now["maximumResponseTime"]) == (False, 8)
    assert (await scs_as.ask("DELETE", made["self"]))[0] == 204
    await scs_as.control("POST", f"/ues/{UE}/detach")
    await scs_as.control("POST", f"/ues/{UE}/attach")
    assert (ue.t3412, ue.t3324) == (None, None)
