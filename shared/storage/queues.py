"""Messages of Queue storage: put, taken, counted."""

import base64
from datetime import datetime
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from azure.storage.queue import QueueClient, QueueMessage

from shared.storage.clients import Storage, ignoring, translated_errors


class Queue:
    """One queue, made when it is first written and missing."""

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage = storage
        self._name = name

    def send(self, text: str, *, delay_seconds: int = 0) -> None:
        """Put a message on the queue, to be seen after the delay; it never expires."""

        content = base64.b64encode(text.encode()).decode()
        body = f"<QueueMessage><MessageText>{content}</MessageText></QueueMessage>".encode()
        if self._put(body, delay_seconds, HTTPStatus.CREATED, HTTPStatus.NOT_FOUND) == 404:
            # 204: another thread or instance has just made it.
            with translated_errors(), ignoring(HTTPStatus.CONFLICT, HTTPStatus.NO_CONTENT):
                self._client.create_queue()
            self._put(body, delay_seconds, HTTPStatus.CREATED)

    def _put(self, body: bytes, delay_seconds: int, *expected: HTTPStatus) -> int:
        """Put a message: "Put Message", Azure Storage REST API."""
        answer = self._storage.queue_service.ask(
            "POST",
            f"/{self._name}/messages",
            *expected,
            query=f"visibilitytimeout={delay_seconds}&messagettl=-1",
            headers={"Content-Type": "application/xml"},
            body=body,
        )
        return answer.status

    def take(self) -> "QueueMessage | None":
        """Take a message, which comes back in a minute unless it is deleted; None: no message."""
        with translated_errors(), ignoring(HTTPStatus.NOT_FOUND):
            return self._client.receive_message(visibility_timeout=60)
        return None

    def first_inserted_at(self) -> datetime | None:
        """Return when the first visible message was put there; None when there is none."""
        with translated_errors(), ignoring(HTTPStatus.NOT_FOUND):
            messages = self._client.peek_messages(max_messages=1)
            return messages[0].inserted_on if messages else None
        return None

    def count(self) -> int:
        """Return how many messages there are, invisible ones included, or a few more."""
        with translated_errors(), ignoring(HTTPStatus.NOT_FOUND):
            return self._client.get_queue_properties().approximate_message_count or 0
        return 0

    def delete(self, message: "QueueMessage") -> None:
        """Delete a message that was taken."""
        with translated_errors():
            self._client.delete_message(message)

    @cached_property
    def _client(self) -> "QueueClient":
        return self._storage.queue(self._name)


def text_of(message: "QueueMessage") -> str:
    """Return the text of a message that was taken: from base64, or else as it stands."""
    content: str = message.content
    try:
        # The Functions host ignores white space too: tools break lines.
        return base64.b64decode("".join(content.split()), validate=True).decode()
    except ValueError:
        return content
