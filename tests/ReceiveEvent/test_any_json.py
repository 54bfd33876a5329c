"""Whatever JSON a sender posts: what is read of it fits, or it is refused."""

from typing import Any

from ReceiveEvent.event import SEVERITIES, Event, IgnoredEvent, is_link
from ReceiveEvent.formats import FORMATS
from shared.errors import InvalidRequestError
from tests.ReceiveEvent.recorded import RECORDED, body_of, headers_of


class DeepList(list[Any]):
    """A list in a list, and so on, too deep to be walked; reports of a failure show its name."""

    def __init__(self) -> None:
        value: list[Any] = []
        for _ in range(100_000):
            value = [value]
        super().__init__(value)

    def __repr__(self) -> str:
        return "DEEP"


DEEP = DeepList()


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return each member that there is: what holds it, and its name or position."""
    if not isinstance(value, dict | list) or value is DEEP:
        return []
    members = list(value.items() if isinstance(value, dict) else enumerate(value))
    below = [place for _, member in members for place in places(member)]
    return [*((value, name) for name, _ in members), *below]


def test_any_one_member_may_be_missing_or_anything_else():
    anything: list[Any] = [None, [], {}, "\ud800", "x" * 9_000, 10**40, float("nan"), DEEP]
    for name in RECORDED:
        body = body_of(name)
        for parent, member in places(body):
            for value in anything:
                kept, parent[member] = parent[member], value
                require_events_that_fit_or_a_refusal(name, body)
                parent[member] = kept


def require_events_that_fit_or_a_refusal(name: str, body: Any) -> None:
    sender = FORMATS[name.partition("/")[0]]
    answer = sender.handshake(headers_of(name), body)
    assert answer is None or isinstance(answer, dict)
    try:
        events = sender.read(headers_of(name), body)
    except InvalidRequestError:
        return
    for event in events:
        require_fitting(event)


def require_fitting(event: Event | IgnoredEvent) -> None:
    if isinstance(event, IgnoredEvent):
        assert event.reason
        texts = [event.reason, event.key or ""]
    else:
        assert event.key
        assert event.title
        assert event.topic
        assert event.state in ("firing", "resolved")
        assert event.severity in (None, *SEVERITIES)
        assert event.link is None or is_link(event.link)
        assert len(event.title) <= 200 >= len(event.topic)
        assert len(event.text) <= 4_000
        assert len(event.details) <= 20
        assert all(0 < len(name) <= 200 >= len(value) for name, value in event.details.items())
        texts = [event.key, event.topic, event.title, event.text, *event.details]
        for time in (event.time, event.starts_at, event.ends_at):
            assert time is None or time.tzinfo is not None
    for text in texts:
        assert len(text.encode()) <= 4 * 4_000
