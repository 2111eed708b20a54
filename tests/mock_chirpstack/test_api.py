"""The gRPC API over real sockets: authorization, refusals, and the queue as a caller sees it."""

import asyncio
import uuid

import grpc
import pytest
from chirpstack_api import api
from google.protobuf.empty_pb2 import Empty
from mock_chirpstack_kit import Stubs, provision

from mock_network.chirpstack.model import Settings
from mock_network.faults import Fault

EUI = "70b3d57ed0000001"
KEY = bytes(range(16)).hex()


def item(**values):
    return api.EnqueueDeviceQueueItemRequest(
        queue_item=api.DeviceQueueItem(**({"dev_eui": EUI, "f_port": 10, "data": b"x"} | values))
    )


async def status_of(call) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()


@pytest.mark.parametrize("metadata", [(), (("authorization", "secret"),), (("authorization", "Bearer wrong"),)])
async def test_every_call_needs_the_token(serve, metadata):
    server, _ = await serve()
    stubs = Stubs(server.grpc_address)
    try:
        calls = [
            stubs.internal.GetVersion(Empty(), metadata=metadata),
            stubs.device.Get(api.GetDeviceRequest(dev_eui=EUI), metadata=metadata),
            stubs.application.List(api.ListApplicationsRequest(), metadata=metadata),
        ]
        for call in calls:
            assert await status_of(call) is grpc.StatusCode.UNAUTHENTICATED
        stream = stubs.internal.StreamDeviceEvents(api.StreamDeviceEventsRequest(dev_eui=EUI), metadata=metadata)
        assert await status_of(stream.read()) is grpc.StatusCode.UNAUTHENTICATED
    finally:
        await stubs.channel.close()


async def test_refusals_carry_the_real_servers_statuses(serve):
    _, stubs = await serve()
    device = await provision(stubs)
    service, auth = stubs.device, stubs.auth
    missing = api.GetDeviceRequest(dev_eui="ffffffffffffffff")
    assert await status_of(service.Get(missing, metadata=auth)) is grpc.StatusCode.NOT_FOUND
    bad = api.GetDeviceRequest(dev_eui="xyz")
    assert await status_of(service.Get(bad, metadata=auth)) is grpc.StatusCode.INTERNAL
    again = api.CreateDeviceRequest(device=device)
    assert await status_of(service.Create(again, metadata=auth)) is grpc.StatusCode.INTERNAL
    assert await status_of(service.Create(api.CreateDeviceRequest(), metadata=auth)) is grpc.StatusCode.INVALID_ARGUMENT
    nameless = api.UpdateDeviceRequest(device=device)
    nameless.device.name = ""
    assert await status_of(service.Update(nameless, metadata=auth)) is grpc.StatusCode.INVALID_ARGUMENT
    wrong = api.GetApplicationRequest(id="no uuid")
    assert await status_of(stubs.application.Get(wrong, metadata=auth)) is grpc.StatusCode.INVALID_ARGUMENT
    unknown = item(dev_eui="ffffffffffffffff")
    assert await status_of(service.Enqueue(unknown, metadata=auth)) is grpc.StatusCode.INTERNAL
    slow = api.CreateDeviceProfileRequest(device_profile=api.DeviceProfile(name="p", tenant_id=str(uuid.uuid4())))
    slow.device_profile.rx1_delay = 16
    assert await status_of(stubs.profile.Create(slow, metadata=auth)) is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_second_object_may_be_said_to_exist_already(serve):
    _, stubs = await serve(settings=Settings(duplicates_already_exist=True))
    again = api.CreateDeviceRequest(device=await provision(stubs))
    assert await status_of(stubs.device.Create(again, metadata=stubs.auth)) is grpc.StatusCode.ALREADY_EXISTS


async def test_f_port_is_cut_to_a_byte_before_it_is_checked(serve):
    _, stubs = await serve()
    await provision(stubs)
    call = stubs.device.Enqueue(item(f_port=256), metadata=stubs.auth)
    assert await status_of(call) is grpc.StatusCode.INVALID_ARGUMENT
    await stubs.device.Enqueue(item(f_port=257), metadata=stubs.auth)
    queue = await stubs.device.GetQueue(api.GetDeviceQueueItemsRequest(dev_eui=EUI), metadata=stubs.auth)
    assert [entry.f_port for entry in queue.result] == [1]


