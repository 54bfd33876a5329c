"""Runs the app in the real worker library: ``python -m tests.worker.invoke < invocations.json``.

Reads a list of invocations, ``{"function", "http" or "queue"}``, and prints as JSON what the worker
indexed and what each invocation came to. A process of its own, as a worker serves one app.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import azure_functions_runtime as worker
from azure_functions_runtime.utils.threadpool import start_threadpool_executor

from tests.worker import protos
from tests.worker.protos import Message, ParameterBinding

APP_ROOT = Path(__file__).parents[2]


async def main() -> None:
    start_threadpool_executor()
    started = await worker.worker_init_request(
        request(worker_init_request=Message(capabilities={}, function_app_directory=str(APP_ROOT)))
    )
    if started.result.status != protos.StatusResult.Success:
        raise SystemExit(started.result.exception.message)
    indexed = await worker.functions_metadata_request(None)
    ids = {each.name: each.function_id for each in indexed.function_metadata_results}
    outcomes = [
        await invoke(ids[invocation["function"]], invocation) for invocation in json.load(sys.stdin)
    ]
    print(  # noqa: T201  # this is what the process is for
        json.dumps(
            {
                "functions": {
                    each.name: [json.loads(binding) for binding in each.raw_bindings]
                    for each in indexed.function_metadata_results
                },
                "outcomes": outcomes,
            }
        )
    )


async def invoke(function_id: str, invocation: dict[str, Any]) -> dict[str, Any]:
    name, data = ("req", http(invocation["http"])) if "http" in invocation else ("message", None)
    metadata = {}
    if data is None:
        data = Message(string=invocation["queue"])
        metadata = {
            "Id": Message(string="message-1"),
            "DequeueCount": Message(string="1"),
            "PopReceipt": Message(string="receipt"),
            "InsertionTime": Message(json='"2026-11-22T10:00:00+00:00"'),
        }
    answer = await worker.invocation_request(
        request(
            invocation_request=Message(
                invocation_id="invocation-1",
                function_id=function_id,
                input_data=[ParameterBinding(name=name, data=data)],
                trigger_metadata=metadata,
                trace_context=Message(trace_parent="", trace_state="", attributes={}),
                retry_context=Message(),
            )
        )
    )
    if answer.result.status != protos.StatusResult.Success:
        return {"failure": answer.result.exception.message}
    if answer.return_value is None:
        return {}
    http_answer = answer.return_value.http
    return {
        "status": int(http_answer.status_code),
        "body": json.loads(http_answer.body.bytes or http_answer.body.string),
    }


def http(call: dict[str, Any]) -> Message:
    return Message(
        http=Message(
            method=call["method"],
            url=call["url"],
            headers={},
            params=call.get("params", {}),
            query={},
            body=Message(bytes=json.dumps(call.get("body")).encode()),
        )
    )


def request(**message: Message) -> Message:
    return Message(request=Message(**message), properties={"host": "127.0.0.1", "protos": protos})


asyncio.run(main())
