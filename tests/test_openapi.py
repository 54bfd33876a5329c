"""openapi.yaml: what the code says, and every example in it run against the app.

Each example is run for a person of its own, who takes the place of the document's; so an answer is
the documented one to the letter, but for times and numbers that nobody can foresee.
"""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from CacheAccount.request import account_patch
from DeleteActivity.request import DeleteRequest
from local import openapi_document
from local import openapi_table as table
from local.environment import StartError
from local.functions import Function
from local.openapi import FILE
from SendActivity.request import SendRequest
from SendAlert.request import AlertRequest, EditRequest
from shared import errors
from shared.errors import AppError, InvalidRequestError
from shared.wire_models import Activity, parse
from StartConversation.request import StartRequest
from tests.flows.listening_app import ListeningApp, listening_app
from tests.flows.running_app import APP_ID, QUEUES, AppStorage, new_tenant, new_user
from tests.local.host_process import PROJECT, Answer
from tests.support.connector import StubConnector
from tests.support.identity import StubIdentity
from tests.support.waiting import until
from tests.test_function_app import HTTP_FUNCTIONS, QUEUE_FUNCTIONS
from UpdateActivity.request import UpdateRequest

DOCUMENT = yaml.safe_load(FILE.read_text())
README = (PROJECT / "README.md").read_text()
HEADERS = ("Location", "ETag", "Retry-After")


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    told: Any

    @property
    def name(self) -> Any:
        return self.told["operationId"]

    @property
    def bodies(self) -> Any:
        content = self.told.get("requestBody", {}).get("content", {})
        return content.get("application/json", {}).get("examples", {})

    def response(self, status: int) -> Any:
        return self.told["responses"][str(status)]

    def answers(self) -> Iterator[tuple[int, str, dict[str, Any]]]:
        """Each example of an answer: its status, its name, and the example or a reference."""
        for status, response in self.told["responses"].items():
            for content in response.get("content", {}).values():
                for name, example in content.get("examples", {}).items():
                    yield int(status), name, example

    def example_names(self) -> set[str]:
        """The names of the requests that are examples; one without a name where all are alike."""
        own = {name for _, name, example in self.answers() if "$ref" not in example}
        given = {
            name for each in self.told.get("parameters", ()) for name in each.get("examples", {})
        }
        return own | given | set(self.bodies) or {""}

    def expected(self, name: str) -> tuple[int, Any]:
        """What an example is answered: where no answer has it, it is the one that has no body."""
        for status, each, example in self.answers():
            if each == name:
                return status, _example(example)["value"]
        return 204, None

    def first_success(self) -> str:
        names = [*self.bodies, *(name for _, name, _ in self.answers())]
        return next((name for name in names if self.expected(name)[0] < 300), "")


def _example(example: Any) -> Any:
    if "$ref" not in example:
        return example
    return DOCUMENT["components"]["examples"][example["$ref"].rpartition("/")[2]]


OPERATIONS = {
    told["operationId"]: Operation(method.upper(), path, told)
    for path, methods in DOCUMENT["paths"].items()
    for method, told in methods.items()
}
EXAMPLES = [
    (each.name, name) for each in OPERATIONS.values() for name in sorted(each.example_names())
]
PROBLEMS = [
    (each.name, name)
    for each in OPERATIONS.values()
    for _, name, example in each.answers()
    if "$ref" in example
]
MESSAGES = [
    (queue, name) for queue, told in DOCUMENT["x-queues"].items() for name in told["examples"]
]


