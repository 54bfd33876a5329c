"""Messages of a queue, and how they are settled."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from shared.connector.errors import ConnectorAnswer, connector_error
from shared.deliveries.delivery import Delivery, Destination, Status
from shared.errors import (
    FieldError,
    InvalidRequestError,
)
from shared.messages.envelope import Envelope
from shared.messages.queued_message import QueuedMessage
from shared.triggers.queue import Taken, process
from shared.triggers.settlement import Settlement
from tests.support.builders import unique

NOW = datetime.now(UTC)
MESSAGE = {"recipient": {"channelId": "msteams", "userId": "29:alex"}, "activity": {"text": "😀"}}


class Settling:
    """Settles messages of one queue, and looks at what became of them."""

    def __init__(self, services, queue_reader, queue=None):
        self.services = services
        self.queue = queue or unique("queue")
        self.waiting = queue_reader(self.queue)
        self.poison = queue_reader(f"{self.queue}-poison")
        self.ranges = []
        self.jitter = 0.0

    def message(self, body=MESSAGE, **noted):
        noted = {"id": "message-1", "accepted_at": NOW, "posting": "posting-1", **noted}
        return QueuedMessage(self.queue, body, Envelope(**noted))

    def claimed(self, body=MESSAGE, **noted):
        """A message that came as far as its call."""
        return self.claim(self.message(body, **noted))

    def claim(self, message):
        """The message once its call is claimed."""
        destination = Destination("slack", "https://slack.botframework.com/", user_id="29:alex")
        delivery = Delivery(
            message.envelope.id,
            Status.SENDING,
            created_at=message.envelope.accepted_at,
            updated_at=message.envelope.accepted_at,
            kind=message.kind,
            posting=message.envelope.posting,
            destination=destination,
        )
        claim = self.services.deliveries.claim(delivery, seconds=25, is_new=message.envelope.is_new)
        return replace(message, destination=destination, claim=claim, call_milliseconds=7)

    def settle(self, message, result):
        def jitter(least, most):
            self.ranges.append((least, most))
            return self.jitter

        Settlement(self.services, jitter).settle(message, result)

    def delivery(self):
        return self.services.deliveries.find("message-1")


class Run(Settling):
    """Has messages of a queue handled, one by one."""

    def __init__(self, services, queue_reader, queue=None):
        super().__init__(services, queue_reader, queue)
        self.handled = []

    def process(self, message, outcome=None, **taken):
        """Have a message handled, with an error or what a handler returns for outcome."""

        def handle(queued):
            self.handled.append(queued)
            result = outcome(queued) if callable(outcome) else outcome
            if isinstance(result, Exception):
                raise result
            return result

        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        details = {"message_id": "message-1", "inserted_at": NOW, **taken}
        process(Taken(self.queue, body, **details), self.services, handle, jitter=lambda *_: 0.0)

    def refusal(self, message, **taken):
        """Have a message refused unread; return what the poison queue says then."""
        self.process(message, **taken)
        assert self.handled == []
        [poison] = self.poison.take()
        return poison


def throttled(seconds):
    return connector_error(429, ConnectorAnswer(429, retry_after_seconds=seconds))


def unavailable(seconds=None):
    return connector_error(503, ConnectorAnswer(503, retry_after_seconds=seconds))


def rejected():
    return connector_error(403, ConnectorAnswer(403, "Odd"))


def wrong():
    return InvalidRequestError(FieldError("activity.text", "is missing"))
