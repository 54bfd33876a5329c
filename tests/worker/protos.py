"""The few messages between the Functions host and the worker that these tests exchange.

The worker library takes the module with its messages from its caller; it looks at attributes and
``WhichOneof`` only, so plain objects serve.
"""

from types import SimpleNamespace
from typing import Any


class Message(SimpleNamespace):
    """Any message: what it was made with, and None for the rest."""

    def __getattr__(self, name: str) -> Any:
        # The worker finds out by this very name whether it was given a message or a wrapped one.
        if name.startswith("__") or name == "TypedData":
            raise AttributeError(name)
        return None

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802  # protobuf's name
        return next(iter(vars(self)), None)


class ParameterBinding(Message):
    """An argument of a function."""

    def WhichOneof(self, _group: str) -> str:  # noqa: N802  # protobuf's name
        return "data"


class BindingInfo(Message):
    """A binding, with the values of its direction and data type."""

    inout = 2
    out = 1
    undefined = 0


class StatusResult(Message):
    """Whether something worked."""

    Failure = 0
    Success = 1


class RpcHttpCookie(Message):
    """A cookie; ours sets none."""

    SameSite = SimpleNamespace()


FunctionLoadResponse = FunctionMetadataResponse = InvocationResponse = Message
NullableBool = NullableDouble = NullableString = NullableTimestamp = Message
RpcException = RpcFunctionMetadata = RpcHttp = RpcRetryOptions = Message
TypedData = WorkerInitResponse = WorkerMetadata = Message
