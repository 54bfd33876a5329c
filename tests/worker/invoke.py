"""Runs the app in the real worker library: ``python -m tests.worker.invoke < invocations.json``.

Reads a list of invocations, ``{"function", "http" or "queue"}``, and prints as JSON what the worker
indexed and what each invocation came to. A process of its own, as a worker serves one app.

A queue's message is ``{"id", "body", "insertedAt"}``, and handed over as the trigger declares it.
"""

import asyncio
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import azure_functions_runtime as worker
from azure.functions.meta import Datum
from azure.storage.queue import QueueMessage
from azure_functions_runtime.utils.threadpool import start_threadpool_executor

from local.queue_metadata import handed_over
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
    functions = {each.name: each for each in indexed.function_metadata_results}
    outcomes = [
        await invoke(functions[invocation["function"]], invocation)
        for invocation in json.load(sys.stdin)
    ]
    outcome = {"functions": list(functions), "outcomes": outcomes}
    print(json.dumps(outcome))  # noqa: T201  # this is what the process is for


async def invoke(function: Message, invocation: dict[str, Any]) -> dict[str, Any]:
    metadata: dict[str, Message] = {}
    if "http" in invocation:
        name, data = "req", http(invocation["http"])
    else:
        [trigger] = map(json.loads, function.raw_bindings)
        name, (data, metadata) = "message", queued(invocation["queue"], trigger)
    answer = await worker.invocation_request(
        request(
            invocation_request=Message(
                invocation_id="invocation-1",
                function_id=function.function_id,
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


def queued(told: dict[str, Any], trigger: dict[str, Any]) -> tuple[Message, dict[str, Message]]:
    message = QueueMessage(content=told["body"])
    message.id, message.dequeue_count, message.pop_receipt = told["id"], 1, "receipt"
    message.inserted_on = datetime.fromisoformat(told["insertedAt"])
    is_binary = trigger.get("dataType") == "BINARY"
    data, metadata = handed_over(message, told["body"].encode(), is_binary=is_binary)
    return sent(data), {name: sent(value) for name, value in metadata.items()}


def sent(datum: Datum) -> Message:
    return Message(**{str(datum.type): datum.value})


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
