"""openapi.yaml against the code: routes, parameters, queues, models, error codes, and its examples.

tests/flows/test_openapi.py holds it against the running app.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from CacheAccount.request import AccountBody, _ConversationReference, account_patch
from DeleteActivity.request import DeleteRequest
from ReceiveActivity.request import InboundActivity
from SendActivity.request import SendRequest
from SendAlert.request import AlertRequest, EditRequest
from shared import errors
from shared.alerts.alert import AlertStatus
from shared.connector.errors import TABLE
from shared.errors import AppError, InvalidRequestError
from shared.wire_models import Activity, Timestamp, parse
from StartConversation.request import StartRequest
from tests.local.host_process import PROJECT
from UpdateActivity.request import UpdateRequest

Json = dict[str, Any]

DOCUMENT: Json = yaml.safe_load((PROJECT / "openapi.yaml").read_text())
SCHEMAS: Json = DOCUMENT["components"]["schemas"]
LOOK = """
import json, pathlib
from local.functions import load_functions
print(json.dumps({each.name: each.trigger for each in load_functions(pathlib.Path.cwd())}))
"""


def found_at(reference: str, root: Any) -> Any:
    found = root
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def resolved(value: Json) -> Json:
    """What a reference of the document leads to, or the value itself."""
    return found_at(value["$ref"], DOCUMENT) if "$ref" in value else value


OPERATIONS: dict[str, Json] = {
    told["operationId"]: {
        "security": DOCUMENT["security"],
        **told,
        "route": (method.upper(), path),
        "parameters": list(
            map(resolved, [*item.get("parameters", ()), *told.get("parameters", ())])
        ),
    }
    for path, item in DOCUMENT["paths"].items()
    for method, told in item.items()
    if method != "parameters"
}


def problems_with(value: object, schema: Json) -> list[str]:
    """What a value has against a schema of the document."""
    validator = Draft202012Validator({**schema, "components": DOCUMENT["components"]})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def test_it_is_openapi_3_1():
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert [str(error) for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


# Routes and queues


def function_of(operation: str) -> str:
    """Return the function of an operation; one of several methods has names such as Name-PUT."""
    return operation.partition("-")[0]


@pytest.fixture(scope="module")
def triggers() -> dict[str, Json]:
    """The trigger of each function of the app, which lists them once in a process."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    found: dict[str, Json] = json.loads(done.stdout)
    return found


def test_it_has_the_routes_of_the_app_and_asks_for_keys_where_the_app_does(triggers):
    told = {
        (function_of(name), *it["route"], {"functionKey": []} in it["security"])
        for name, it in OPERATIONS.items()
    }

    assert told == {
        (name, method, f"/api/{trigger['route']}", trigger["authLevel"] == "FUNCTION")
        for name, trigger in triggers.items()
        if trigger["type"] == "httpTrigger"
        for method in trigger["methods"]
    }


def test_it_has_the_queues_of_the_app(triggers):
    queues = {each["queueName"] for each in triggers.values() if each["type"] == "queueTrigger"}

    assert set(DOCUMENT["x-queues"]) == queues


# Parameters


@pytest.fixture(scope="module")
def read_by_code() -> dict[str, tuple[set[str], Json, set[str]]]:
    """By function: the names that it reads of the query, the fields of its query, its headers."""
    read: dict[str, tuple[set[str], Json, set[str]]] = {}
    for file in PROJECT.glob("*/triggers.py"):
        tree = ast.parse(file.read_text()).body
        parts = {each.name: each for each in tree if isinstance(each, ast.FunctionDef)}
        for part in parts.values():
            names = {each.id for each in ast.walk(part) if isinstance(each, ast.Name)}
            source = "".join(ast.unparse(parts[name]) for name in {part.name, *names} & set(parts))
            fields = {}
            for model in re.findall(r"(\w+)\.from_(?:params|url)\(", source):
                request = import_module(f"{file.parent.name}.request")
                fields = of_model(getattr(request, model))["properties"]
            single = set(
                re.findall(r"(?:params\.get\(|(?:path_id|query_flag)\(request, )'(\w+)'", source)
            )
            headers = set(re.findall(r"headers\.get\('([\w-]+)'", source)) - {"Authorization"}
            if "idempotency_keys" in source:
                headers.add("Idempotency-Key")
            for name in re.findall(r"function_name\('(\w+)'\)", ast.unparse(part)):
                read[name] = (single | set(fields), fields, headers)
    return read


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_has_the_parameters_that_the_code_reads(name, read_by_code):
    told: dict[str, Json] = {"path": {}, "query": {}, "header": {}}
    for parameter in OPERATIONS[name]["parameters"]:
        told[parameter["in"]][parameter["name"]] = flat(parameter["schema"], DOCUMENT)
    query, fields, headers = read_by_code[function_of(name)]

    assert set(told["path"]) == set(re.findall(r"{(\w+)}", OPERATIONS[name]["route"][1]))
    assert set(told["query"]) == query
    assert set(told["header"]) == headers
    for field, schema in fields.items():
        # A query has no null.
        assert told["query"][field] == {**schema, "type": schema["type"] - {"null"}}, field


