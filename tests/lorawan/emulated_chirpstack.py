"""An emulated ChirpStack in this process, reached over real gRPC, that emits whatever event a test wants."""

import itertools
import time
from dataclasses import replace

from chirpstack_api import api, common, integration
from google.protobuf.timestamp_pb2 import Timestamp

from bindings.lorawan import LorawanBinding, LorawanSettings
from bindings.lorawan.chirpstack.provisioning import provision
from bindings.lorawan.settings import Api, CatchUp, Downlinks, EndToEnd, Http, Mqtt
from bindings.lorawan.wanted_device import Otaa, WantedDevice
from mock_network.chirpstack import device_queue, join
from mock_network.chirpstack.model import Settings
from mock_network.chirpstack.service import ChirpStack, Options
from mock_network.faults import Fault
from mock_network.lorawan.crypto import SessionKeys
from tests.bindings.bridge_side import DictMemory
from tests.waiting import until

TOKEN = "secret"
DEVICE = "70b3d57ed0000001"
STRANGER = "70b3d57ed00000ff"
KEY = "0102030405060708090a0b0c0d0e0f10"
PATH = "test-path"
PAUSE = 0.05  # seconds after each ten events of a history; a real one takes one second


class Emulated:
    """A server with one application and one device; `events` happen when a test says so."""

    def __init__(self, **options):
        settings = Settings(reorder_within=0.0, history_per_device=1000, history_pause=PAUSE)
        self.options = replace(Options(token=TOKEN, settings=settings), **options)
        self.memory = DictMemory()
        self.f_cnt = itertools.count()
        self.dev_addr = "01020304"
        self.application_id = ""

    async def __aenter__(self):
        self.server = ChirpStack(self.options)
        await self.server.start()
        self.context = self.server.driver.server.context
        self.tenant = self.context.tables.tenants.create(api.Tenant(name="t"), time.time())
        return self

    async def __aexit__(self, *_):
        await self.server.stop()

    async def binding(self, side, *, devices=(DEVICE,), api_settings=None, **parts):
        """Provision once, start a binding and wait until it knows the devices' profiles."""
        downlinks = Downlinks(**({"rx1_dr_offset": 0} | parts.pop("downlinks", {})))  # as its region says
        settings = LorawanSettings(
            api=Api(
                **(
                    {"server": self.server.grpc_address, "key": TOKEN, "timeout": 2.0}
                    | {"transport": parts.pop("transport", "grpc-web")}
                    | (api_settings or {})
                ),
            ),
            application_id=parts.pop("application_id", self.application_id),
            http=Http(**({"port": 0, "path": PATH} | parts.pop("http", {}))),
            downlinks=downlinks,
            catch_up=CatchUp(**({"patience": 4 * PAUSE} | parts.pop("catch_up", {}))),
            end_to_end=EndToEnd(**parts.pop("end_to_end", {})),
            events="mqtt" if "mqtt" in parts else "http",
            mqtt=Mqtt(**parts.pop("mqtt", {})),
        )
        wanted = parts.pop("wanted", {})
        known = parts.pop("known", True)
        binding = LorawanBinding("net", settings)
        if not self.application_id:
            for device in devices:
                await self.provision(device, **wanted)
            settings = LorawanSettings(
                api=settings.api,
                application_id=self.application_id,
                http=settings.http,
                downlinks=downlinks,
                catch_up=settings.catch_up,
                end_to_end=settings.end_to_end,
                events=settings.events,
                mqtt=settings.mqtt,
            )
            binding = LorawanBinding("net", settings)
        await binding.start(side, parts.pop("memory", self.memory))
        for device in devices:
            await binding.provision(device, parts.get("options", {}))
        if known:
            await until(lambda: binding.provider.version)
            record = binding._records.held(devices[0])
            await until(lambda: binding._records.profile(record.profile).known)
        if settings.events == "http" and known:
            await binding.set_integration()
        return binding

    async def provision(self, device=DEVICE, **wanted):
        from bindings.lorawan.chirpstack.client import ChirpStackClient

        client = ChirpStackClient(Api(server=self.server.grpc_address, key=TOKEN))
        await client.open()
        done = await provision(client, WantedDevice(device, Otaa(KEY), **wanted))
        await client.close()
        self.application_id = done.application_id
        return done

    async def goes(self, binding):
        """Be gone, as far as a binding can tell."""
        await self.server._grpc.stop(0)
        await self.server._port.stop()
        channel = binding.provider.client._transport.channel
        if hasattr(channel, "get_state"):
            await until(lambda: channel.get_state().name != "READY")

    def is_at_the_broker(self):
        """Return whether the server has a connection to its broker: without one, events of QoS 0 are lost."""
        sinks = self.server._integrations._sinks
        return all(sink._mqtt._client.is_connected() for sink in sinks if sink.via == "mqtt")

    # What the network does

    def fault(self, kind, *, count=1, where=None, **params):
        self.context.faults.add(Fault(kind, count=count, where=where or {}, params=params))

    def queue(self, device=DEVICE):
        return device_queue.items(self.context.tables, bytes.fromhex(device))

    def row(self, device=DEVICE):
        return self.context.tables.devices.rows[bytes.fromhex(device)]

    def emit(self, kind, message, device=DEVICE):
        self.context.now = time.time()
        self.context.emit(self.row(device), kind, message)
        self.server.driver.wake()

    def values(self, device=DEVICE, at=None):
        stamp = Timestamp()
        stamp.FromNanoseconds(int((time.time() if at is None else at) * 1e9))
        return {"time": stamp, "device_info": self.context.info(self.row(device))}

    def up_message(self, data=b"", *, f_port=10, f_cnt=None, dr=5, dev_addr=None, at=None, **more):
        f_cnt = next(self.f_cnt) if f_cnt is None else f_cnt
        return integration.UplinkEvent(
            deduplication_id=f"00000000-0000-0000-0000-{f_cnt:012d}",
            dev_addr=dev_addr or self.dev_addr,
            dr=dr,
            f_cnt=f_cnt,
            f_port=f_port,
            data=data,
            **self.values(at=at),
            **more,
        )

    def up(self, data=b"", **more):
        message = self.up_message(data, **more)
        self.emit("up", message)
        return message

    def join(self, dev_addr, *, at=None):
        self.emit("join", integration.JoinEvent(deduplication_id="j", dev_addr=dev_addr, **self.values(at=at)))

    def tx_ack(self, item):
        self.emit("txack", integration.TxAckEvent(queue_item_id=item, **self.values()))

    def ack(self, item, acknowledged):
        self.emit("ack", integration.AckEvent(queue_item_id=item, acknowledged=acknowledged, **self.values()))

    def log(self, code, **context):
        message = integration.LogEvent(
            level=integration.ERROR, code=code, description=code.lower(), context=context, **self.values()
        )
        self.emit("log", message)

    def activate(self, *, f_cnt_up):
        """Set a session of the device in the server as well, with the uplinks that a test has made up."""
        keys = SessionKeys.of_1_0(bytes.fromhex(KEY), bytes.fromhex(KEY))
        join.activate(self.context, self.row(), int(self.dev_addr, 16), keys)
        self.row().f_cnt_up, self.row().last_seen_at = f_cnt_up, time.time()

    def class_c(self):
        self.row().enabled_class = common.CLASS_C
