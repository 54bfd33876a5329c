"""openapi.yaml, put together: the app's functions, the models' schemas, and the table beside them.

A function that the table does not know, or the other way round, is an error.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import yaml

from local import openapi_table as table
from local.environment import StartError, read_host_json
from local.functions import Function
from local.openapi import ROOT
from local.openapi_schemas import definitions, never_null, ref, schemas
from local.openapi_table import Answer, Example, Json, Operation, Parameter
from shared.connector.errors import TABLE, NoAnswer
from shared.connector.user_agent import VERSION
from shared.errors import AppError, HeldBackError, UnauthorizedCallerError

HEADING = "# Made by `python -m local openapi` from the code; change it there.\n"


def to_yaml(functions: Sequence[Function]) -> str:
    """Return the document of an app with these functions, as it stands in the file."""
    return HEADING + yaml.dump(
        document(functions), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )


def document(functions: Sequence[Function]) -> Json:
    """Return the document; raise StartError when the functions and the table do not match."""
    prefix = read_host_json(ROOT / "host.json").route_prefix
    http = [each for each in functions if each.trigger["type"] == "httpTrigger"]
    queues = [each for each in functions if each.trigger["type"] == "queueTrigger"]
    _require_same("OPERATIONS", http, table.OPERATIONS)
    _require_same("QUEUES", queues, table.QUEUES)
    paths: dict[str, Json] = {}
    for function in http:
        path = paths.setdefault(f"/{prefix}/{function.trigger['route']}", {})
        for method in function.trigger["methods"]:
            path[method.lower()] = _operation(function, table.OPERATIONS[function.name])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "speak-first",
            "version": VERSION,
            "description": table.INFO,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": table.SERVERS,
        "tags": [{"name": name, "description": text} for name, text in table.TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "headers": table.HEADERS,
            "examples": {
                code: {"summary": problem["detail"], "value": problem}
                for code, problem in table.PROBLEMS.items()
            },
            "securitySchemes": table.SECURITY,
        },
        "x-queues": {
            function.trigger["queueName"]: _queue(table.QUEUES[function.name])
            for function in queues
        },
    }


def _require_same(name: str, functions: Iterable[Function], known: Mapping[str, object]) -> None:
    differing = {function.name for function in functions} ^ set(known)
    if differing:
        raise StartError(
            f"The app's functions and {name} of local/openapi_table.py differ in "
            + ", ".join(sorted(differing))
        )


def _operation(function: Function, told: Operation) -> Json:
    has_key = function.trigger["authLevel"].upper() != "ANONYMOUS"
    schemes = ["functionKey"] if has_key else []
    if UnauthorizedCallerError in told.errors:
        schemes.append("connectorToken")
    operation: Json = {
        "operationId": function.name,
        "tags": [told.tag],
        "summary": told.summary,
        "description": told.description,
        "security": [{scheme: []} for scheme in schemes],
    }
    parameters = [*_of_path(function.trigger["route"]), *told.parameters, *_of_query(told)]
    if parameters:
        operation["parameters"] = [_parameter(each, told.examples) for each in parameters]
    if told.body:
        choices = [ref(name) for name in told.body]
        content = {
            "schema": {"oneOf": choices} if len(choices) > 1 else choices[0],
            "examples": {
                name: {"summary": each.summary, "value": each.body}
                for name, each in told.examples.items()
            },
        }
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    responses = {
        status: _response(status, answer, told.examples) for status, answer in told.answers.items()
    }
    responses |= _problems(told)
    if has_key:
        responses[401] = {"description": table.NO_KEY}
    operation["responses"] = {str(status): responses[status] for status in sorted(responses)}
    return operation


def _of_path(route: str) -> Iterator[Parameter]:
    found = re.findall(r"(?:(\w+)/)?{(\w+)}", route)
    for collection, name in found:
        schema = {"type": "string", "minLength": 1, "maxLength": 1024}
        told = table.PARAMETERS.get(name) or table.PARAMETERS[f"{collection}/{name}"]
        yield Parameter("path", name, told, schema)
    for _, name in found:
        schema = {"type": "string", "maxLength": 1024}
        yield Parameter("query", name, table.ALTERNATIVE, schema, has_examples=False)


def _of_query(told: Operation) -> Iterator[Parameter]:
    if told.query is None:
        return
    for name, schema in definitions([told.query])[told.query.__name__]["properties"].items():
        yield Parameter("query", name, table.PARAMETERS_OF_LISTS[name], never_null(schema))


def _parameter(told: Parameter, examples: Mapping[str, Example]) -> Json:
    parameter: Json = {"name": told.name, "in": told.place, "description": told.description}
    if told.place == "path":
        parameter["required"] = True
    parameter["schema"] = told.schema
    given = {
        name: _typed(each.parameters[told.name], told.schema)
        for name, each in examples.items()
        if told.has_examples and told.name in each.parameters
    }
    if len(given) == len(examples) and len(set(given.values())) == 1:
        parameter["example"] = next(iter(given.values()))
    elif given:
        parameter["examples"] = {name: {"value": value} for name, value in given.items()}
    return parameter


def _typed(value: str, schema: Json) -> str | int:
    return int(value) if schema.get("type") == "integer" else value


def _response(status: int, answer: Answer, examples: Mapping[str, Example]) -> Json:
    response: Json = {"description": answer.description}
    if answer.headers:
        response["headers"] = {name: _header(name) for name in answer.headers}
    if answer.schema:
        content = _content(ref(answer.schema), _examples(status, examples))
        response["content"] = {"application/json": content}
    return response


def _problems(told: Operation) -> dict[int, Json]:
    codes: dict[int, set[str]] = {}
    waits: set[int] = set()
    passed_on: set[int] = set()

    def add(error: type[AppError], status: int, *more: str) -> None:
        codes.setdefault(status, set()).update(more or [error.code])
        seconds = (error.retry_after_seconds, error.http_retry_after_seconds)
        if issubclass(error, HeldBackError) or seconds != (None, None):
            waits.add(status)

    for error in told.errors:
        add(error, int(error.status))
    for row in TABLE if told.calls_connector else ():
        for status in [row.http] if row.http else row.said:
            if not isinstance(status, NoAnswer):
                add(row.error, int(status), *row.codes)
                if row.error.status is not HTTPStatus.INTERNAL_SERVER_ERROR:
                    passed_on.add(int(status))
    return {
        status: _problem(
            status, sorted(known), told, waits=status in waits, is_open=status in passed_on
        )
        for status, known in codes.items()
    }


def _problem(status: int, codes: list[str], told: Operation, *, waits: bool, is_open: bool) -> Json:
    named = ", ".join(f"`{code}`" for code in codes)
    response: Json = {"description": named + (", or the Connector's own code." if is_open else ".")}
    if waits:
        response["headers"] = {"Retry-After": _header("Retry-After")}
    narrowed = {
        "status": {"const": status},
        "code": {"examples": codes} if is_open else {"enum": codes},
    }
    examples = _examples(status, told.examples) | {
        code: {"$ref": f"#/components/examples/{code}"}
        for code in told.problems
        if table.PROBLEMS[code]["status"] == status
    }
    content = _content({"allOf": [ref("Problem"), {"properties": narrowed}]}, examples)
    response["content"] = {"application/problem+json": content}
    return response


def _content(schema: Json, examples: Json) -> Json:
    return {"schema": schema, "examples": examples} if examples else {"schema": schema}


def _examples(status: int, examples: Mapping[str, Example]) -> Json:
    return {
        name: {"summary": each.summary, "value": each.answer}
        for name, each in examples.items()
        if each.status == status
    }


def _header(name: str) -> Json:
    return {"$ref": f"#/components/headers/{name}"}


def _queue(told: table.Queue) -> Json:
    return {
        "description": told.description,
        "encoding": "base64",
        "message": ref(told.schema),
        "poison": ref("PoisonEntry"),
        "examples": {
            name: {"summary": summary, "value": value}
            for name, (summary, value) in told.examples.items()
        },
    }


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # yaml's name
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _list(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.SequenceNode:
    is_short = all(isinstance(each, str | int) for each in values) and len(str(values)) <= 70
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=is_short)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
