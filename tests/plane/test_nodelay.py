"""Answers in two parts are not held up: connections that asyncio accepts send at once."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from anyservice_core.plane.engines.process_host import listening_socket
from anyservice_core.plane.listening import listener


@contextlib.contextmanager
def of_a_host():
    with listening_socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


@pytest.mark.parametrize("made", [of_a_host, lambda: listener("127.0.0.1", 0)], ids=["version", "plane"])
def test_what_is_small_is_sent_at_once(made):
    """Without that, the second part of an answer waits for the client's word on the first: 40 ms."""

    async def accepted(bound: socket.socket) -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            server_side = writer.get_extra_info("socket")
            found.set_result(server_side.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(connected, sock=bound):
            _, writer = await asyncio.open_connection(*bound.getsockname())
            answer = await found
            writer.close()
            await writer.wait_closed()
            return answer

    with made() as bound:
        assert asyncio.run(accepted(bound)) != 0
