"""The app's functions: found as the Python worker finds them, called through its converters."""

import asyncio
import importlib
import inspect
import json
import logging
import time
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import azure.functions as func
from azure.functions.http import HttpRequestConverter, HttpResponseConverter
from azure.functions.meta import Datum
from azure.functions.queue import QueueMessageInConverter
from azure.functions.timer import TimerRequestConverter

from local.environment import StartError, fill_in

logger = logging.getLogger(__name__)

CONVERTERS: dict[str, Any] = {
    "httpTrigger": HttpRequestConverter,
    "queueTrigger": QueueMessageInConverter,
    "timerTrigger": TimerRequestConverter,
}


class InvocationFailedError(Exception):
    """A function raised; why is in the log."""


@dataclass(frozen=True)
class Function:
    """One function of the app, with its trigger as `function.json` would describe it."""

    name: str
    trigger: dict[str, Any]
    user_function: Callable[..., Any]
    wants_context: bool

    def invoke(
        self, data: Datum, metadata: Mapping[str, Datum], trace_parent: str | None
    ) -> Datum | None:
        """Call the function with what triggered it; only a HTTP function's answer comes back."""
        # The real host traces every invocation, also one that has no trace yet.
        trace_parent = trace_parent or f"00-{uuid4().hex}-{uuid4().hex[:16]}-00"
        context = SimpleNamespace(
            function_name=self.name,
            function_directory=str(Path(inspect.getfile(self.user_function)).parent),
            invocation_id=str(uuid4()),
            trace_context=SimpleNamespace(trace_parent=trace_parent, trace_state="", attributes={}),
            retry_context=None,
        )
        started = time.monotonic()
        try:
            answer = self._call(data, metadata, context)
        except Exception as error:  # the app can raise anything; the host goes on
            logger.exception("%s failed (invocation %s)", self.name, context.invocation_id)
            raise InvocationFailedError(self.name) from error
        duration = (time.monotonic() - started) * 1000
        logger.info(
            "%s succeeded in %.0f ms (invocation %s)", self.name, duration, context.invocation_id
        )
        return answer

    def _call(self, data: Datum, metadata: Mapping[str, Datum], context: Any) -> Datum | None:
        converter = CONVERTERS[self.trigger["type"]]
        arguments = {self.trigger["name"]: converter.decode(data, trigger_metadata=metadata)}
        if self.wants_context:
            arguments["context"] = context
        result = self.user_function(**arguments)
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
        if self.trigger["type"] != "httpTrigger" or result is None:
            return None
        return HttpResponseConverter.encode(result, expected_type=None)


def load_functions(app_root: Path) -> list[Function]:
    """Import `function_app.py` and list the functions of its one app."""
    if not (app_root / "function_app.py").is_file():
        raise StartError(f"There is no function_app.py in {app_root}.")
    module = importlib.import_module("function_app")
    apps = [value for value in vars(module).values() if isinstance(value, func.FunctionRegister)]
    if len(apps) != 1:
        raise StartError(f"function_app.py must define one FunctionApp, not {len(apps)}.")
    try:
        found = apps[0].get_functions()
    except ValueError as error:
        raise StartError(str(error)) from error
    return [_describe(function) for function in found]


def _describe(function: func.Function) -> Function:
    name = str(function.get_function_name())
    user_function = function.get_user_function()
    parameters = set(inspect.signature(user_function).parameters)
    try:
        trigger = _trigger(function)
        if parameters - {"context"} != {trigger["name"]}:
            raise StartError(f"its parameters must be {trigger['name']} and, if wanted, context.")
        annotation = typing.get_type_hints(user_function).get(trigger["name"])
        converter = CONVERTERS[trigger["type"]]
        if annotation and not converter.check_input_type_annotation(annotation):
            raise StartError(f"its parameter {trigger['name']} cannot be {annotation} here.")
    except StartError as error:
        raise StartError(f"Function {name}: {error}") from error
    return Function(name, trigger, user_function, "context" in parameters)


def _trigger(function: func.Function) -> dict[str, Any]:
    if function.get_setting("retry_policy"):
        raise StartError("retry policies are not supported here.")
    trigger: dict[str, Any] = {}
    for binding in map(json.loads, function.get_raw_bindings()):
        if binding["type"] in CONVERTERS:
            trigger = binding
        elif (binding["type"], binding["name"]) != ("http", "$return"):
            raise StartError(f"the binding {binding['type']} is not supported here.")
    return {
        key: fill_in(value) if isinstance(value, str) else value for key, value in trigger.items()
    }
