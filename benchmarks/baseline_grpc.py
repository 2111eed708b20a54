"""Baseline (c): bare unary calls of Enqueue over grpc.aio, as many at a time as the bridge has exchanges."""

import asyncio
import sys

import grpc
from chirpstack_api import api

IN_FLIGHT = 64


async def main(address: str) -> None:
    """Call forever; who measures stops and continues this process."""
    async with grpc.aio.insecure_channel(address) as channel:
        enqueue = api.DeviceServiceStub(channel).Enqueue
        metadata = (("authorization", "Bearer bench"),)

        async def calls() -> None:
            while True:
                item = api.DeviceQueueItem(dev_eui="ffffffffffffffff", f_port=10, data=bytes(15))
                await enqueue(api.EnqueueDeviceQueueItemRequest(queue_item=item), metadata=metadata, timeout=10)

        await asyncio.gather(*(calls() for _ in range(IN_FLIGHT)))


asyncio.run(main(sys.argv[1]))