# Models


class _AsRead(GenerateJsonSchema):
    """What a model takes: for a field that is read leniently, anything."""

    def function_wrap_schema(self, schema: Any) -> Json:
        return {}


def parts(schema: Json, root: Json) -> Iterator[Json]:
    """A schema, and what it consists of elsewhere."""
    yield schema
    if "$ref" in schema:
        yield from parts(found_at(schema["$ref"], root), root)
    for each in schema.get("allOf", ()):
        yield from parts(each, root)
    match schema.get("anyOf"):
        case [one, {"type": "null"} as null]:
            yield from parts(one, root)
            yield null


SIZES = ("minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum")
LIMITS = ("pattern", "format", "enum", "const", "default", *SIZES)


def flat(schema: Json, root: Json) -> Json:
    """A schema in one piece, without words and conditions."""
    types: set[str] = set()
    required: set[str] = set()
    whole: Json = {"properties": {}, "is_closed": False}
    for part in parts(schema, root):
        whole = {**{name: part[name] for name in LIMITS if part.get(name) is not None}, **whole}
        types.update([part["type"]] if isinstance(part.get("type"), str) else part.get("type", ()))
        required.update(part.get("required", ()))
        members = {**part.get("properties", {}), **part.get("patternProperties", {})}
        members |= {"[]": part["items"]} if "items" in part else {}
        whole["properties"] |= {name: flat(each, root) for name, each in members.items()}
        extra = part.get("additionalProperties"), part.get("unevaluatedProperties")
        whole["is_closed"] |= False in extra or "patternProperties" in part
    if whole.get("format") == "date-time":
        # Of years, which models check in code; see Time below.
        whole.pop("pattern", None)
    return {**whole, "type": types, "required": required}


def of_model(model: Any) -> Json:
    schema = TypeAdapter(model).json_schema(schema_generator=_AsRead)
    return flat(schema, schema)


def as_patch(schema: Json) -> Json:
    """A schema of an object of which a part will do (RFC 7396)."""
    fields = {name: as_patch(each) for name, each in schema["properties"].items()}
    return {**schema, "properties": fields, "required": set()}


MODELS = {
    "Activity": Activity,
    "StartRequest": StartRequest,
    "AlertRequest": AlertRequest,
    "EditRequest": EditRequest,
    "ConversationReference": _ConversationReference,
    "InboundActivity": InboundActivity,
    "SendMessage": SendRequest,
    "UpdateMessage": UpdateRequest,
    "DeleteMessage": DeleteRequest,
    "AlertStatus": AlertStatus,
}


@pytest.mark.parametrize("name", MODELS)
def test_a_schema_has_the_fields_types_and_limits_of_its_model(name):
    assert flat(SCHEMAS[name], DOCUMENT) == of_model(MODELS[name])


def test_an_account_has_the_fields_types_and_limits_of_its_model():
    told, model = flat(SCHEMAS["AccountPatch"], DOCUMENT), of_model(AccountBody)

    assert told == as_patch(model)
    assert set(SCHEMAS["Account"]["properties"]) == set(model["properties"])


# What models ask for beyond fields and types

PERSON = {"channelId": "msteams", "userId": "29:1-alex"}
MEMBER = {"id": "29:1-alex"}
SAYS = {"text": "News"}
ASKS = {"audience": {}, "activity": SAYS}


def without_id(read: Callable[[Json], object]) -> Callable[[Json], object]:
    """A queue's message is read without its id, which names its delivery."""
    return lambda body: read({name: each for name, each in body.items() if name != "id"})


READERS: dict[str, Callable[[Json], object]] = {
    "Activity": lambda body: parse(Activity, body),
    "StartRequest": StartRequest.from_json,
    "AlertRequest": AlertRequest.from_json,
    "AlertEdit": EditRequest.from_json,
    "InboundActivity": InboundActivity.from_json,
    "SendMessage": without_id(SendRequest.from_json),
    "StartMessage": without_id(StartRequest.from_json),
    "AccountMessage": without_id(account_patch),
    "Time": TypeAdapter(Timestamp).validate_python,
}