def problems_with(value: object, schema: dict[str, Any]) -> list[str]:
    """What a value has against a schema of the document."""
    validator = Draft202012Validator(
        {**schema, "components": DOCUMENT["components"]},
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def named(schema: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{schema}"}


# The file


# Not the app's own list, which it gives once in a process; that list is what these are checked by.
FUNCTIONS = [
    Function(
        name,
        {"type": "httpTrigger", "route": route, "methods": [method], "authLevel": level},
        print,
        wants_context=False,
    )
    for name, (method, route, level) in HTTP_FUNCTIONS.items()
] + [
    Function(name, {"type": "queueTrigger", "queueName": queue}, print, wants_context=True)
    for name, queue in QUEUE_FUNCTIONS.items()
]


def openapi_command(*options: str) -> int:
    return subprocess.run(
        [sys.executable, "-m", "local", "openapi", *options],
        cwd=PROJECT,
        capture_output=True,
        check=False,
    ).returncode


def test_the_file_is_what_the_code_says():
    assert openapi_command("--check") == 0


def test_the_command_tells_an_old_file_from_a_new_one(tmp_path):
    file = tmp_path / "openapi.yaml"

    assert openapi_command("--check", "--file", str(file)) == 1
    assert openapi_command("--file", str(file)) == 0
    assert file.read_text() == FILE.read_text()
    file.write_text(file.read_text() + "x-more: true\n")
    assert openapi_command("--check", "--file", str(file)) == 1


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_a_function_that_is_not_told_of_and_one_that_is_not_there_are_errors(function):
    others = [each for each in FUNCTIONS if each is not function]

    with pytest.raises(StartError, match=rf"differ in {function.name}$"):
        openapi_document.document(others)
    with pytest.raises(StartError, match=r"differ in Another$"):
        openapi_document.document([*FUNCTIONS, replace(function, name="Another")])


def test_a_route_that_changes_changes_the_file():
    moved = {**FUNCTIONS[0].trigger, "route": "elsewhere"}
    text = FILE.read_text()

    assert set(openapi_document.document(FUNCTIONS)["paths"]) == set(DOCUMENT["paths"])
    changed = openapi_document.to_yaml([replace(FUNCTIONS[0], trigger=moved), *FUNCTIONS[1:]])
    assert "  /api/elsewhere:\n" in changed
    assert "  /api/elsewhere:\n" not in text


def test_it_is_openapi_3_1():
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert [str(error) for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


def test_it_has_the_routes_of_the_app_and_asks_for_keys_where_the_app_does():
    told = {
        name: (
            each.method,
            each.path.removeprefix("/api/"),
            "FUNCTION" if {"functionKey": []} in each.told["security"] else "ANONYMOUS",
        )
        for name, each in OPERATIONS.items()
    }

    assert told == HTTP_FUNCTIONS


def test_it_has_the_queues_of_the_app():
    assert set(DOCUMENT["x-queues"]) == set(QUEUE_FUNCTIONS.values())


def test_every_error_is_one_of_some_operation_or_never_comes_over_http():
    all_errors = {
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, AppError) and each is not AppError
    }
    told = {error for each in table.OPERATIONS.values() for error in each.errors}

    assert told | set(table.NEVER_OVER_HTTP) == all_errors
    assert told.isdisjoint(table.NEVER_OVER_HTTP)


def test_every_example_of_a_problem_is_given_somewhere():
    assert {code for _, code in PROBLEMS} == set(DOCUMENT["components"]["examples"])


# The schemas

MEMBER = {"id": "29:1-alex"}
PERSON = {"channelId": "msteams", "userId": "29:1-alex"}
SAYS = {"text": "News"}
SENT = {"conversationId": "a", "activityId": "1"}


def account(body: dict[str, Any]) -> object:
    return account_patch(body)


def activity(body: dict[str, Any]) -> object:
    return parse(Activity, body)


def update(body: dict[str, Any]) -> object:
    return parse(UpdateRequest, body)


def delete(body: dict[str, Any]) -> object:
    return parse(DeleteRequest, body)


@pytest.mark.parametrize(
    ("schema", "read", "body", "is_right"),
    [
        ("Activity", activity, SAYS, True),
        ("Activity", activity, {"type": "message", "value": 0}, True),
        ("Activity", activity, {"type": "typing"}, True),
        ("Activity", activity, {}, False),
        ("Activity", activity, {"type": "message", "text": None}, False),
        ("Activity", activity, {"text": 5}, False),
        ("StartRequest", StartRequest.from_json, {"members": [MEMBER]}, True),
        ("StartRequest", StartRequest.from_json, {"isGroup": True}, True),
        ("StartRequest", StartRequest.from_json, {"members": [MEMBER], "new": 1}, True),
        ("StartRequest", StartRequest.from_json, {}, False),
        ("StartRequest", StartRequest.from_json, {"members": [MEMBER, MEMBER]}, False),
        ("StartRequest", StartRequest.from_json, {"members": [{}]}, False),
        ("SendRequest", SendRequest.from_json, {"conversationId": "a", "activity": SAYS}, True),
        ("SendRequest", SendRequest.from_json, {"recipient": PERSON, "activity": SAYS}, True),
        ("SendRequest", SendRequest.from_json, {"activity": SAYS}, False),
        ("SendRequest", SendRequest.from_json, {"recipient": PERSON}, False),
        ("SendRequest", SendRequest.from_json, {"recipient": PERSON, "activity": {}}, False),
        (
            "SendRequest",
            SendRequest.from_json,
            {"conversationId": "a", "recipient": PERSON, "activity": SAYS},
            False,
        ),
        (
            "SendRequest",
            SendRequest.from_json,
            {"recipient": PERSON, "activities": {"no locale": SAYS}},
            False,
        ),
        (
            "SendRequest",
            SendRequest.from_json,
            {"recipient": PERSON, "activity": SAYS, "more": 1},
            False,
        ),
        ("UpdateRequest", update, {**SENT, "activity": SAYS, "id": "1"}, True),
        ("UpdateRequest", update, SENT, False),
        ("UpdateRequest", update, {**SENT, "activity": {}}, False),
        ("UpdateRequest", update, {**SENT, "activity": SAYS, "topic": "x"}, False),
        ("DeleteRequest", delete, {**SENT, "channelId": "slack"}, True),
        ("DeleteRequest", delete, {"conversationId": "a"}, False),
        ("DeleteRequest", delete, {"activityId": "1"}, False),
        ("DeleteRequest", delete, {**SENT, "activity": SAYS}, False),
        ("AlertRequest", AlertRequest.from_json, {"audience": {}, "activity": SAYS}, True),
        (
            "AlertRequest",
            AlertRequest.from_json,
            {"recipients": [PERSON], "activities": {"en": SAYS}, "data": {"a": 1}},
            True,
        ),
        ("AlertRequest", AlertRequest.from_json, {"activity": SAYS}, False),
        ("AlertRequest", AlertRequest.from_json, {"audience": {}}, False),
        ("AlertRequest", AlertRequest.from_json, {"audience": {}, "activities": {}}, False),
        ("AlertRequest", AlertRequest.from_json, {"recipients": [], "activity": SAYS}, False),
        (
            "AlertRequest",
            AlertRequest.from_json,
            {"recipients": [PERSON], "audience": {}, "activity": SAYS},
            False,
        ),
        (
            "AlertRequest",
            AlertRequest.from_json,
            {"audience": {}, "activity": SAYS, "activities": {"en": SAYS}},
            False,
        ),
        (
            "AlertRequest",
            AlertRequest.from_json,
            {"audience": {"interest": "x"}, "activity": SAYS},
            False,
        ),
        ("AlertRequest", AlertRequest.from_json, {"audience": {}, "activity": {}}, False),
        ("AlertEdit", EditRequest.from_json, SAYS, True),
        ("AlertEdit", EditRequest.from_json, {"activity": SAYS}, True),
        ("AlertEdit", EditRequest.from_json, {"activities": {"en": SAYS}, "data": {}}, True),
        ("AlertEdit", EditRequest.from_json, {}, False),
        ("AlertEdit", EditRequest.from_json, {"activities": {}}, False),
        ("AlertEdit", EditRequest.from_json, {"activity": SAYS, "text": "News"}, False),
        ("AlertEdit", EditRequest.from_json, {"activity": SAYS, "topic": "x"}, False),
        ("AccountMessage", account, PERSON, True),
        ("AccountMessage", account, {**PERSON, "locale": None}, True),
        ("AccountMessage", account, {"channelId": "msteams"}, False),
        ("AccountMessage", account, {**PERSON, "channelId": "no channel"}, False),
        ("AccountMessage", account, {**PERSON, "user": MEMBER}, False),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else None,
)
def test_a_schema_takes_what_the_code_takes(schema, read, body, is_right):
    def is_read() -> bool:
        try:
            read(body)
        except InvalidRequestError:
            return False
        return True

    assert (is_read(), problems_with(body, named(schema)) == []) == (is_right, is_right)


@pytest.mark.parametrize(("operation", "name"), EXAMPLES)
def test_an_example_is_as_its_schema_says(operation, name):
    it = OPERATIONS[operation]
    status, answer = it.expected(name)

    if name in it.bodies and status < 300:
        schema = it.told["requestBody"]["content"]["application/json"]["schema"]
        assert problems_with(it.bodies[name]["value"], schema) == []
    for content in it.response(status).get("content", {}).values():
        assert problems_with(answer, content["schema"]) == []


@pytest.mark.parametrize(
    "schema",
    [
        "SendRequest",
        "AlertRequest",
        "UpdateRequest",
        "DeleteRequest",
        "StartMessage",
        "AccountMessage",
        "PoisonEntry",
    ],
)
def test_a_message_is_as_its_schema_says(schema):
    told = DOCUMENT["components"]["schemas"][schema]

    assert told["examples"]
    assert [problems_with(each, named(schema)) for each in told["examples"]] == [
        [] for _ in told["examples"]
    ]


# The examples, run

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)")
UNFORESEEABLE = (
    (TIME, table.TIME),
    (re.compile(r"activity-\d+"), table.ACTIVITY),
    (re.compile(r"19:group-\d+@thread\.v2"), table.GROUP),
    (re.compile(r"(?<=posting\": \")[0-9a-f-]{36}"), table.POSTING),
    (re.compile(r"(?<=:0:)[0-9a-f]{32}"), table.MEMBER),
    (re.compile(r"(?<=ratePerSecond\": )\d+\.\d+"), str(table.RATE)),
    (re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0\d"), table.TRACE),
)


def alike(value: Any) -> Any:
    """A value with the document's own in the place of what nobody can foresee."""
    text = json.dumps(value)
    for pattern, instead in UNFORESEEABLE:
        text = pattern.sub(instead, text)
    return json.loads(text)


@dataclass
class World:
    """Who and what an example is about: each has its own, so that none meets another's."""

    app: ListeningApp
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        app = self.app
        self.user = new_user()
        self.conversation = f"a:{uuid4().hex}"
        self.order = f"order-{uuid4().hex}"
        self.alert = f"alert-{uuid4().hex}"
        self.topic = f"topic-{uuid4().hex}"
        self.service_url = f"{app.connector.url}/teams/"
        self._names = {
            table.USER: self.user,
            table.CONVERSATION: self.conversation,
            table.OBJECT_ID: str(uuid4()),
            table.TENANT: new_tenant(),
            table.ORDER: self.order,
            table.ALERT: self.alert,
            table.TOPIC: self.topic,
            table.SERVICE_URL: self.service_url,
            table.EARLIER: (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
        }
        app.connector.set_conversation_id(self.user, self.conversation)

    def ours(self, value: Any) -> Any:
        return self._replaced(value, self._names.items())

    def theirs(self, value: Any) -> Any:
        return alike(self._replaced(value, [(ours, told) for told, ours in self._names.items()]))

    def _replaced(self, value: Any, pairs: Any) -> Any:
        text = json.dumps(value)
        for old, new in pairs:
            text = text.replace(old, new)
        return json.loads(text)

    def let_be(self, told: str, seconds: float) -> None:
        """Have a time of the document be so many seconds from now."""
        self._names[told] = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()

    def cache_whole_account(self, **changes: Any) -> None:
        body = self.ours(OPERATIONS["CacheAccount"].bodies["whole"]["value"])
        self.cache(self.user, {**body, **changes})

    def cache(self, user: str, body: dict[str, Any], channel_id: str = "msteams") -> None:
        answer = self.app.put(f"/api/accounts/{channel_id}/{quote(user, safe='')}", body)
        assert answer.status in (200, 201), answer.body

    def send_alert(self, **changes: Any) -> None:
        """Send the alert of the document, with changes."""
        body = self.ours(OPERATIONS["SendAlert"].bodies["toWhomItInterests"]["value"])
        answer = self.app.post("/api/alerts", {**body, **changes})
        assert answer.status == 202, answer.body

    def queue(self, queue: str, name: str) -> None:
        self.app.enqueue(queue, self.ours(DOCUMENT["x-queues"][queue]["examples"][name]["value"]))
        self.app.settle()

    def call(self, operation: Operation, name: str, **headers: str) -> Answer:
        """Make the request that is an example, with what the test has to add to it."""
        path, query, more = operation.path, {}, {"Content-Type": "application/json"}
        for parameter in operation.told.get("parameters", ()):
            examples = parameter.get("examples", {})
            if name not in examples and "example" not in parameter:
                continue
            value = examples[name]["value"] if name in examples else parameter["example"]
            value = str(self.ours(value))
            assert not problems_in_parameter(operation, parameter, examples.get(name), name)
            match parameter["in"]:
                case "path":
                    path = path.replace(f"{{{parameter['name']}}}", quote(value, safe=""))
                case "query":
                    query[parameter["name"]] = value
                case "header":
                    more[parameter["name"]] = f"{value}-{self.order}"
        assert "{" not in path, path
        body = None
        if operation.bodies:
            body = json.dumps(self.ours(operation.bodies[name]["value"])).encode()
        target = f"{path}?{urlencode(query)}" if query else path
        return self.app.host.request(
            operation.method, target, body, {**more, **self.headers, **headers}
        )


def problems_in_parameter(
    operation: Operation, parameter: dict[str, Any], example: Any, name: str
) -> list[str]:
    value = example["value"] if example else parameter["example"]
    # What is answered as wrong may be wrong.
    return [] if operation.expected(name)[0] >= 400 else problems_with(value, parameter["schema"])


@pytest.fixture(scope="module")
def module_app(azurite, tmp_path_factory):
    storage = AppStorage(azurite.connection_string)
    storage.clear()
    for queue in QUEUES:
        storage.make_queue(queue)
    folder = tmp_path_factory.mktemp("openapi") / "app"
    with (
        StubConnector() as connector,
        StubIdentity() as identity,
        listening_app(folder, storage, connector, identity) as app,
    ):
        yield app
    storage.clear()
    storage.close()


@pytest.fixture
def world(module_app):
    module_app.begin()
    return World(module_app)


def unknown(world: World) -> None:
    """Nobody knows the person."""


def without_conversation(world: World) -> None:
    world.cache_whole_account(conversation=None)


def with_conversation(world: World) -> None:
    world.cache_whole_account()


def without_activity_id(world: World) -> None:
    world.cache_whole_account()
    world.app.connector.answer(202)


def signed(world: World) -> None:
    world.headers["Authorization"] = f"Bearer {world.app.forger(world.service_url).sign()}"


def sent(world: World) -> None:
    world.cache_whole_account()
    world.queue("send-activity", "toPerson")


def failed(world: World) -> None:
    world.cache_whole_account()
    refuse(413, "MessageSizeTooBig")(world)
    world.queue("send-activity", "toPerson")
    world.app.storage.take_poison("send-activity")


def with_interest(world: World) -> None:
    world.cache_whole_account(preferences={"interests": [world.topic]})


def soon(world: World) -> None:
    world.cache_whole_account()
    world.let_be(table.SOON, seconds=3)


def alerted(world: World) -> None:
    with_interest(world)
    world.send_alert()
    world.app.settle()


def alerted_in_vain(world: World) -> None:
    refuse(413, "MessageSizeTooBig")(world)
    alerted(world)
    world.app.storage.take_poison("send-activity")


def alerting(world: World) -> None:
    """Of two people one is being sent to, and the other wants no alerts."""
    other = new_user()
    world.cache_whole_account()
    world.cache(other, {**account_of(world), "preferences": {"muted": True}})
    to = [{"channelId": "msteams", "userId": each} for each in (world.user, other)]
    world.app.connector.block(times=1)
    world.send_alert(recipients=to, audience=None, topic=None, data=None, activities=TEXTS)
    world.app.connector.wait_for_waiting(1)
    until(lambda: world.app.get(f"/api/alerts/{world.alert}").json()["counts"]["suppressed"])


def account_of(world: World) -> dict[str, Any]:
    return {"bot": table.BOT, "serviceUrl": world.service_url}


TEXTS = {"en": {"text": "News"}}


def with_alert_later(world: World) -> None:
    # What begins in less than five seconds may have begun.
    world.let_be(table.LATER, seconds=8)
    to = [{"channelId": "msteams", "userId": world.user}]
    send_at = world.ours(table.LATER)
    world.send_alert(recipients=to, audience=None, topic=None, sendAt=send_at)


def alerted_and_held(world: World) -> None:
    """The alert has ended, and what is asked of the Connector next takes a while."""
    alerted(world)
    world.app.connector.block(times=1)


def refuse(status: int, code: str, **headers: str) -> Callable[[World], None]:
    def refused(world: World) -> None:
        world.app.connector.fail(status, code, headers={"MS-CV": table.CORRELATION, **headers})

    return refused


BEFORE: dict[tuple[str, str] | str, Callable[[World], None]] = {
    "StartConversation": without_conversation,
    ("StartConversation", "knownAlready"): with_conversation,
    "GetConversation": with_conversation,
    "SendActivity": with_conversation,
    ("SendActivity", "typing"): without_activity_id,
    "UpdateActivity": with_conversation,
    "DeleteActivity": with_conversation,
    "SendAlert": with_interest,
    ("SendAlert", "toRecipients"): soon,
    "ListAlerts": alerted,
    "GetAlert": alerted,
    ("GetAlert", "sending"): alerting,
    "ListAlertDeliveries": alerted,
    "CancelAlert": with_alert_later,
    "RetryAlert": alerted_in_vain,
    "EditAlert": alerted_and_held,
    ("EditAlert", "empty"): alerted,
    "RecallAlert": alerted_and_held,
    "ReceiveActivity": signed,
    "CacheAccount": unknown,
    ("CacheAccount", "part"): with_conversation,
    "GetAccount": with_conversation,
    "DeleteAccount": with_conversation,
    "ListAccounts": with_conversation,
    "GetDelivery": sent,
    ("GetDelivery", "failed"): failed,
    "ListDeliveries": failed,
    "RetryDelivery": failed,
    "CheckHealth": unknown,
}


def check(world: World, operation: Operation, answer: Answer, status: int, told: Any) -> None:
    """Check that an answer is as the document says: status, type, headers, schema, and example."""
    assert answer.status == status, answer.body
    response = operation.response(status)
    declared = set(response.get("headers", ()))
    given = {name for name in HEADERS if answer.headers[name]}
    assert given <= declared
    if status < 300:
        assert given == declared
    if "content" not in response:
        assert answer.body == b""
        return
    [(media_type, content)] = response["content"].items()
    assert answer.headers["Content-Type"].partition(";")[0] == media_type
    body = answer.json()
    assert problems_with(body, content["schema"]) == []
    for page in ("deliveries", "accounts", "alerts"):
        if page in body:
            # There are others, too.
            own = (world.order, world.alert)
            body = {page: [each for each in body[page] if each.get("id", own[0]).startswith(own)]}
    expected = alike(told)
    if status >= 400:
        # Other words before Python 3.13.
        body["title"] = expected["title"]
    assert world.theirs(body) == expected


@pytest.mark.parametrize(("operation", "name"), EXAMPLES)
def test_an_example_is_answered_as_it_says(world, operation, name):
    it = OPERATIONS[operation]
    BEFORE.get((operation, name), BEFORE[operation])(world)

    answer = world.call(it, name)

    check(world, it, answer, *it.expected(name))
    world.app.connector.release()
    if "Location" in it.response(answer.status).get("headers", ()):
        assert world.app.get(answer.headers["Location"]).status == 200
    world.app.settle()


# The problems, brought about


def muted(world: World) -> None:
    world.cache_whole_account(preferences={"muted": True})


def on_two_channels(world: World) -> None:
    world.cache_whole_account()
    told = {"bot": {"id": "bot"}, "serviceUrl": world.service_url}
    world.cache("2", {**told, "conversation": {"id": world.conversation}}, "telegram")


def with_another_version(world: World) -> None:
    world.cache_whole_account()
    world.headers["If-Match"] = '"another"'


def forgotten(world: World) -> None:
    failed(world)
    path = f"/api/accounts/msteams/{quote(world.user, safe='')}"
    assert world.app.host.request("DELETE", path).status == 204


def with_used_key(world: World) -> None:
    world.headers["Idempotency-Key"] = str(uuid4())
    others = {
        "conversations": {"members": [{"id": world.user}]},
        f"conversations/{world.conversation}/activities": {"text": "Something else"},
        "alerts": {"audience": {}, "activity": {"text": "Something else"}, "dryRun": True},
    }
    with_conversation(world)
    for path, other in others.items():
        body = json.dumps(other).encode()
        answer = world.app.host.request("POST", f"/api/{path}", body, world.headers)
        assert answer.status < 300, answer.body


def with_another_alert(world: World) -> None:
    world.send_alert(activities=TEXTS)
    world.app.settle()


def cancelled(world: World) -> None:
    with_alert_later(world)
    assert act_on_alert(world, "POST", "/cancel").status == 200


def recalled(world: World) -> None:
    alerted(world)
    assert act_on_alert(world, "DELETE").status == 202
    world.app.settle()


def act_on_alert(world: World, method: str, action: str = "") -> Answer:
    return world.app.host.request(method, f"/api/alerts/{world.alert}{action}")


TROUBLE: dict[str, Callable[[World], None]] = {
    "AccountChanged": with_another_version,
    "ActivityChangeNotSupported": refuse(405, "MethodNotAllowed"),
    "AlertExists": with_another_alert,
    "AlertOver": cancelled,
    "AlertRecalled": recalled,
    "AmbiguousConversation": on_two_channels,
    "BotCredentialError": refuse(401, "Unauthorized"),
    "BotNotInConversationRoster": refuse(403, "BotNotInConversationRoster"),
    "ConnectorTimeout": refuse(504, "GatewayTimeout"),
    "ConnectorUnavailable": refuse(503, "ServiceUnavailable"),
    "ConversationNotFound": refuse(404, "ConversationNotFound"),
    "DeliveryNotRetriable": sent,
    "ForgottenRecipient": forgotten,
    "IdempotencyKeyReused": with_used_key,
    "PreconditionFailed": refuse(412, "PreconditionFailed"),
    "Suppressed": muted,
    "Throttled": refuse(429, "TooManyRequests", **{"Retry-After": "30"}),
    "Unauthorized": unknown,
    "UnknownAccount": unknown,
    "UnknownAlert": unknown,
    "UnknownConversation": unknown,
    "UnknownDelivery": unknown,
}
CALLING = ("StartConversation", "SendActivity", "UpdateActivity", "DeleteActivity")
ABOUT_NOBODY = {code for code in TROUBLE if code.startswith("Unknown")} | {"Unauthorized"}


@pytest.mark.parametrize(("operation", "code"), PROBLEMS)
def test_a_problem_is_answered_as_it_says(world, operation, code):
    it = OPERATIONS[operation]
    if code not in ABOUT_NOBODY and operation in CALLING:
        BEFORE[operation](world)
    if code == "IdempotencyKeyInUse":
        answer = answer_while_under_way(world, it)
    else:
        TROUBLE[code](world)
        answer = world.call(it, it.first_success())

    check(world, it, answer, *it.expected(code))
    seconds = answer.headers["Retry-After"]
    assert seconds is None or int(seconds) > 0
    assert (seconds is not None) == (code in HELPED_BY_WAITING)


HELPED_BY_WAITING = {
    "ConnectorTimeout",
    "ConnectorUnavailable",
    "IdempotencyKeyInUse",
    "PreconditionFailed",
    "Throttled",
}


def answer_while_under_way(world: World, operation: Operation) -> Answer:
    key = {"Idempotency-Key": str(uuid4())}
    name = operation.first_success()
    connector = world.app.connector
    connector.block(times=1)
    first = threading.Thread(target=world.call, args=(operation, name), kwargs=key)
    first.start()
    try:
        connector.wait_for_waiting(1)
        return world.call(operation, name, **key)
    finally:
        connector.release()
        first.join()


@pytest.mark.parametrize(("length", "status"), [(0, 400), (1, 404), (255, 404), (256, 400)])
def test_an_idempotency_key_is_as_long_as_it_says(world, length, status):
    [parameter] = [
        each
        for each in OPERATIONS["SendActivity"].told["parameters"]
        if each["name"] == "Idempotency-Key"
    ]
    key = "k" * length

    answer = world.call(OPERATIONS["SendActivity"], "text", **{"Idempotency-Key": key})

    assert answer.status == status
    assert (problems_with(key, parameter["schema"]) == []) == (status == 404)


def test_it_says_where_the_host_asks_for_a_key():
    for each in OPERATIONS.values():
        response = each.told["responses"].get("401", {})
        has_key = {"functionKey": []} in each.told["security"]
        assert has_key == (response.get("content") is None and bool(response)), each.name


# The queues


TO_SOMEBODY_KNOWN = ("send-activity", "send-alert", "update-activity", "delete-activity")


@pytest.mark.parametrize(("queue", "name"), MESSAGES)
def test_a_message_does_what_it_says(world, queue, name):
    if queue in TO_SOMEBODY_KNOWN or name == "uninstalled":
        # A queue tells the time of a message in whole seconds.
        earlier = datetime.now(UTC) - timedelta(minutes=1)
        world.cache_whole_account(
            observedAt=earlier.isoformat(), preferences={"interests": [world.topic]}
        )
    if queue == "start-conversation":
        without_conversation(world)

    world.queue(queue, name)

    assert world.app.storage.take_poison(queue) == []
    if queue == "cache-account":
        cached = world.app.get(f"/api/accounts/msteams/{quote(world.user, safe='')}")
        assert cached.status == 200
        assert ("installed" in cached.json()) == (name == "uninstalled")
    elif queue == "send-alert":
        alert = world.app.get(f"/api/alerts/{world.alert}").json()
        assert (alert["status"], alert["counts"]["sent"]) == ("done", 1)
        assert len(world.app.calls) == 1
    else:
        message = world.ours(DOCUMENT["x-queues"][queue]["examples"][name]["value"])
        assert world.app.get(f"/api/deliveries/{message['id']}").json()["status"] == "sent"
        assert len(world.app.calls) == 1


def test_what_failed_stands_in_the_poison_queue_as_it_says(world):
    [told] = DOCUMENT["components"]["schemas"]["PoisonEntry"]["examples"]

    world.app.enqueue("send-activity", world.ours(told["message"]))
    world.app.settle()
    [entry] = world.app.storage.take_poison("send-activity")

    assert problems_with(entry, named("PoisonEntry")) == []
    assert world.theirs(entry) == alike(told)


# The README


def blocks(language: str, containing: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    return [each for each in found if containing in each]


def test_the_calls_of_the_readme_work(world):
    chat = "c0e99c14-3c0b-4bea-ad1d-477dd327eb6f@test.user"
    world.cache(
        "chat",
        {
            "bot": {"id": "28:" + APP_ID},
            "serviceUrl": world.service_url,
            "conversation": {"id": chat},
        },
    )
    with_interest(world)
    script = "".join(blocks("sh", " $APP/"))
    commands = re.findall(r"^curl .*?(?=^curl |^#|\Z)", script, re.DOTALL | re.MULTILINE)
    assert len(commands) == script.count("curl ") >= 2

    for command in commands:
        body, status, method, path = made_of(world.ours(command), world.app)
        # What comes next finds it done.
        world.app.settle()

        it = operation_of(method, path)
        assert status < 300, body
        content = it.response(status)["content"]["application/json"]
        assert problems_with(json.loads(body), content["schema"]) == []
    alert = world.app.get(f"/api/alerts/{world.alert}").json()
    assert (alert["status"], alert["recalled"]) == ("recalled", 1)


def made_of(command: str, app: ListeningApp) -> tuple[str, int, str, str]:
    """What a call of curl is answered: the body and the status; and its method and path."""
    server = f"http://127.0.0.1:{app.host.port}"
    told = command.replace("curl -i", "curl -s -w '\\n%{http_code} %{method} %{url}'")
    done = subprocess.run(
        ["bash", "-euc", f"APP={server}/api\n{told}"], capture_output=True, text=True, check=True
    )
    body, _, call = done.stdout.rpartition("\n")
    status, method, url = call.split()
    return body, int(status), method, url.removeprefix(server)


def operation_of(method: str, path: str) -> Operation:
    [found] = [
        each
        for each in OPERATIONS.values()
        if each.method == method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", each.path), path)
    ]
    return found


def test_the_message_of_the_readme_is_sent(world):
    world.cache_whole_account()
    [block] = blocks("python", "send-activity")
    [message] = re.findall(r'send_message\("""(.*?)"""\)', block, re.DOTALL)
    assert problems_with(json.loads(message), named("SendRequest")) == []

    subprocess.run(
        [sys.executable, "-c", world.ours(block)],
        env={**os.environ, "AzureWebJobsStorage": world.app.storage.connection_string},
        check=True,
    )
    [call] = world.app.wait_for_calls(1)
    world.app.settle()

    assert call.json["text"] in [
        each["text"] for each in json.loads(message)["activities"].values()
    ]
