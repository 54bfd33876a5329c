"""The running app against openapi.yaml: its examples, and requests that schemathesis makes of it.

The requests are the same in every run. What they find is a mistake in the document or in the app.
"""

import json
import re
from typing import Any
from uuid import uuid4

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft202012Validator
from schemathesis import Case, GenerationMode

from tests.flows.listening_app import ListeningApp
from tests.local.host_process import PROJECT
from tests.support.waiting import until

USER = "29:1-alex"
CASES = 10
# Whatever else a right request is refused for, its schema must say.
BEYOND_SCHEMAS = re.compile(
    "is not one that this list gave|must equal the one in the path|has no value|Field required"
    "|must be after sendAt|is over already|is for groups|must be true, for the member"
    "|where there are answers|is the id of another option"
)


def document() -> dict[str, Any]:
    """The document, closed: an answer has no field that it does not name.

    And without ids in the query, which would replace those that lead to something.
    """
    told: dict[str, Any] = yaml.safe_load((PROJECT / "openapi.yaml").read_text())
    components = told["components"]
    responses = list(components["responses"].values())
    for item in told["paths"].values():
        item["parameters"] = [
            each for each in item.get("parameters", ()) if not each["$ref"].endswith("InQuery")
        ]
        operations = [each for each in item.values() if isinstance(each, dict)]
        responses += [each for it in operations for each in it["responses"].values()]
    for response in responses:
        for content in response.get("content", {}).values():
            content["schema"]["unevaluatedProperties"] = False
    for page in ("AlertPage", "AccountPage", "DeliveryPage", "IncidentPage"):
        for listed in components["schemas"][page]["properties"].values():
            listed.get("items", {})["unevaluatedProperties"] = False
    return told


DOCUMENT = document()
CONFIG = {
    "generation": {"with-security-parameters": False},
    "checks": {
        # The app runs without function keys.
        "ignored_auth": {"enabled": False},
        # BEYOND_SCHEMAS says it more exactly.
        "positive_data_acceptance": {"enabled": False},
    },
    "operations": [
        {
            # Another version of the account is refused before all else.
            "include-operation-id": "CacheAccount",
            "checks": {"negative_data_rejection": {"expected-statuses": [400, 412, 413]}},
        },
        {
            # Who cannot be there is forgotten all the same.
            "include-operation-id": "DeleteAccount",
            "checks": {"negative_data_rejection": {"enabled": False}},
        },
    ],
}
SCHEMA: Any = schemathesis.openapi.from_dict(DOCUMENT, config=schemathesis.Config.from_dict(CONFIG))
OPERATIONS = {
    found.ok().definition.raw["operationId"]: found.ok() for found in SCHEMA.get_all_operations()
}
BODIES = {
    name: it.definition.raw["requestBody"]["content"]["application/json"]["examples"]
    for name, it in OPERATIONS.items()
    if "requestBody" in it.definition.raw
}


class World:
    """What the document's examples are about: a person, and an alert and a message of each test."""

    def __init__(self, app: ListeningApp) -> None:
        self.app = app
        self._ours = {
            "https://smba.trafficmanager.net/teams/": app.service_url,
            "lighthouses-1": f"lighthouses-{uuid4().hex}",
            "order-4711": f"order-{uuid4().hex}",
        }
        for example in ("whole", "part"):
            known = {**self.ours(BODIES["CacheAccount"][example]["value"]), "installed": True}
            assert app.put(f"/api/accounts/msteams/{USER}", known).status in (200, 201)

    def ours(self, value: Any) -> Any:
        """A value of the document with what there is here in the place of its names."""
        text = json.dumps(value)
        for told, ours in self._ours.items():
            text = text.replace(told, ours)
        return json.loads(text)

    def have_an_alert(self, *, ended: bool) -> None:
        alert = self.ours(BODIES["SendAlert"]["byInterest"]["value"])
        assert self.app.post("/api/alerts", alert).status == 202
        if ended:
            until(lambda: "endedAt" in self.app.get(f"/api/alerts/{alert['id']}").json())

    def have_a_failure(self) -> None:
        order = self.ours("order-4711")
        unknown = {"id": order, "conversationId": order, "activity": {"text": "News"}}
        self.app.enqueue("send-activity", unknown)
        until(lambda: self.app.get(f"/api/deliveries/{order}").status == 200)

    def _call(self, case: Case) -> list[Any]:
        """The answer; none while storage is too slow, on a busy machine: the app says so."""
        answer = case.call(base_url=f"http://127.0.0.1:{self.app.host.port}")
        return [answer] if answer.status_code != 503 else []

    def answer(self, case: Case) -> Any:
        """Send a request about what there is here; the answer is as the document says."""
        for part in ("path_parameters", "query", "body"):
            if isinstance(getattr(case, part), dict):
                setattr(case, part, self.ours(getattr(case, part)))
        # Lists and objects may come to nothing in a query, and the host leaves out what is empty.
        query: Any = case.query
        case.query = {
            n: each for n, each in query.items() if isinstance(each, str | int) and each != ""
        }
        if case.path == "/api/messages":
            url = case.body.get("serviceUrl") if isinstance(case.body, dict) else None
            forger = self.app.forger(url if isinstance(url, str) else None)
            case.headers["Authorization"] = f"Bearer {forger.sign()}"
        [answer] = until(lambda: self._call(case))
        case.validate_response(answer)
        # Whoever asks for a consent that there is none to give gets no body.
        if answer.status_code >= 400 and answer.status_code != 405:
            told = case.operation.definition.raw["responses"][str(answer.status_code)]
            if "$ref" in told:
                told = DOCUMENT["components"]["responses"][told["$ref"].rpartition("/")[2]]
            assert f"`{answer.json()['code']}`" in told["description"]
        return answer


