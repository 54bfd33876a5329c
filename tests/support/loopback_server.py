"""The HTTP/1.1 server under each stub: keeps connections, numbers them, and ends with them."""

import asyncio
import re
import socket
import ssl
import threading
from collections.abc import Awaitable
from contextlib import suppress
from typing import Protocol

from tests.support.exchange import Answer, ReceivedRequest

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Responder(Protocol):
    """Decides what becomes of a request."""

    def respond(self, request: ReceivedRequest) -> Awaitable[Answer | None]:
        """Say what to answer; None cuts the connection."""

    def takes_unread_cut(self) -> bool:
        """Say whether the request about to be read is to be cut off."""


class LoopbackServer:
    """Listens on a free port, in an event loop and a thread of its own."""

    def __init__(self, responder: Responder, tls: ssl.SSLContext | None) -> None:
        self.connections = 0
        self.errors: list[Exception] = []
        self._responder = responder
        self._tls = tls
        # A burst of concurrent clients must not be turned away.
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        # asyncio does this only for sockets that name their protocol. Without it the second part of
        # an answer waits 40 ms for the client to confirm the first one.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._socket.getsockname()[1]}"
        self._open: set[asyncio.StreamWriter] = set()
        self._closed = asyncio.Event()
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def drop_connections(self) -> None:
        """Close all open connections."""
        for writer in list(self._open):
            with suppress(OSError):  # the client was faster
                writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Cut off all connections, and stop."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._closed.set)
            self._thread.join()

    def _run(self) -> None:
        # Left, it cancels what is still going on.
        with self._runner:
            self._runner.run(self._listen())

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._converse, sock=self._socket, ssl=self._tls)
        await self._closed.wait()
        server.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self._open.add(writer)
        try:
            while request := await self._read(reader, number):
                answer = await self._responder.respond(request)
                if answer is None or not await _send(answer, writer):
                    break
        except asyncio.CancelledError:
            writer.transport.abort()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client hung up
        except Exception as error:  # noqa: BLE001 - raised when the stub is closed
            self.errors.append(error)
        finally:
            self._open.discard(writer)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader, number: int) -> ReceivedRequest | None:
        head = await reader.readuntil(b"\r\n\r\n")
        if self._responder.takes_unread_cut():
            return None
        assert b"\r\ntransfer-encoding:" not in head.lower(), "the stub reads no chunked bodies"
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        method, path, _ = head.partition(b"\r\n")[0].decode().split(" ")
        return ReceivedRequest(method, path, head, body, number)


async def _send(answer: Answer, writer: asyncio.StreamWriter) -> bool:
    """Send an answer, at its pace; tell whether the connection is good for more."""
    await asyncio.sleep(answer.after_seconds)
    head, body = answer.encode()
    await _drip(head, answer.seconds_per_header_byte, writer)
    await _drip(body, answer.seconds_per_body_byte, writer)
    await writer.drain()
    return not answer.lies_about_its_length


async def _drip(content: bytes, seconds_per_byte: float, writer: asyncio.StreamWriter) -> None:
    if not seconds_per_byte:
        writer.write(content)
        return
    for byte in content:
        writer.write(bytes([byte]))
        await asyncio.sleep(seconds_per_byte)