async def test_enqueue_ignores_the_callers_id_and_gives_its_own(serve):
    _, stubs = await serve()
    await provision(stubs)
    own = str(uuid.uuid4())
    first = await stubs.device.Enqueue(item(id=own), metadata=stubs.auth)
    second = await stubs.device.Enqueue(item(id=own), metadata=stubs.auth)
    assert len({own, first.id, second.id}) == 3
    queue = await stubs.device.GetQueue(api.GetDeviceQueueItemsRequest(dev_eui=EUI.upper()), metadata=stubs.auth)
    assert [entry.id for entry in queue.result] == [first.id, second.id]


async def test_flush_queue_with_an_item_spares_the_pending_one_and_flush_queue_alone_does_not(serve):
    server, stubs = await serve()
    await provision(stubs)
    first = await stubs.device.Enqueue(item(confirmed=True), metadata=stubs.auth)
    server.driver.server.context.tables.queue[uuid.UUID(first.id)].is_pending = True
    await stubs.device.Enqueue(item(), metadata=stubs.auth)
    last = item(data=b"last")
    last.flush_queue = True
    third = await stubs.device.Enqueue(last, metadata=stubs.auth)
    queue = await stubs.device.GetQueue(api.GetDeviceQueueItemsRequest(dev_eui=EUI), metadata=stubs.auth)
    assert [entry.id for entry in queue.result] == [first.id, third.id]
    await stubs.device.FlushQueue(api.FlushDeviceQueueRequest(dev_eui=EUI), metadata=stubs.auth)
    queue = await stubs.device.GetQueue(api.GetDeviceQueueItemsRequest(dev_eui=EUI), metadata=stubs.auth)
    assert queue.total_count == 0


async def test_abp_activation_is_read_back_and_taken_away(serve):
    _, stubs = await serve()
    await provision(stubs, supports_otaa=False)
    activation = api.DeviceActivation(
        dev_eui=EUI, dev_addr="01020304", app_s_key=KEY, nwk_s_enc_key=KEY, s_nwk_s_int_key=KEY, f_nwk_s_int_key=KEY
    )
    request = api.ActivateDeviceRequest(device_activation=activation)
    await stubs.device.Activate(request, metadata=stubs.auth)
    read = api.GetDeviceActivationRequest(dev_eui=EUI)
    assert (await stubs.device.GetActivation(read, metadata=stubs.auth)).device_activation == activation
    counter = await stubs.device.GetNextFCntDown(api.GetDeviceNextFCntDownRequest(dev_eui=EUI), metadata=stubs.auth)
    assert counter.f_cnt_down == 1  # one more than the greatest queued, of which there is none
    await stubs.device.Deactivate(api.DeactivateDeviceRequest(dev_eui=EUI), metadata=stubs.auth)
    assert not (await stubs.device.GetActivation(read, metadata=stubs.auth)).HasField("device_activation")


async def test_unavailable_after_the_effect_leaves_the_item_in_the_queue(serve):
    server, stubs = await serve()
    await provision(stubs)
    faults = server.driver.server.context.faults
    faults.add(Fault("grpc_unavailable", count=1, where={"method": "Enqueue"}))
    call = stubs.device.Enqueue(item(), metadata=stubs.auth)
    assert await status_of(call) is grpc.StatusCode.UNAVAILABLE
    request = api.GetDeviceQueueItemsRequest(dev_eui=EUI)
    assert (await stubs.device.GetQueue(request, metadata=stubs.auth)).total_count == 0
    faults.add(Fault("grpc_unavailable_after", count=1, where={"method": "Enqueue"}))
    call = stubs.device.Enqueue(item(), metadata=stubs.auth)
    assert await status_of(call) is grpc.StatusCode.UNAVAILABLE
    assert (await stubs.device.GetQueue(request, metadata=stubs.auth)).total_count == 1


async def test_a_call_that_hangs_ends_with_the_callers_deadline(serve):
    server, stubs = await serve()
    await provision(stubs)
    server.driver.server.context.faults.add(Fault("grpc_deadline_after", count=1, params={"seconds": 5}))
    call = stubs.device.Enqueue(item(), metadata=stubs.auth, timeout=0.2)
    assert await status_of(call) is grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(server.driver.server.context.tables.queue) == 1