@pytest.mark.parametrize("queue", DOCUMENT["x-queues"])
def test_a_message_of_the_document_is_taken(app, queue):
    app.enqueue(queue, World(app).ours(DOCUMENT["x-queues"][queue]["example"]))
    app.settle()

    assert app.storage.take_poison(queue) == []


def test_what_fails_stands_in_a_poison_queue_as_the_document_says(app):
    told = DOCUMENT["x-poison-queues"]

    app.enqueue("send-activity", told["example"]["message"])
    [entry] = until(lambda: app.storage.take_poison("send-activity"))

    Draft202012Validator({**told["message"], "components": DOCUMENT["components"]}).validate(entry)
    assert {**entry["failure"], "failedAt": ""} == {**told["example"]["failure"], "failedAt": ""}


@pytest.fixture
def world(app: ListeningApp, name: str) -> World:
    world = World(app)
    [tag] = OPERATIONS[name].definition.raw["tags"]
    if tag == "Alerts" and name != "SendAlert":
        world.have_an_alert(ended=name == "ListAlertDeliveries")
    if tag == "Deliveries":
        world.have_a_failure()
    return world


def ids_in_path(name: str) -> dict[str, str]:
    return {each.name: each.definition["example"] for each in OPERATIONS[name].path_parameters}


@pytest.mark.parametrize(
    ("name", "example"),
    [(name, example) for name in OPERATIONS for example in BODIES.get(name, "-")],
)
def test_an_example_succeeds_as_the_document_says(world, name, example):
    body = {}
    if name in BODIES:
        body = {"body": BODIES[name][example]["value"], "media_type": "application/json"}

    answer = world.answer(OPERATIONS[name].Case(path_parameters=ids_in_path(name), **body))

    # Of these, the example's sender asks nothing by it.
    assert answer.status_code < 300 or name == "ReceiveEvent-OPTIONS"
    if "location" in answer.headers:
        assert world.app.get(answer.headers["location"][0]).status == 200


def test_what_gets_no_id_is_answered_as_the_document_says(app):
    world = World(app)
    app.connector.answer(202)
    ids = ids_in_path("SendActivity")
    typing = {"body": {"type": "typing"}, "media_type": "application/json"}

    answer = world.answer(OPERATIONS["SendActivity"].Case(path_parameters=ids, **typing))

    assert answer.status_code == 202


ask = settings(
    max_examples=CASES,
    phases=[Phase.generate],
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_right_request_is_answered_as_the_document_says(world, name):
    @ask
    @given(OPERATIONS[name].as_strategy(path_parameters=ids_in_path(name)))
    def is_answered(case: Case) -> None:
        lead_somewhere(case, world.app.service_url)
        answer = world.answer(case)
        if answer.status_code == 400 and answer.json()["code"] == "InvalidRequest":
            for error in answer.json()["errors"]:
                assert BEYOND_SCHEMAS.search(error["message"]), error

    is_answered()


def lead_somewhere(case: Case, service_url: str) -> None:
    """Have a request name the one person and bot that there are, where it names any."""
    if "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = uuid4().hex
    if "channelId" in case.query:
        case.query["channelId"] = "msteams"
    body: Any = case.body
    if isinstance(body, dict):
        told = {"serviceUrl": service_url}
        if "userId" in case.path_parameters:
            told |= {"channelId": "msteams", "userId": USER}
            body.get("user", {})["id"] = USER
        body |= {name: each for name, each in told.items() if body.get(name)}


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "CheckHealth"])
def test_a_wrong_request_is_refused_as_the_document_says(app, name):
    world = World(app)

    @ask
    @given(OPERATIONS[name].as_strategy(GenerationMode.NEGATIVE))
    def is_answered(case: Case) -> None:
        world.answer(case)

    is_answered()
