"""A storage that can be down: it hands connections on to the real one, or cuts them."""

import re
import selectors
import socket
import socketserver
from threading import Thread
from types import TracebackType
from typing import Self


class Forwarder(socketserver.ThreadingTCPServer):
    daemon_threads = True
    is_down = False
    refused = 0

    def __init__(self, connection_string: str) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        match = re.search(r"QueueEndpoint=http://127\.0\.0\.1:(\d+)", connection_string)
        assert match
        self.storage_port = int(match[1])
        self.connection_string = connection_string.replace(
            match[0], match[0].replace(match[1], str(self.server_address[1]))
        )

    def __enter__(self) -> Self:
        Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.is_down = True
        self.shutdown()
        self.server_close()


class _Forward(socketserver.BaseRequestHandler):
    server: Forwarder

    def handle(self) -> None:
        if self.server.is_down:
            self.server.refused += 1
            return
        with (
            socket.create_connection(("127.0.0.1", self.server.storage_port)) as storage,
            selectors.DefaultSelector() as selector,
        ):
            selector.register(self.request, selectors.EVENT_READ, storage)
            selector.register(storage, selectors.EVENT_READ, self.request)
            while not self.server.is_down:
                for key, _ in selector.select(timeout=0.05):
                    data = key.fileobj.recv(65536)  # type: ignore[union-attr] # both are sockets
                    if not data:
                        return
                    key.data.sendall(data)