async def test_lists_page_and_a_limit_of_0_only_counts(serve):
    _, stubs = await serve()
    device = await provision(stubs)
    request = api.ListDevicesRequest(application_id=device.application_id)
    counted = await stubs.device.List(request, metadata=stubs.auth)
    assert (counted.total_count, len(counted.result)) == (1, 0)
    request.limit = 10
    listed = await stubs.device.List(request, metadata=stubs.auth)
    assert [entry.dev_eui for entry in listed.result] == [EUI]


async def test_http_integrations_and_gateways_are_kept(serve):
    _, stubs = await serve()
    device = await provision(stubs)
    application = stubs.application
    wanted = api.HttpIntegration(application_id=device.application_id, event_endpoint_url="http://127.0.0.1:1/x")
    get = api.GetHttpIntegrationRequest(application_id=device.application_id)
    assert await status_of(application.GetHttpIntegration(get, metadata=stubs.auth)) is grpc.StatusCode.NOT_FOUND
    await application.CreateHttpIntegration(api.CreateHttpIntegrationRequest(integration=wanted), metadata=stubs.auth)
    assert (await application.GetHttpIntegration(get, metadata=stubs.auth)).integration == wanted
    listing = api.ListIntegrationsRequest(application_id=device.application_id)
    kinds = await application.ListIntegrations(listing, metadata=stubs.auth)
    assert [entry.kind for entry in kinds.result] == [api.HTTP]
    delete = api.DeleteHttpIntegrationRequest(application_id=device.application_id)
    await application.DeleteHttpIntegration(delete, metadata=stubs.auth)
    profile = await stubs.profile.Get(api.GetDeviceProfileRequest(id=device.device_profile_id), metadata=stubs.auth)
    gateway = api.Gateway(gateway_id="00000000000000A1", name="g", tenant_id=profile.device_profile.tenant_id)
    await stubs.gateway.Create(api.CreateGatewayRequest(gateway=gateway), metadata=stubs.auth)
    listed = await stubs.gateway.List(api.ListGatewaysRequest(limit=5), metadata=stubs.auth)
    assert [entry.gateway_id for entry in listed.result] == ["00000000000000a1"]


async def test_version_and_region_are_told_to_users(serve):
    _, stubs = await serve(user_token="user")
    auth = (("authorization", "Bearer user"),)
    assert (await stubs.internal.GetVersion(Empty(), metadata=auth)).version == "4.20.0"
    regions = await stubs.internal.ListRegions(Empty(), metadata=auth)
    assert [entry.id for entry in regions.regions] == ["eu868"]
    region = await stubs.internal.GetRegion(api.GetRegionRequest(id="eu868"), metadata=auth)
    assert (region.rx2_frequency, len(region.uplink_channels)) == (869_525_000, 8)


async def test_version_and_region_are_not_told_to_an_api_key(serve):
    """As a real v4.20.0-test.1 answered: UNAUTHENTICATED, and not a word."""
    _, stubs = await serve()
    for call in (
        stubs.internal.GetVersion(Empty(), metadata=stubs.auth),
        stubs.internal.ListRegions(Empty(), metadata=stubs.auth),
        stubs.internal.GetRegion(api.GetRegionRequest(id="eu868"), metadata=stubs.auth),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNAUTHENTICATED, "")


async def test_a_call_that_hangs_without_effect_and_a_slow_one(serve):
    server, stubs = await serve()
    await provision(stubs)
    faults = server.driver.server.context.faults
    faults.add(Fault("grpc_deadline", count=1, where={"dev_eui": EUI}, params={"seconds": 0.05}))
    call = stubs.device.Enqueue(item(), metadata=stubs.auth)
    assert await status_of(call) is grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(server.driver.server.context.tables.queue) == 0
    faults.add(Fault("grpc_slow", count=1, params={"seconds": 0.2}))
    begin = asyncio.get_running_loop().time()
    await stubs.device.Enqueue(item(), metadata=stubs.auth)
    assert asyncio.get_running_loop().time() - begin >= 0.2


async def test_what_is_not_emulated_says_so(serve):
    _, stubs = await serve()
    call = stubs.device.GetMetrics(api.GetDeviceMetricsRequest(dev_eui=EUI), metadata=stubs.auth)
    assert await status_of(call) is grpc.StatusCode.UNIMPLEMENTED


async def test_an_expiry_outside_of_time_is_refused(serve):
    _, stubs = await serve()
    await provision(stubs)
    request = item()
    request.queue_item.expires_at.seconds = 1 << 60
    assert await status_of(stubs.device.Enqueue(request, metadata=stubs.auth)) is grpc.StatusCode.INTERNAL
