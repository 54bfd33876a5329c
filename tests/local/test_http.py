import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.local.host_process import HostProcess, write_app

APP = """
import asyncio, json, os, threading
import azure.functions as func
from greetings import hello

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
meeting = threading.Barrier(2)


def tell(name, req):
    return func.HttpResponse(
        json.dumps({
            "function": name,
            "method": req.method,
            "url": req.url,
            "route": dict(req.route_params),
            "query": dict(req.params),
            "headers": dict(req.headers),
            "body": req.get_body().decode("latin-1"),
            "type": type(req.get_body()).__name__,
        }),
        mimetype="application/json",
    )


@app.route("items/{id}")
def item(req: func.HttpRequest) -> func.HttpResponse:
    return tell("item", req)


@app.route("items/{number:int}")
def numbered(req: func.HttpRequest) -> func.HttpResponse:
    return tell("numbered", req)


@app.route("items/newest")
def newest(req: func.HttpRequest) -> func.HttpResponse:
    return tell("newest", req)


@app.route("pages/{book}/{page?}")
def page(req: func.HttpRequest) -> func.HttpResponse:
    return tell("page", req)


@app.route("things", methods=["GET"])
def read_things(req: func.HttpRequest) -> func.HttpResponse:
    return tell("read_things", req)


@app.route("things", methods=["POST", "PUT"])
def write_things(req: func.HttpRequest) -> func.HttpResponse:
    return tell("write_things", req)


@app.function_name("Unrouted")
@app.route()
def unrouted(req: func.HttpRequest) -> func.HttpResponse:
    return tell("unrouted", req)


@app.route("fails")
def fails(req: func.HttpRequest) -> func.HttpResponse:
    raise LookupError("nobody is to see this")


@app.route("meets")
def meets(req: func.HttpRequest) -> func.HttpResponse:
    meeting.wait(timeout=30)
    return func.HttpResponse("met")


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
async def slept(req: func.HttpRequest) -> func.HttpResponse:
    await asyncio.sleep(0)
    return func.HttpResponse(hello())


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


def test_one_line_tells_that_it_is_ready(host):
    assert re.fullmatch(
        rf"Listening on http://127\.0\.0\.1:{host.port}/api \(17 functions\)\n", host.ready_line
    )


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
        ("/api/Unrouted", "unrouted", {}),
    ],
)
def test_a_path_leads_to_the_function_with_the_closest_route(host, path, function, route):
    told = host.get(path).json()

    assert (told["function"], told["route"]) == (function, route)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/items/abc"),
        ("GET", "/api/nowhere"),
        ("GET", "/api/items"),
        ("GET", "/api/items/a/b"),
        ("GET", "/api/pages/Emma/3/4"),
        ("DELETE", "/api/things"),
        ("HEAD", "/api/things"),
        ("OPTIONS", "/api/things"),
    ],
)
def test_an_unknown_path_or_another_method_is_not_found(host, method, path):
    answer = host.request(method, path, b"")

    assert (answer.status, answer.body) == (404, b"")


@pytest.mark.parametrize(
    ("method", "function"),
    [("GET", "read_things"), ("POST", "write_things"), ("PUT", "write_things")],
)
def test_functions_share_a_route_by_method(host, method, function):
    assert host.request(method, "/api/things", b"").json()["function"] == function


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ("29%3Aabc%40x", "29:abc@x"),
        ("a%2Fb", "a%2Fb"),
        ("a%2fb%20c", "a%2fb c"),
        ("a%252Fb", "a%2Fb"),
        ("100%25", "100%"),
        ("a+b", "a+b"),
        ("gr%C3%BC%C3%9F", "grüß"),
        ("19:x@thread.tacv2;messageid=1", "19:x@thread.tacv2;messageid=1"),
    ],
)
def test_a_path_is_decoded_once_save_for_slashes(host, sent, received):
    assert host.get(f"/api/items/{sent}").json()["route"] == {"id": received}


def test_query_values_are_decoded_and_joined_and_empty_ones_are_dropped(host):
    told = host.get("/api/things?a=1&b=&a=2&c=x%2Fy+z&d").json()

    assert told["query"] == {"a": "1,2", "c": "x/y z"}


def test_header_names_are_in_lower_case_and_repeated_values_joined(host):
    connection = host.connect()
    connection.putrequest("GET", "/api/things")
    for value in ("one", "two"):
        connection.putheader("X-Number", value)
    connection.endheaders()
    told = json.loads(connection.getresponse().read())
    connection.close()

    assert told["headers"]["x-number"] == "one,two"
    assert "X-Number" not in told["headers"]


def test_the_url_is_the_one_that_was_called(host):
    told = host.get("/api/items/a%2Fb?x=%20").json()

    assert told["url"] == f"http://127.0.0.1:{host.port}/api/items/a%2Fb?x=%20"


def test_a_body_comes_as_the_bytes_it_was(host):
    told = host.request("POST", "/api/things", bytes(range(256))).json()

    assert (told["type"], told["body"]) == ("bytes", bytes(range(256)).decode("latin-1"))


def test_a_body_in_chunks_comes_whole(host):
    told = host.request("POST", "/api/things", iter([b"one ", b"two ", b"three"])).json()

    assert told["body"] == "one two three"


def test_no_body_is_an_empty_one(host):
    assert host.get("/api/things").json()["body"] == ""


def test_a_body_of_more_than_100_mb_is_refused_before_it_is_sent(host):
    connection = host.connect()
    connection.putrequest("POST", "/api/things")
    connection.putheader("Content-Length", str(100 * 1024 * 1024 + 1))
    connection.endheaders()
    response = connection.getresponse()
    connection.close()

    assert response.status == 413


def test_chunks_of_more_than_100_mb_are_refused(host):
    megabyte = bytes(1024 * 1024)

    assert host.request("POST", "/api/things", (megabyte for _ in range(101))).status == 413


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
    with socket.create_connection(("127.0.0.1", host.port), timeout=60) as connection:
        connection.sendall(b"POST /api/things HTTP/1.1\r\nHost: here\r\n" + framing)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 400 ")


def test_an_exception_is_a_500_without_a_body_and_a_traceback_in_the_log(host):
    answer = host.get("/api/fails")

    assert (answer.status, answer.body) == (500, b"")
    assert 'raise LookupError("nobody is to see this")' in host.log()


def test_an_answer_that_is_none_is_a_500(host):
    assert host.get("/api/answers/unknown").status == 500


def test_an_answer_goes_out_as_the_function_made_it(host):
    answer = host.get("/api/answers/full")

    assert (answer.status, answer.body) == (418, "grüß".encode("latin-1"))
    assert answer.headers["content-type"] == "text/x-greeting; charset=latin-1"
    assert answer.headers["x-kind"] == "tea"
    assert answer.headers["set-cookie"] == "a=b; Path=/"
    assert answer.headers.get_all("content-length") == ["4"]


def test_bytes_go_out_as_they_are(host):
    answer = host.get("/api/answers/bytes")

    assert answer.body == bytes(range(256))
    assert answer.headers["content-type"] == "application/octet-stream"


def test_text_goes_out_as_utf_8(host):
    answer = host.get("/api/answers/text")

    assert (answer.status, answer.body) == (200, "café".encode())
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(("path", "status"), [("nothing", 204), ("unchanged", 304)])
def test_an_answer_without_content_has_no_length(host, path, status):
    answer = host.get(f"/api/answers/{path}")

    assert (answer.status, answer.headers["content-length"]) == (status, None)


def test_head_is_answered_with_the_length_and_no_body(host):
    with socket.create_connection(("127.0.0.1", host.port), timeout=60) as connection:
        connection.sendall(b"HEAD /api/answers/bytes HTTP/1.0\r\n\r\n")
        answer = connection.makefile("rb").read()

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


def test_an_async_function_runs_and_the_apps_own_modules_are_found(host):
    assert host.get("/api/slept").body == b"hello"


def test_the_context_tells_of_the_invocation(host):
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    first = host.get("/api/context", traceparent=traceparent).json()
    second = host.get("/api/context").json()

    assert first["name"] == "WithContext"
    assert first["directory"] == str(host.app)
    assert first["traceparent"] == traceparent
    assert first["retry"] is None
    assert first["id"] != second["id"]
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", second["traceparent"])


def test_it_listens_on_this_machine_alone(host):
    name = socket.gethostname()
    others = {"127.0.0.2", *socket.gethostbyname_ex(name)[2]} - {"127.0.0.1"}

    for other in others:
        with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
            socket.create_connection((other, host.port), timeout=5)


@pytest.mark.parametrize(("prefix", "path"), [("v1/bot", "/v1/bot/things"), ("", "/things")])
def test_the_prefix_of_routes_is_that_of_host_json(tmp_path, prefix, path):
    source = APP.replace("from greetings import hello", "")
    app = write_app(tmp_path / "app", source, {"extensions": {"http": {"routePrefix": prefix}}})

    with HostProcess(app) as host:
        assert host.get(path).status == 200
        assert host.get("/api/things").status == 404
        assert f":{host.port}/{prefix} (".replace("/ (", " (") in host.ready_line
