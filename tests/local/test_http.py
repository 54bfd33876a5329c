import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.functions import Function
from local.routes import find_route, parse_routes
from tests.local.host_process import HostProcess, write_app

APP = """
import asyncio, json, os, threading
import azure.functions as func
from greetings import hello

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
meeting = threading.Barrier(2)


def tells(name, route, methods=None):
    # A function that answers what it was told.
    def tell(req: func.HttpRequest) -> func.HttpResponse:
        told = {"function": name, "method": req.method, "url": req.url}
        told |= {"route": dict(req.route_params), "query": dict(req.params)}
        body = req.get_body()
        told |= {"headers": dict(req.headers), "body": body.decode("latin-1")}
        told["type"] = type(body).__name__
        return func.HttpResponse(json.dumps(told), mimetype="application/json")
    app.function_name(name)(app.route(route, methods=methods)(tell))


tells("item", "items/{id}")
tells("numbered", "items/{number:int}")
tells("newest", "items/newest")
tells("page", "pages/{book}/{page?}")
tells("read_things", "things", ["GET"])
tells("write_things", "things", ["POST", "PUT"])
tells("Unrouted", None)


@app.route("fails")
def fails(req: func.HttpRequest) -> func.HttpResponse:
    raise LookupError("nobody is to see this")


@app.route("meets")
def meets(req: func.HttpRequest) -> str:
    meeting.wait(timeout=300)
    return "met"


@app.route("answers/full")
def full(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(
        "gr\\u00fc\\u00df", status_code=418, mimetype="text/x-greeting", charset="latin-1",
        headers={"X-Kind": "tea", "Content-Length": "999", "Set-Cookie": "a=b; Path=/"},
    )


@app.route("answers/bytes")
def raw(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(bytes(range(256)), mimetype="application/octet-stream")


@app.route("answers/text")
def text(req: func.HttpRequest) -> str:
    return "caf\\u00e9"


@app.route("answers/nothing")
def nothing(req: func.HttpRequest):
    return None


@app.route("answers/unchanged")
def unchanged(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(status_code=304)


@app.route("answers/unknown")
def unknown(req: func.HttpRequest):
    return {"not": "an answer"}


@app.route("slept")
async def slept(req: func.HttpRequest) -> str:
    await asyncio.sleep(0)
    return hello()


@app.function_name("WithContext")
@app.route("context")
def with_context(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return func.HttpResponse(json.dumps({
        "name": context.function_name,
        "directory": context.function_directory,
        "id": context.invocation_id,
        "traceparent": context.trace_context.trace_parent,
        "retry": context.retry_context,
    }))
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    app = write_app(tmp_path_factory.mktemp("http") / "app", APP)
    (app / "greetings.py").write_text("def hello():\n    return 'hello'\n")
    with HostProcess(app, PYTHON_THREADPOOL_THREAD_COUNT="4") as host:
        yield host


def speak(host, request: bytes) -> bytes:
    """Send a request as it is, and nothing more; return all that is answered."""
    with socket.create_connection(("127.0.0.1", host.port), timeout=60) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return connection.makefile("rb").read()


def test_one_line_tells_that_it_is_ready(host):
    assert host.ready_line == f"Listening on http://127.0.0.1:{host.port}/api (17 functions)\n"


@pytest.mark.parametrize(
    ("path", "function", "route"),
    [
        ("/api/items/abc", "item", {"id": "abc"}),
        ("/api/items/12", "numbered", {"number": "12"}),
        ("/api/items/-12", "numbered", {"number": "-12"}),
        ("/api/items/newest", "newest", {}),
        ("/api/items/abc/", "item", {"id": "abc"}),
        ("/API/Items/Newest", "newest", {}),
        ("/api/pages/Emma/3", "page", {"book": "Emma", "page": "3"}),
        ("/api/pages/Emma", "page", {"book": "Emma"}),
        ("/api/Unrouted", "Unrouted", {}),
        # A path is decoded once, save for slashes.
        ("/api/items/29%3Aabc%40x", "item", {"id": "29:abc@x"}),
        ("/api/items/a%2Fb", "item", {"id": "a%2Fb"}),
        ("/api/items/a%2fb%20c", "item", {"id": "a%2fb c"}),
        ("/api/items/a%252Fb", "item", {"id": "a%2Fb"}),
        ("/api/items/100%25", "item", {"id": "100%"}),
        ("/api/items/a+b", "item", {"id": "a+b"}),
        ("/api/items/gr%C3%BC%C3%9F", "item", {"id": "grüß"}),
        ("/api/items/19:x@y;messageid=1", "item", {"id": "19:x@y;messageid=1"}),
        # Octets that are no UTF-8 stay as they are, and so do escapes that are none.
        ("/api/items/%FF%c3%28", "item", {"id": "%FF%c3("}),
        ("/api/items/%ed%A0%80%C3%BC", "item", {"id": "%ed%A0%80ü"}),
        ("/api/items/%zz%f", "item", {"id": "%zz%f"}),
        # Segments of dots are resolved first, but not those with a slash of their own.
        ("/api/./things/%2e%2E/items/abc", "item", {"id": "abc"}),
        ("/../api/items/newest/.", "newest", {}),
        ("/api/items/..%2F...", "item", {"id": "..%2F..."}),
    ],
)
def test_a_path_leads_to_the_function_with_the_closest_route(host, path, function, route):
    told = host.get(path).json()

    assert (told["function"], told["route"]) == (function, route)


@pytest.mark.parametrize(
    ("method", "path", "function"),
    [
        ("GET", "/api/things", "read_things"),
        ("POST", "/api/things", "write_things"),
        ("PUT", "/api/things", "write_things"),
        ("DELETE", "/api/things", None),
        ("HEAD", "/api/things", None),
        ("OPTIONS", "/api/things", None),
        ("GET", "/", None),
        ("GET", "/items/abc", None),
        ("GET", "/api/nowhere", None),
        ("GET", "/api/items", None),
        ("GET", "/api/items/..", None),
        ("GET", "/api/items/a/b", None),
        ("GET", "/api/pages/Emma/3/4", None),
    ],
)
def test_functions_share_a_route_by_method_and_all_else_is_not_found(host, method, path, function):
    answer = host.request(method, path, b"")

    if function:
        assert answer.json()["function"] == function
    else:
        assert (answer.status, answer.body) == (404, b"")


def test_a_request_is_told_as_it_came(host):
    path = "/api/things?a=1&b=&a=2&c=x%2Fy+z&d&e=%FF%00"
    connection = host.connect()
    connection.putrequest("GET", path)
    for value in ("one", "two"):
        connection.putheader("X-Number", value)
    connection.endheaders()
    told = json.loads(connection.getresponse().read())
    connection.close()

    assert told["url"] == f"http://127.0.0.1:{host.port}{path}"
    assert told["query"] == {"a": "1,2", "c": "x/y z", "e": "%FF\0"}
    assert told["headers"]["x-number"] == "one,two"
    assert "X-Number" not in told["headers"]
    assert (told["type"], told["body"]) == ("bytes", "")


@pytest.mark.parametrize(
    ("body", "received"),
    [(bytes(range(256)), bytes(range(256))), ((b"one ", b"two ", b"three"), b"")],
)
def test_a_body_comes_as_the_bytes_it_was_but_in_chunks_it_does_not_come(host, body, received):
    connection = host.connect()
    for _ in range(2):  # what did not come is not taken for the next request
        connection.request("POST", "/api/things", body)
        told = json.loads(connection.getresponse().read())
    connection.close()

    assert told["body"] == received.decode("latin-1")


def test_a_body_of_more_than_100_mb_is_refused_before_it_is_sent(host):
    answer = speak(host, b"POST /api/things HTTP/1.1\r\nContent-Length: 104857601\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.parametrize(
    "target",
    [
        b"/api/items/a%00b",
        b"/api/things#part",
        b"http://127.0.0.1/api/things",
        b"api/things",
        "/api/items/grün".encode(),
    ],
)
def test_a_target_that_is_no_path_is_a_bad_request(host, target):
    answer = speak(host, b"GET " + target + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: some\r\n\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nno number\r\n",
        b"Content-Length: 10\r\n\r\ntoo few",
    ],
)
def test_a_body_that_cannot_be_read_is_a_bad_request(host, framing):
    answer = speak(host, b"POST /api/things HTTP/1.1\r\nHost: here\r\n" + framing)

    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("path", "status", "body", "content_type"),
    [
        ("fails", 500, b"", None),
        ("answers/unknown", 500, b"", None),
        ("answers/full", 418, "grüß".encode("latin-1"), "text/x-greeting; charset=latin-1"),
        ("answers/bytes", 200, bytes(range(256)), "application/octet-stream"),
        ("answers/text", 200, "café".encode(), "text/plain; charset=utf-8"),
        ("answers/nothing", 204, b"", None),
        ("answers/unchanged", 304, b"", "text/plain; charset=utf-8"),
        # An async function, with a module of the app's own.
        ("slept", 200, b"hello", "text/plain; charset=utf-8"),
    ],
)
def test_an_answer_goes_out_as_the_function_made_it(host, path, status, body, content_type):
    answer = host.get(f"/api/{path}")

    assert (answer.status, answer.body) == (status, body)
    assert answer.headers["content-type"] == content_type
    length = None if status in (204, 304) else [str(len(body))]
    assert answer.headers.get_all("content-length") == length


def test_headers_go_out_and_a_traceback_does_not(host):
    answer = host.get("/api/answers/full")
    host.get("/api/fails")

    assert answer.headers["x-kind"] == "tea"
    assert answer.headers["set-cookie"] == "a=b; Path=/"
    assert 'raise LookupError("nobody is to see this")' in host.log()


def test_head_is_answered_with_the_length_and_no_body(host):
    answer = speak(host, b"HEAD /api/answers/bytes HTTP/1.0\r\n\r\n")

    assert b"\r\nContent-Length: 256\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_a_connection_serves_many_requests_also_after_an_error(host):
    connection = host.connect()
    connection.connect()
    first_socket = connection.sock
    statuses = []
    for path in ("/api/things", "/api/nowhere", "/api/fails", "/api/things"):
        connection.request("POST", path, b"a body that nobody reads")
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    is_same = connection.sock is first_socket
    connection.close()

    assert statuses == [200, 404, 500, 200]
    assert is_same


def test_requests_run_side_by_side(host):
    with ThreadPoolExecutor(2) as callers:
        answers = list(callers.map(host.get, ["/api/meets", "/api/meets"]))

    assert [answer.body for answer in answers] == [b"met", b"met"]


def test_the_context_tells_of_the_invocation(host):
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    first = host.get("/api/context", traceparent=traceparent).json()
    second = host.get("/api/context").json()

    assert first == {
        "name": "WithContext",
        "directory": str(host.app),
        "id": first["id"],
        "traceparent": traceparent,
        "retry": None,
    }
    assert first["id"] != second["id"]
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", second["traceparent"])


def test_it_listens_on_this_machine_alone(host):
    name = socket.gethostname()
    others = {"127.0.0.2", *socket.gethostbyname_ex(name)[2]} - {"127.0.0.1"}

    for other in others:
        with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
            socket.create_connection((other, host.port), timeout=5)


@pytest.mark.parametrize(("prefix", "path"), [("v1/bot", "/v1/bot/things"), ("", "/things")])
def test_the_prefix_of_routes_is_that_of_host_json(prefix, path):
    trigger = {"type": "httpTrigger", "route": "things"}
    routes = parse_routes([Function("things", trigger, print, False)], prefix)

    assert find_route(routes, "GET", path)
    assert not find_route(routes, "GET", "/api/things")
