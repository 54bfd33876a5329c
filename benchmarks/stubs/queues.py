"""Queue storage, as much of it as whoever puts messages on queues needs; any queue is there."""

import base64
import itertools
import re
from collections import Counter, defaultdict
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks.stubs.server import CONTROL, Request, Stub, answer, answer_with

MESSAGES = f"{CONTROL}/messages"
"""Where whoever plays the Functions host gets the texts and ids of all messages, by queue, once."""

_ROUTE = re.compile(r"/[^/]+/([\w-]+)/messages")
_TEXT = re.compile(rb"<MessageText>(.*)</MessageText>", re.DOTALL)
_LIST = """\
<?xml version="1.0" encoding="utf-8"?><QueueMessagesList><QueueMessage>\
<MessageId>{}</MessageId><InsertionTime>Sat, 31 Jan 2026 08:00:00 GMT</InsertionTime>\
<ExpirationTime>Fri, 31 Dec 9999 23:59:59 GMT</ExpirationTime>\
<PopReceipt>AgAAAAMAAAAAAAAAn5VY8jSS3AE=</PopReceipt>\
<TimeNextVisible>Sat, 31 Jan 2026 08:00:00 GMT</TimeNextVisible>\
</QueueMessage></QueueMessagesList>"""


class AppQueues(Stub):
    """The queue service."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(1)
        self._messages: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._operations: Counter[str] = Counter()

    def receive(self, request: Request) -> bytes:
        """Take a message that is to be seen at once."""
        url = urlsplit(request.path)
        route, text = _ROUTE.fullmatch(url.path), _TEXT.search(request.body)
        is_delayed = parse_qs(url.query).get("visibilitytimeout") != ["0"]
        if request.method != "POST" or route is None or text is None or is_delayed:
            return answer(501)
        self._operations[f"POST {route[1]}"] += 1
        message_id = f"0e7a0000-0000-4000-8000-{next(self._numbers):012}"
        self._messages[route[1]].append((base64.b64decode(text[1]).decode(), message_id))
        return answer_with(201, _LIST.format(message_id).encode(), "application/xml")

    def control(self, request: Request) -> bytes:
        """Hand out all messages, or answer as any stub."""
        if request.path != MESSAGES:
            return super().control(request)
        content = answer(200, self._messages)
        self._messages.clear()
        return content

    def tell(self) -> dict[str, Any]:
        """Return also what was done, as in ``POST send-activity``."""
        return {**super().tell(), "operations": self._operations}

    def obey(self, orders: dict[str, Any]) -> None:
        """Forget what was seen, messages too."""
        super().obey(orders)
        self._operations.clear()
        self._messages.clear()
