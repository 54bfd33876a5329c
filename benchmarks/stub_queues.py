"""Queue storage, as much of it as putting messages on queues needs; any queue exists."""

import base64
import itertools
import re
from collections import defaultdict
from urllib.parse import urlsplit

from tests.support.stub_server import Answer, ReceivedRequest, StubServer

# The path that tells the texts and ids of all messages, by queue, once.
TAKE_ALL = "/take-all"

_ROUTE = re.compile(r"/[^/]+/([\w-]+)/messages")
_TEXT = re.compile(rb"<MessageText>(.*)</MessageText>", re.DOTALL)
_LIST = """\
<?xml version="1.0" encoding="utf-8"?><QueueMessagesList><QueueMessage>\
<MessageId>{}</MessageId><InsertionTime>Sat, 31 Jan 2026 08:00:00 GMT</InsertionTime>\
<ExpirationTime>Fri, 31 Dec 9999 23:59:59 GMT</ExpirationTime>\
<PopReceipt>AgAAAAMAAAAAAAAAn5VY8jSS3AE=</PopReceipt>\
<TimeNextVisible>Sat, 31 Jan 2026 08:00:00 GMT</TimeNextVisible>\
</QueueMessage></QueueMessagesList>"""


class StubQueues(StubServer):
    """Takes messages, and hands out at once all but those that are to be seen later."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._messages: dict[str, list[tuple[str, str]]] = defaultdict(list)
        super().__init__()

    def default_answer(self, request: ReceivedRequest) -> Answer:
        """Take a message, or hand out all."""
        if request.path == TAKE_ALL:
            messages, self._messages = self._messages, defaultdict(list)
            return Answer(200, messages)
        route, text = _ROUTE.fullmatch(urlsplit(request.path).path), _TEXT.search(request.body)
        if request.method != "POST" or route is None or text is None:
            return Answer(501)
        message_id = f"0e7a0000-0000-4000-8000-{next(self._numbers):012}"
        if request.query.get("visibilitytimeout") == "0":
            self._messages[route[1]].append((base64.b64decode(text[1]).decode(), message_id))
        return Answer(201, _LIST.format(message_id).encode(), {"Content-Type": "application/xml"})
