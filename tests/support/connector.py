"""The Bot Connector, played on loopback."""

import itertools
import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from tests.support.stub_server import Answer, Predicate, ReceivedRequest, StubServer, any_request

# Below any base path, such as /teams or /amer.
_ROUTE = re.compile(
    r"(?:/[^/?]+)*?/v3/conversations"
    r"(?:/(?P<conversation>[^/?]+)/activities(?:/(?P<activity>[^/?]+))?)?/?(?:\?.*)?"
)


def is_start(request: ReceivedRequest) -> bool:
    """Whether the request starts a conversation."""
    is_route = _ROUTE.fullmatch(request.path) is not None
    return is_route and request.method == "POST" and conversation_of(request) is None


def is_send(request: ReceivedRequest) -> bool:
    """Whether the request sends an activity to a conversation."""
    return request.method == "POST" and conversation_of(request) is not None


def conversation_of(request: ReceivedRequest) -> str | None:
    """The id of the conversation that the request is about."""
    route = _ROUTE.fullmatch(request.path)
    return unquote(route["conversation"]) if route and route["conversation"] else None


class StubConnector(StubServer):
    """Starts conversations and takes activities as the Connector does, until told otherwise."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._conversation_ids: dict[str, str] = {}
        super().__init__()

    def set_conversation_id(self, member_id: str, conversation_id: str) -> None:
        """Choose the id of the one-to-one conversation with a member."""
        self._conversation_ids[member_id] = conversation_id

    def conversation_id(self, member_id: str) -> str:
        """The id of the one-to-one conversation with a member: one per member, always the same."""
        return self._conversation_ids.get(member_id, f"a:chat-with-{member_id}")

    def fail(
        self,
        status: int,
        code: str,
        message: str = "It failed.",
        headers: Mapping[str, str] | None = None,
        *,
        times: float = 1,
        when: Predicate = any_request,
    ) -> None:
        """Answer the next `times` requests that fit with an error as the Connector writes it."""
        self.answer(status, _error(code, message), headers, times=times, when=when)

    def fail_always(self, status: int, code: str, *, when: Predicate = any_request) -> None:
        """Answer all requests that fit with an error."""
        self.fail(status, code, times=math.inf, when=when)

    def default_answer(self, request: ReceivedRequest) -> Answer:
        """Answer as the Connector does when all is well."""
        route = _ROUTE.fullmatch(request.path)
        if not route:
            return Answer(404, _error("NotFound", "There is no such route."))
        if request.method != "DELETE":
            try:
                body = request.json
            except ValueError:
                return Answer(400, _error("BadSyntax", "The body is not JSON."))
        match request.method, route["conversation"], route["activity"]:
            case "POST", None, None:
                return Answer(201, self._started(body))
            case "POST", str(), _:
                return Answer(201, {"id": f"activity-{next(self._numbers)}"})
            case "PUT", str(), str(activity):
                return Answer(200, {"id": unquote(activity)})
            case "DELETE", str(), str():
                return Answer(200)
        return Answer(405, _error("MethodNotAllowed", "Not with this method."))

    def _started(self, conversation: dict[str, Any]) -> dict[str, str]:
        if conversation.get("isGroup"):
            started = {"id": f"19:group-{next(self._numbers)}@thread.v2"}
        else:
            started = {"id": self.conversation_id(conversation["members"][0]["id"])}
        if "activity" in conversation:
            started["activityId"] = f"activity-{next(self._numbers)}"
        return started


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}
