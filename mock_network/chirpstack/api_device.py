"""DeviceService of the emulated server: devices, root keys, activation, and the downlink queue."""

# ruff: noqa: N802 - gRPC methods have the names of the .proto files

from typing import Any

from chirpstack_api import api
from google.protobuf.empty_pb2 import Empty

from mock_network.lorawan.crypto import SessionKeys

from . import device_queue, join
from .api_rows import Rows, required
from .errors import Refused, Status
from .model import Device
from .values import aes_key, dev_addr, eui64, join_server_context, seconds, timestamp


class DeviceService(Rows, api.DeviceServiceServicer):
    """Devices, as far as a bridge and its user need them; metrics stay unimplemented."""

    table, field, key, list_below = "devices", "device", "dev_eui", "application_id"
    got, listed = api.GetDeviceResponse, api.ListDevicesResponse

    def wanted(self, row: Device, request: api.ListDevicesRequest) -> bool:
        """Compare the tags."""
        return all(row.message.tags.get(key) == value for key, value in request.tags.items())

    def more_of(self, row: Device, answer: Any) -> None:
        """Add what the server has seen of the device: when, its status and class; in a list its profile's name too."""
        if row.last_seen_at is not None:
            answer.last_seen_at.CopyFrom(timestamp(row.last_seen_at))
        if row.margin is not None:
            answer.device_status.CopyFrom(_status(row))
        if isinstance(answer, api.DeviceListItem):
            answer.device_profile_name = self._tables.profiles.rows[row.device_profile_id].message.name
        else:
            answer.class_enabled = row.enabled_class

    async def CreateKeys(self, request: api.CreateDeviceKeysRequest, _: object) -> Empty:
        """Set the root keys of a device."""
        self._tables.create_keys(required(request, "device_keys"), self._driver.now())
        return Empty()

    async def GetKeys(self, request: api.GetDeviceKeysRequest, _: object) -> api.GetDeviceKeysResponse:
        """Read a device's root keys."""
        keys = self._tables.keys(request.dev_eui)
        return api.GetDeviceKeysResponse(
            device_keys=api.DeviceKeys(
                dev_eui=eui64(request.dev_eui).hex(),
                nwk_key=keys.nwk_key.hex(),
                app_key=keys.app_key.hex(),
                gen_app_key=keys.gen_app_key.hex(),
            ),
            created_at=timestamp(keys.created_at),
            updated_at=timestamp(keys.updated_at),
        )

    async def UpdateKeys(self, request: api.UpdateDeviceKeysRequest, _: object) -> Empty:
        """Change a device's root keys."""
        self._tables.update_keys(required(request, "device_keys"), self._driver.now())
        return Empty()

    async def DeleteKeys(self, request: api.DeleteDeviceKeysRequest, _: object) -> Empty:
        """Remove a device's root keys."""
        self._tables.delete_keys(request.dev_eui)
        return Empty()

    async def FlushDevNonces(self, request: api.FlushDevNoncesRequest, _: object) -> Empty:
        """Forget which DevNonces a device has used."""
        self._tables.keys(request.dev_eui).dev_nonces.clear()
        return Empty()

    async def Activate(self, request: api.ActivateDeviceRequest, _: object) -> Empty:
        """Set the session of a device (ABP)."""
        message = required(request, "device_activation")
        tables = self._tables
        device = tables.devices.get(message.dev_eui)
        keys = SessionKeys(
            s_nwk_s_int_key=aes_key(message.s_nwk_s_int_key),
            f_nwk_s_int_key=aes_key(message.f_nwk_s_int_key),
            nwk_s_enc_key=aes_key(message.nwk_s_enc_key),
            app_s_key=aes_key(message.app_s_key),
        )
        session = join.activate(self._driver.server.context, device, dev_addr(message.dev_addr), keys)
        session.n_f_cnt_down, session.a_f_cnt_down_1_1 = message.n_f_cnt_down, message.a_f_cnt_down
        device.f_cnt_up = message.f_cnt_up
        return Empty()

    async def Deactivate(self, request: api.DeactivateDeviceRequest, _: object) -> Empty:
        """Remove a device's session and queue."""
        tables = self._tables
        dev_eui = eui64(request.dev_eui)
        device_queue.flush(tables, dev_eui)
        tables.set_session(tables.devices.get(request.dev_eui), None)
        return Empty()

    async def GetActivation(
        self, request: api.GetDeviceActivationRequest, _: object
    ) -> api.GetDeviceActivationResponse:
        """Read a device's session; empty when there is none."""
        device = self._tables.devices.get(request.dev_eui)
        session = device.session
        if session is None:
            return api.GetDeviceActivationResponse()
        wrapped = session.app_s_key
        activation = api.DeviceActivation(
            dev_eui=device.eui,
            dev_addr=f"{session.dev_addr:08x}",
            app_s_key=(session.keys.app_s_key if wrapped is None else wrapped.aes_key).hex(),
            nwk_s_enc_key=session.keys.nwk_s_enc_key.hex(),
            s_nwk_s_int_key=session.keys.s_nwk_s_int_key.hex(),
            f_nwk_s_int_key=session.keys.f_nwk_s_int_key.hex(),
            f_cnt_up=device.f_cnt_up,
            n_f_cnt_down=session.n_f_cnt_down,
            a_f_cnt_down=session.a_f_cnt_down_1_1,
        )
        outside = join_server_context(session)
        return api.GetDeviceActivationResponse(device_activation=activation, join_server_context=outside)

    async def GetRandomDevAddr(self, request: api.GetRandomDevAddrRequest, _: object) -> api.GetRandomDevAddrResponse:
        """Return a random DevAddr of this network."""
        if request.dev_eui:
            eui64(request.dev_eui)
        return api.GetRandomDevAddrResponse(dev_addr=f"{join.random_dev_addr(self._driver.server.context):08x}")

    async def Enqueue(
        self, request: api.EnqueueDeviceQueueItemRequest, _: object
    ) -> api.EnqueueDeviceQueueItemResponse:
        """Add an item to a device's queue. The id in the request is ignored; the answer carries the server's own."""
        message = required(request, "queue_item")
        self._driver.server.advance(self._driver.now())
        tables = self._tables
        dev_eui = eui64(message.dev_eui)
        if request.flush_queue:
            device_queue.flush(tables, dev_eui, keep_pending=True)
        if message.HasField("object"):
            # no profile of this emulator has a codec, so there is nothing to turn an object into bytes with
            raise Refused(Status.INTERNAL, "Codec is not configured")
        item = device_queue.enqueue(
            tables,
            identifier=None,
            dev_eui=dev_eui,
            f_port=message.f_port,
            confirmed=message.confirmed,
            data=message.data,
            now=self._driver.now(),
            expires_at=seconds(message.expires_at) if message.HasField("expires_at") else None,
            is_encrypted=message.is_encrypted,
            f_cnt_down=message.f_cnt_down,
        )
        self._driver.server.enqueued(dev_eui)
        self._driver.wake()
        return api.EnqueueDeviceQueueItemResponse(id=str(item.id))

    async def FlushQueue(self, request: api.FlushDeviceQueueRequest, _: object) -> Empty:
        """Drop all of a device's items, the pending one too, without an event."""
        device_queue.flush(self._tables, eui64(request.dev_eui))
        return Empty()

    async def GetQueue(self, request: api.GetDeviceQueueItemsRequest, _: object) -> api.GetDeviceQueueItemsResponse:
        """List a device's items, oldest first (`count_only` makes no difference in ChirpStack 4.20)."""
        rows = device_queue.items(self._tables, eui64(request.dev_eui))
        answer = api.GetDeviceQueueItemsResponse(total_count=len(rows))
        for item in rows:
            added = answer.result.add(
                id=str(item.id),
                dev_eui=item.dev_eui.hex(),
                confirmed=item.confirmed,
                f_port=item.f_port,
                data=item.data,
                is_pending=item.is_pending,
                f_cnt_down=item.f_cnt_down or 0,
                is_encrypted=item.is_encrypted,
            )
            if item.expires_at is not None:
                added.expires_at.CopyFrom(timestamp(item.expires_at))
        return answer

    async def GetNextFCntDown(
        self, request: api.GetDeviceNextFCntDownRequest, _: object
    ) -> api.GetDeviceNextFCntDownResponse:
        """Return the counter that an application shall encrypt its next downlink with."""
        tables = self._tables
        device = tables.devices.get(request.dev_eui)
        queued = [item.f_cnt_down for item in device_queue.items(tables, device.dev_eui) if item.f_cnt_down is not None]
        own = device.session.a_f_cnt_down if device.session else 0
        return api.GetDeviceNextFCntDownResponse(f_cnt_down=max(own, max(queued, default=0) + 1))


def _status(device: Device) -> api.DeviceStatus:
    return api.DeviceStatus(
        margin=device.margin or 0,
        external_power_source=device.external_power_source,
        battery_level=-1.0 if device.battery_level is None else device.battery_level,
    )
