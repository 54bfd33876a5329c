"""Answers HTTP requests on 127.0.0.1 with the functions whose routes they match.

Python's own server rather than Werkzeug's, which closes the connection after each answer.
"""

import hmac
import logging
from collections.abc import Iterable
from concurrent.futures import CancelledError
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import IO, Any, cast

from azure.functions.meta import Datum
from werkzeug.serving import DechunkedInput

from local.environment import StartError
from local.functions import Function, InvocationFailedError
from local.routes import find_route, parse_routes, resolve, unescape
from local.worker import InFlight, Worker

logger = logging.getLogger(__name__)

LARGEST_BODY = 100 * 1024 * 1024  # the real host's own limit
LARGEST_READ = 64 * 1024

# The server sets these itself.
FRAMING_HEADERS = {"connection", "content-length", "transfer-encoding"}


class HttpServer(ThreadingHTTPServer):
    """A thread per connection reads requests; the functions run in the worker's threads."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, port: int, functions: Iterable[Function], prefix: str, worker: Worker, key: str | None
    ) -> None:
        self.routes = parse_routes(functions, prefix)
        self.worker = worker
        self.key = key
        self.in_flight = InFlight()
        try:
            super().__init__(("127.0.0.1", port), _Connection)
        except (OSError, OverflowError) as error:
            raise StartError(f"Cannot listen on port {port}: {error}.") from error

    def start(self) -> None:
        """Begin to answer."""
        Thread(target=self.serve_forever, args=(0.1,), name="http", daemon=True).start()

    def stop(self) -> None:
        """Accept no more connections."""
        self.shutdown()
        self.server_close()


class _Connection(BaseHTTPRequestHandler):
    server: HttpServer
    protocol_version = "HTTP/1.1"
    # Head and body are two writes; without this the second waits for the client's ACK.
    disable_nagle_algorithm = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # the server looks for a method of ours per HTTP method
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        with self.server.in_flight:
            path, _, query = self.path.partition("?")
            try:
                path = resolve(path)
                body = self._read_body()
            except (OSError, ValueError):
                self.close_connection = True
                self._answer(HTTPStatus.BAD_REQUEST)
                return
            if body is None:
                self._refuse_body()
            else:
                self._dispatch(path, query, body)

    def _read_body(self) -> bytes | None:
        """Return the body, or None when it is too large; in chunks, nothing of it arrives.

        https://github.com/Azure/azure-functions-host/issues/7930
        """
        encoding = self.headers.get("Transfer-Encoding")
        if encoding:
            if encoding.lower() != "chunked":
                raise ValueError("only chunks are understood")
            stream = DechunkedInput(cast(IO[bytes], self.rfile))
            while stream.read(LARGEST_READ):
                pass
            return b""
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal():
            raise ValueError("the length must be a number")
        if int(length) > LARGEST_BODY:
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionError("the client left before it had sent all")
        return body

    def _refuse_body(self) -> None:
        self.close_connection = True
        self._answer(HTTPStatus.INTERNAL_SERVER_ERROR)  # as the real host does
        # A client that is still sending would see a broken connection in place of the answer.
        self.connection.settimeout(1)
        with suppress(OSError):
            while self.rfile.read1():
                pass

    def _dispatch(self, path: str, query_string: str, body: bytes) -> None:
        query = _joined(_pairs(query_string))
        headers = _joined((name.lower(), value) for name, value in self.headers.items())
        found = find_route(self.server.routes, self.command, path)
        if not found:
            self._answer(HTTPStatus.NOT_FOUND)
            return
        function, parameters = found
        if not self._is_allowed(function, headers.get("x-functions-key") or query.get("code", "")):
            self._answer(HTTPStatus.UNAUTHORIZED)
            return
        request = {
            "method": Datum(self.command, "string"),
            "url": Datum(f"http://{headers.get('host', '')}{self.path}", "string"),
            "headers": _strings(headers),
            "query": _strings(query),
            "params": _strings(parameters),
            "body": Datum(body, "bytes"),
        }
        self._invoke(function, Datum(request, "http"), headers.get("traceparent"))

    def _is_allowed(self, function: Function, key: str) -> bool:
        if self.server.key is None or function.trigger["authLevel"] == "ANONYMOUS":
            return True
        return hmac.compare_digest(key.encode(), self.server.key.encode())

    def _invoke(self, function: Function, request: Datum, trace_parent: str | None) -> None:
        try:
            answer = self.server.worker.start(function, request, trace_parent=trace_parent).result()
        except InvocationFailedError:
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR)
        except CancelledError:
            self.close_connection = True
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE)
        else:
            self._answer_with(answer)

    def _answer_with(self, answer: Datum | None) -> None:
        if answer is None:
            self._answer(HTTPStatus.NO_CONTENT)
        elif answer.type == "string":
            headers = [("Content-Type", "text/plain; charset=utf-8")]
            self._answer(HTTPStatus.OK, headers, answer.value.encode())
        else:
            headers = [(name, header.value) for name, header in answer.value["headers"].items()]
            for cookie in answer.value["cookies"] or ():
                headers += [("Set-Cookie", morsel.OutputString()) for morsel in cookie.values()]
            status = int(answer.value["status_code"].value)
            self._answer(status, headers, answer.value["body"].value)

    def _answer(
        self, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        logger.info("%s %s answered %d", self.command, self.path.partition("?")[0], status)
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in FRAMING_HEADERS:
                self.send_header(name, value)
        may_have_body = status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
        if may_have_body:
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if may_have_body and self.command != "HEAD":
            self.wfile.write(body)

    def log_request(self, *_: object) -> None:
        """Leave it to `_answer`, without the query, which may hold a key."""

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - its name there
        """Log with the rest."""
        logger.info(format, *arguments)


def _pairs(query: str) -> list[tuple[str, str]]:
    """Return the names and values of a query, but for those without a value."""
    pairs = (pair.partition("=") for pair in query.replace("+", " ").split("&"))
    return [(unescape(name), unescape(value)) for name, _, value in pairs if value]


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _strings(values: dict[str, str]) -> dict[str, Datum]:
    return {name: Datum(value, "string") for name, value in values.items()}
