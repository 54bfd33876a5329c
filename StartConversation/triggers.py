"""Starting a conversation, over HTTP and from the queue."""

from datetime import datetime
from http import HTTPStatus
from typing import Any

import azure.functions as func

from shared.accounts.conversations import Conversation
from shared.idempotency import Answer
from shared.messages.queue_names import START_CONVERSATION
from shared.messages.queued_message import Handled, QueuedMessage
from shared.settings import STORAGE
from shared.triggers.http import http_function, json_response, link_to, path_id, read_json
from shared.triggers.queue import queue_function
from shared.wire_models import canonical_channel_id
from shared.wiring import services

start_conversation_blueprint = func.Blueprint()


@start_conversation_blueprint.function_name("StartConversation")
@start_conversation_blueprint.route("conversations", methods=["POST"])
@http_function
def start_conversation_http(request: func.HttpRequest) -> func.HttpResponse:
    """Start a conversation; 201 when something was sent, 200 when it was there already."""
    answer = services().idempotency_keys.once("StartConversation", request, _start)
    return json_response(answer.body, answer.status, **answer.headers)


def _start(request: func.HttpRequest, until: datetime | None) -> Answer:
    from StartConversation.request import StartRequest
    from StartConversation.service import start_conversation

    start = StartRequest.from_json(read_json(request))
    wait_seconds = services().settings.connector_timeout_seconds
    started = start_conversation(start, services(), wait_seconds=wait_seconds, until=until)
    return Answer(
        _conversation(started.conversation, started.activity_id),
        HTTPStatus.OK if started.from_cache else HTTPStatus.CREATED,
        {"Location": link_to("conversations", "conversationId", started.conversation.id)},
    )


@start_conversation_blueprint.function_name("StartConversationFromQueue")
@start_conversation_blueprint.queue_trigger(
    "message", START_CONVERSATION, STORAGE, data_type=func.DataType.BINARY
)
@queue_function(START_CONVERSATION)
def start_conversation_from_queue(message: QueuedMessage) -> Handled:
    """Start a conversation, for whatever waits for it."""
    from StartConversation.service import start_queued_conversation

    return start_queued_conversation(message, services())


@start_conversation_blueprint.function_name("GetConversation")
@start_conversation_blueprint.route("conversations/{conversationId}", methods=["GET"])
@http_function
def get_conversation_http(request: func.HttpRequest) -> func.HttpResponse:
    """Return a conversation from the cache."""
    channel_id = request.params.get("channelId")
    conversation = services().conversations.find(
        path_id(request, "conversationId"),
        channel_id if channel_id is None else canonical_channel_id(channel_id),
    )
    return json_response(_conversation(conversation, conversation.activity_id))


def _conversation(conversation: Conversation, activity_id: str | None) -> dict[str, Any]:
    answer = {
        "id": conversation.id,
        "channelId": conversation.channel_id,
        "serviceUrl": conversation.service_url,
        "activityId": activity_id,
    }
    return {name: value for name, value in answer.items() if value is not None}