@pytest.mark.parametrize(
    ("schema", "is_right", "body"),
    [
        ("Activity", True, {"type": "message", "value": 0}),
        ("Activity", True, {"type": "typing"}),
        ("Activity", False, {}),
        ("Activity", False, {"type": "message", "text": None}),
        ("StartRequest", True, {"isGroup": True}),
        ("StartRequest", True, {"members": [MEMBER], "unknown": 1}),
        ("StartRequest", False, {}),
        ("StartRequest", False, {"members": [MEMBER, MEMBER]}),
        ("SendMessage", True, {"recipient": PERSON, "activity": SAYS, "id": "1"}),
        ("SendMessage", True, {"conversationId": "a", "activities": {"en": SAYS}}),
        ("SendMessage", False, {"activity": SAYS}),
        ("SendMessage", False, {"recipient": PERSON}),
        ("SendMessage", False, {"recipient": PERSON, "conversationId": "a", "activity": SAYS}),
        ("SendMessage", False, {"recipient": PERSON, "activities": {"no locale": SAYS}}),
        ("AlertRequest", True, {"audience": {}, "activity": SAYS, "activities": {}}),
        ("AlertRequest", False, {"audience": {}, "activities": {}}),
        ("AlertRequest", False, {"audience": {}, "recipients": [PERSON], "activity": SAYS}),
        ("AlertRequest", False, {"activity": SAYS}),
        ("AlertRequest", False, {"audience": {}, "activity": SAYS, "activities": {"en": SAYS}}),
        (
            "AlertRequest",
            True,
            ASKS | {"answers": {"options": [{"id": "a", "titles": {"en": "A"}}]}},
        ),
        ("AlertRequest", False, ASKS | {"answers": {"options": [{"id": "a"}]}}),
        ("AlertRequest", False, ASKS | {"answers": {"options": [{"id": "a", "title": " "}]}}),
        ("AlertEdit", True, SAYS),
        ("AlertEdit", True, {"activity": SAYS, "data": {}}),
        ("AlertEdit", False, {"activity": SAYS, "text": "News"}),
        ("AlertEdit", False, {}),
        ("InboundActivity", True, {"type": "x", "channelId": "a", "serviceUrl": "", "from": 5}),
        ("StartMessage", True, {"members": [MEMBER], "id": None}),
        ("AccountMessage", True, {**PERSON, "id": "1", "locale": None}),
        ("AccountMessage", False, {"channelId": "msteams"}),
        ("AccountMessage", False, {**PERSON, "user": MEMBER}),
        ("Time", False, "1969-12-31T23:59:59Z"),
        ("Time", True, "1970-01-01T00:00:00Z"),
        ("Time", True, "8999-12-31T23:59:59Z"),
        ("Time", False, "9000-01-01T00:00:00Z"),
    ],
    ids=str,
)
def test_a_schema_takes_what_the_code_takes(schema, is_right, body):
    def is_read() -> bool:
        try:
            READERS[schema](body)
        except (InvalidRequestError, ValueError):
            return False
        return True

    assert (is_read(), problems_with(body, SCHEMAS[schema]) == []) == (is_right, is_right)


def test_an_alert_on_a_queue_is_no_dry_run():
    alert = {"audience": {}, "activity": SAYS}

    assert problems_with({**alert, "dryRun": False}, SCHEMAS["AlertMessage"]) == []
    assert problems_with({**alert, "dryRun": True}, SCHEMAS["AlertMessage"]) != []


# Examples


def examples() -> Iterator[tuple[str, Json, object]]:
    """Each example of the document: where it is, its schema, and the example."""
    for name, it in OPERATIONS.items():
        for each in it["parameters"]:
            if "example" in each:
                yield f"{name} {each['name']}", each["schema"], each["example"]
        for of in (it.get("requestBody", {}), *map(resolved, it["responses"].values())):
            for content in of.get("content", {}).values():
                for example, told in content.get("examples", {}).items():
                    yield f"{name} {example}", content["schema"], resolved(told)["value"]
    others = {each: DOCUMENT[each] for each in ("x-poison-queues", "x-outcome-queue")}
    for queue, it in {**DOCUMENT["x-queues"], **others}.items():
        yield queue, it["message"], it["example"]
    for example in SCHEMAS["Problem"]["examples"]:
        yield f"Problem {example['code']}", SCHEMAS["Problem"], example


@pytest.mark.parametrize(
    ("schema", "example"), [pytest.param(*told, id=place) for place, *told in examples()]
)
def test_an_example_is_as_its_schema_says(schema, example):
    assert problems_with(example, schema) == []


# Error codes

CALLING = ("StartConversation", "SendActivity", "UpdateActivity", "DeleteActivity")
ONLY_ON_QUEUES = {"AlreadyDone", "Cancelled", "DeliveryUnderWay", "Expired", "OutcomeUnknown"}
ONLY_ON_QUEUES |= {"InternalError", "MessageGone"}


def codes_of(name: str) -> set[tuple[int, str]]:
    """The statuses and codes that an operation may answer."""
    return {
        (int(status), code)
        for status, response in OPERATIONS[name]["responses"].items()
        for code in re.findall("`([A-Z][A-Za-z]+)`", resolved(response)["description"])
    }


def test_each_code_of_an_error_is_told_with_its_status_and_no_other_code():
    told = set[tuple[int, str]]().union(*map(codes_of, OPERATIONS))
    known = {
        (int(each.status), each.code)
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, AppError)
    }
    source = "".join(file.read_text() for file in (PROJECT / "shared").rglob("*.py"))

    assert {pair for pair in known if pair[1] not in ONLY_ON_QUEUES} <= told
    assert {code for _, code in told if f'"{code}"' not in source} == set()


@pytest.mark.parametrize("name", CALLING)
def test_what_calls_the_connector_tells_each_way_to_be_refused(name):
    refusals = {
        (int(status), code)
        for row in TABLE
        for status in ([row.http] if row.http else row.said)
        for code in row.codes or [row.code]
        if isinstance(status, int)
    }

    assert refusals <= codes_of(name)
