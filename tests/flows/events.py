"""What other systems post, and what comes of it in people's chats."""

import itertools
import json
from collections import Counter
from urllib.parse import urlencode

from tests.flows.running_app import new_tenant
from tests.ReceiveEvent.recorded import PAYLOADS, headers_of
from tests.support.connector import conversation_of, is_send


def follow(app, topic, user):
    app.remember(
        "msteams",
        user,
        tenantId=new_tenant(),
        conversation={"id": f"a:{user}"},
        preferences={"interests": [topic]},
    )
    return f"a:{user}"


def post(app, name, topic):
    """Post a recorded payload as its sender does."""
    path = f"/api/events/{name.partition('/')[0]}?{urlencode({'interest': topic, 'topic': topic})}"
    return app.host.request("POST", path, (PAYLOADS / name).read_bytes(), headers_of(name))


def generic(status, **said):
    return {"key": "k", "status": status, "title": "Disk full", "topic": "disks", **said}


def told(app):
    """How often a new message and how often an edit reached each conversation."""
    return Counter(
        ("new" if is_send(call) else call.method, conversation_of(call)) for call in app.calls
    )


def incidents(app, **query):
    """All incidents, page by page."""
    found, token = [], ""
    while token is not None:
        parameters = {**query, **({"continuationToken": token} if token else {})}
        asked = "&".join(f"{name}={value}" for name, value in parameters.items())
        answer = app.get(f"/api/incidents?{asked}")
        assert answer.status == 200, answer.body
        found += answer.json()["incidents"]
        token = answer.json().get("continuationToken")
    return found


def incident_of(app, alert_topic):
    [found] = [each for each in incidents(app) if each["topic"] == alert_topic]
    return found


def shown(connector):
    """The last that was said in each message: its conversation, and all of it as JSON."""
    numbers, said = itertools.count(1), {}
    for call in connector.requests:
        copy = f"activity-{next(numbers)}" if is_send(call) else call.path.rpartition("/")[2]
        said[copy] = (conversation_of(call), json.dumps(call.json))
    return list(said.values())
