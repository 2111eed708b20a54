"""An emulated server over real sockets, and its gRPC stubs."""

import contextlib
from dataclasses import replace

import pytest
from mock_chirpstack_kit import TOKEN, Stubs

from mock_network.chirpstack.service import ChirpStack, Options


@pytest.fixture
async def serve():
    """Start emulated servers; all are stopped at the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(**changes) -> tuple[ChirpStack, Stubs]:
            server = ChirpStack(replace(Options(token=TOKEN), **changes))
            await server.start()
            stack.push_async_callback(server.stop)
            stubs = Stubs(server.grpc_address)
            stack.push_async_callback(stubs.channel.close)
            return server, stubs

        yield start
