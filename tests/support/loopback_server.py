"""The HTTP/1.1 server under each stub: keeps connections, numbers them, and ends with them."""

import socket
import ssl
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader
from typing import Any, Protocol

from tests.support.exchange import Answer, ReceivedRequest


class Responder(Protocol):
    """Decides what becomes of a request."""

    def receive(self, request: ReceivedRequest) -> Answer | None:
        """Say what to answer; None cuts the connection."""

    def takes_unread_cut(self) -> bool:
        """Say whether the request about to be read is to be cut off."""

    def pause(self, seconds: float) -> bool:
        """Wait that long, and say whether to go on then."""


class LoopbackServer(ThreadingHTTPServer):
    """Listens on a free port; each connection has a thread, which ends when it is closed."""

    # Joined when the server is closed, so that a test leaves no thread behind.
    daemon_threads = False
    # A burst of concurrent clients must not be turned away.
    request_queue_size = 128

    def __init__(self, responder: Responder, tls: ssl.SSLContext | None) -> None:
        self.responder = responder
        self.tls = tls
        self.connections = 0
        self.errors: list[BaseException] = []
        self._lock = threading.Lock()
        self._numbers: dict[Any, int] = {}
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.tls:
            # The handshake is left to the connection's own thread.
            connection = self.tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        with self._lock:
            self.connections += 1
            self._numbers[address] = self.connections
            self._open.add(connection)
        return connection, address

    def connection_number(self, address: Any) -> int:
        return self._numbers[address]

    def drop_connections(self) -> None:
        with self._lock:
            for connection in self._open:
                with suppress(OSError):  # the client was faster
                    connection.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):  # OSError: the client hung up
            self.errors.append(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: LoopbackServer
    rfile: BufferedReader

    def handle_one_request(self) -> None:
        # Nothing of the request is parsed yet: here a connection can be cut without reading it.
        if self.rfile.peek(1) and not self.server.responder.takes_unread_cut():
            super().handle_one_request()
        else:
            self.close_connection = True

    def serve(self) -> None:
        assert "Transfer-Encoding" not in self.headers, "the stub reads no chunked bodies"
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:
            # The client died in the middle of its request, which so was never made.
            self.close_connection = True
            return
        number = self.server.connection_number(self.client_address)
        # Not self.path, which has slashes at its beginning folded.
        path = self.requestline.split()[1]
        request = ReceivedRequest(self.command, path, self.headers, body, number)
        answer = self.server.responder.receive(request)
        if answer is None:
            self.close_connection = True
        else:
            self.send(answer)

    do_DELETE = do_GET = do_PATCH = do_POST = do_PUT = serve  # noqa: N815 - the server's own names

    def send(self, answer: Answer) -> None:
        head, body = answer.encode()
        self.close_connection = self.close_connection or answer.lies_about_its_length
        if not (answer.seconds_per_header_byte or answer.seconds_per_body_byte):
            self.wfile.write(head + body)
            return
        self.drip(head, answer.seconds_per_header_byte)
        self.drip(body, answer.seconds_per_body_byte)

    def drip(self, content: bytes, seconds_per_byte: float) -> None:
        if not seconds_per_byte:
            self.wfile.write(content)
            return
        for byte in content:
            self.wfile.write(bytes([byte]))
            if not self.server.responder.pause(seconds_per_byte):
                self.close_connection = True
                return

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the server's own name
        pass
