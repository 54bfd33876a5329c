"""Queue storage, as much of it as the app and a Functions host ask; any queue exists.

Azurite looks through all messages of a queue for each one that it hands out or deletes. This takes
the same time however many there are.
"""

import base64
import heapq
import itertools
import re
import time
from collections import defaultdict
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

from tests.support.stub_server import Answer, ReceivedRequest, StubServer

# The path that tells the texts and ids of all messages that were not delayed, by queue, once.
TAKE_ALL = "/take-all"

_ROUTE = re.compile(r"/[^/]+/([\w-]+)(?:/messages(?:/(.+))?)?")
_TEXT = re.compile(rb"<MessageText>(.*)</MessageText>", re.DOTALL)
_XML = '<?xml version="1.0" encoding="utf-8"?>'
_NEVER = "Fri, 31 Dec 9999 23:59:59 GMT"


@dataclass
class _Message:
    id: str
    text: str
    put_at: float
    visible_at: float
    receipt: str
    is_delayed: bool
    taken: int = 0

    def to_xml(self) -> str:
        """Return it as it stands in an answer."""
        return (
            f"<QueueMessage><MessageId>{self.id}</MessageId>"
            f"<InsertionTime>{formatdate(self.put_at, usegmt=True)}</InsertionTime>"
            f"<ExpirationTime>{_NEVER}</ExpirationTime><PopReceipt>{self.receipt}</PopReceipt>"
            f"<TimeNextVisible>{formatdate(self.visible_at, usegmt=True)}</TimeNextVisible>"
            f"<DequeueCount>{self.taken}</DequeueCount>"
            f"<MessageText>{escape(self.text)}</MessageText></QueueMessage>"
        )


@dataclass
class _Queue:
    """Messages by id, and when each is seen next, with the receipt that it has until then."""

    messages: dict[str, _Message] = field(default_factory=dict)
    seen_next: list[tuple[float, str, str]] = field(default_factory=list)

    def hide(self, message: _Message, seconds: float, receipt: str) -> None:
        """Have a message be seen after so many seconds."""
        message.visible_at, message.receipt = time.time() + seconds, receipt
        self.messages[message.id] = message
        heapq.heappush(self.seen_next, (message.visible_at, message.id, receipt))

    def first_visible(self) -> _Message | None:
        """Return the message that was seen first, of those that can be."""
        while self.seen_next and self.seen_next[0][0] <= time.time():
            _, message_id, receipt = self.seen_next[0]
            message = self.messages.get(message_id)
            if message is not None and message.receipt == receipt:
                return message
            heapq.heappop(self.seen_next)
        return None


class StubQueues(StubServer):
    """Keeps messages in memory, and hides those that are taken."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._queues: dict[str, _Queue] = defaultdict(_Queue)
        super().__init__()

    def default_answer(self, request: ReceivedRequest) -> Answer:
        """Put, take, look at, hide or delete messages; or count them."""
        if request.path == TAKE_ALL:
            return Answer(200, self._take_all())
        route = _ROUTE.fullmatch(urlsplit(request.path).path)
        if route is None:
            return Answer(501)
        queue, message_id = self._queues[route[1]], unquote(route[2] or "")
        match request.method, "/messages" in request.path:
            case "POST", True:
                return self._put(queue, request)
            case "GET", True:
                return self._take(queue, request)
            case "PUT" | "DELETE", True:
                return self._change(queue, message_id, request)
            case "GET", False:
                count = str(len(queue.messages))
                return Answer(200, headers={"x-ms-approximate-messages-count": count})
            case _:
                return Answer(201)

    def _put(self, queue: _Queue, request: ReceivedRequest) -> Answer:
        text = _TEXT.search(request.body)
        if text is None:
            return Answer(400)
        number, seconds = next(self._numbers), float(request.query.get("visibilitytimeout", 0))
        message = _Message(
            id=f"0e7a0000-0000-4000-8000-{number:012}",
            text=text[1].decode(),
            put_at=time.time(),
            visible_at=0.0,
            receipt="",
            is_delayed=seconds > 0,
        )
        queue.hide(message, seconds, self._receipt())
        return _listed(201, message)

    def _take(self, queue: _Queue, request: ReceivedRequest) -> Answer:
        taken: list[_Message] = []
        hidden_for = float(request.query.get("visibilitytimeout", 30))
        is_peek = request.query.get("peekonly") == "true"
        for _ in range(int(request.query.get("numofmessages", 1))):
            message = queue.first_visible()
            if message is None:
                break
            taken.append(message)
            if is_peek:
                break
            message.taken += 1
            queue.hide(message, hidden_for, self._receipt())
        return _listed(200, *taken)

    def _change(self, queue: _Queue, message_id: str, request: ReceivedRequest) -> Answer:
        message = queue.messages.get(message_id)
        if message is None or message.receipt != request.query["popreceipt"]:
            return Answer(404, headers={"x-ms-error-code": "MessageNotFound"})
        if request.method == "DELETE":
            del queue.messages[message_id]
            return Answer(204)
        text = _TEXT.search(request.body)
        message.text = text[1].decode() if text else message.text
        queue.hide(message, float(request.query["visibilitytimeout"]), self._receipt())
        next_visible = formatdate(message.visible_at, usegmt=True)
        headers = {"x-ms-popreceipt": message.receipt, "x-ms-time-next-visible": next_visible}
        return Answer(204, headers=headers)

    def _take_all(self) -> dict[str, list[tuple[str, str]]]:
        taken: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for name, queue in self._queues.items():
            for message in queue.messages.values():
                if not message.is_delayed:
                    taken[name].append((base64.b64decode(message.text).decode(), message.id))
        self._queues.clear()
        return taken

    def _receipt(self) -> str:
        return f"receipt-{next(self._numbers)}"


def _listed(status: int, *messages: _Message) -> Answer:
    content = "".join(message.to_xml() for message in messages)
    xml = f"{_XML}<QueueMessagesList>{content}</QueueMessagesList>"
    return Answer(status, xml.encode(), {"Content-Type": "application/xml"})
