"""Alerts, from the call that sends one to what people get, and what can be done about it then."""

from collections import Counter
from uuid import uuid4

import pytest

from tests.flows.alerts import (
    counts,
    deliveries,
    send_alert,
    told,
    wait_for_end,
)
from tests.flows.running_app import new_tenant, new_user


@pytest.fixture
def topic() -> str:
    """A topic that nobody is interested in yet."""
    return f"topic-{uuid4().hex}"


@pytest.fixture
def readers(app, topic):
    """Has so many people be known who are interested in the topic; each has a tenant of theirs."""

    def known(count: int, channel_id: str = "msteams", **account) -> list[str]:
        users = [new_user() for _ in range(count)]
        for user in users:
            told_of = {
                "tenantId": new_tenant(),
                "conversation": {"id": f"a:{user}"},
                "preferences": {"interests": [topic]},
                **account,
            }
            app.remember(channel_id, user, **told_of)
        return users

    return known


def test_an_alert_reaches_who_is_interested_in_their_language_and_nobody_else(app, topic, readers):
    english = readers(2, locale="en-GB", name="Alex")
    german = readers(2, locale="de-AT", name="Mia")
    readers(1, preferences={"interests": ["something else"]})
    stopped = readers(1, preferences={"interests": [topic], "muted": True})
    readers(1, preferences={"interests": [topic], "mutedTopics": [topic.upper()]})
    readers(1, installed=False)

    alert_id = send_alert(
        app,
        audience={"interests": [topic.upper()]},
        topic=topic,
        activities={"en": {"text": "Hello ${name}"}, "de": {"text": "Hallo ${name}"}},
    )
    ended = wait_for_end(app, alert_id)

    assert told(app.calls) == Counter(
        [(f"a:{user}", "Hello Alex") for user in english]
        + [(f"a:{user}", "Hallo Mia") for user in german]
    )
    assert counts(ended) == {"sent": 4, "suppressed": 3}
    assert (ended["status"], ended["total"], ended["topic"]) == ("done", 7, topic)
    [muted] = [
        each
        for each in deliveries(app, alert_id, status="suppressed")
        if each["recipient"]["userId"] == stopped[0]
    ]
    assert (muted["code"], muted["detail"]) == ("Suppressed", "The person wants no alerts")
