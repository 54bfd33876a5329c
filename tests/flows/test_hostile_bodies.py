"""Bodies that must be refused: each with the answer's status and the field that it names."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime

import pytest

from tests.flows.running_app import new_user
from tests.support.stub_server import StubServer

SECRET = "Zephyr-7 is only for Alex"
USER = new_user()
CONVERSATION_ID = f"a:{USER}"
LONG = SECRET * 40_000  # 1 MB
MEMBERS = [{"id": "29:somebody"}]
RECIPIENT = {"channelId": "msteams", "userId": USER}
ACTIVITY = {"text": SECRET}


def nested(levels: int, opening: str = '{"a":', closing: str = "}") -> bytes:
    return (opening * levels + "1" + closing * levels).encode()


NO_OBJECTS = {
    "nothing": (b"", 400, "(body)"),
    "spaces": (b"  \n", 400, "(body)"),
    "text": (SECRET.encode(), 400, "(body)"),
    "half an object": (b'{"text": "' + SECRET.encode(), 400, "(body)"),
    "two objects": (b"{}{}", 400, "(body)"),
    "an array": (json.dumps([SECRET]).encode(), 400, "(body)"),
    "a string": (json.dumps(SECRET).encode(), 400, "(body)"),
    "null": (b"null", 400, "(body)"),
    "not a number": (b'{"text": "", "value": NaN}', 400, "(body)"),
    "infinity": (b'{"text": "", "value": 1e999}', 400, "(body)"),
    "deep objects": (nested(500), 400, "a"),
    "deep arrays": (nested(10_000, "[", "]"), 400, "(body)"),
}
OVER_HTTP_ONLY = {
    "no UTF-8": (b'{"text": "\xff\xfe"}', 400, "(body)"),
    "5 MB": (json.dumps({"text": LONG * 5}).encode(), 413, "(body)"),
    "very deep arrays": (nested(1_000_000, "[", "]"), 400, "(body)"),
}

STARTS = {
    "an empty object": ({}, 400, "members"),
    "no member": ({"members": []}, 400, "members"),
    "two members": ({"members": [*MEMBERS, {"id": "another"}]}, 400, "members"),
    "members: an object": ({"members": {"id": SECRET}}, 400, "members"),
    "member: a string": ({"members": [SECRET]}, 400, "members[0]"),
    "member: no id": ({"members": [{"name": SECRET}]}, 400, "members[0].id"),
    "member: a number for an id": ({"members": [{"id": 5}]}, 400, "members[0].id"),
    "member: an empty id": ({"members": [{"id": ""}]}, 400, "members[0].id"),
    "isGroup: a string": ({"isGroup": "no", "members": MEMBERS}, 400, "isGroup"),
    "isGroup: null": ({"isGroup": None, "members": MEMBERS}, 400, "isGroup"),
    "bot: a string": ({"bot": SECRET, "members": MEMBERS}, 400, "bot"),
    "bot: no id": ({"bot": {"name": SECRET}, "members": MEMBERS}, 400, "bot.id"),
    "topicName: a number": ({"topicName": 5, "members": MEMBERS}, 400, "topicName"),
    "tenantId: an object": ({"tenantId": {}, "members": MEMBERS}, 400, "tenantId"),
    "channelData: an array": ({"channelData": [SECRET], "members": MEMBERS}, 400, "channelData"),
    "activity: a string": ({"activity": SECRET, "members": MEMBERS}, 400, "activity"),
    "activity: says nothing": ({"activity": {}, "members": MEMBERS}, 400, "activity"),
    "activity: a number for a text": (
        {"activity": {"text": 5}, "members": MEMBERS},
        400,
        "activity.text",
    ),
    "startNew: a string": ({"startNew": "yes", "members": MEMBERS}, 400, "startNew"),
    "serviceUrl: a number": ({"serviceUrl": 5, "members": MEMBERS}, 400, "serviceUrl"),
    "a thread without a message": (
        {"isGroup": True, "channelData": {"channel": {"id": "19:general"}}},
        400,
        "activity",
    ),
}
LARGE_STARTS = {
    "1 MB of text": ({"activity": {"text": LONG}, "members": MEMBERS}, 413, "activity.text"),
    "1 MB of channelData": (
        {"channelData": {"a": LONG}, "members": [{"id": "29:x"}]},
        413,
        "channelData",
    ),
    "1 MB of a member": ({"members": [{"id": "29:x", "extra": LONG}]}, 413, "members"),
    "1 MB of a bot": ({"bot": {"id": "b", "extra": LONG}, "members": MEMBERS}, 413, "bot.extra"),
    "1 MB of a topic": ({"topicName": LONG, "members": MEMBERS}, 400, "topicName"),
    "1 MB of an id": ({"members": [{"id": LONG}]}, 400, "members[0].id"),
    "100,000 members": (
        {"channelId": "telegram", "isGroup": True, "members": MEMBERS * 100_000},
        413,
        "members",
    ),
}
CHANNEL_IDS = [
    *("", "ms teams", "ms/teams", "../msteams", "msteams\n", "msteams.evil.example/", "größe"),
    *("a" * 65, 5, {}),
]
WRONG_CHANNELS = {
    f"channelId: {channel_id!r:.25}": (
        {"channelId": channel_id, "members": MEMBERS},
        400,
        "channelId",
    )
    for channel_id in CHANNEL_IDS
}

ACTIVITIES = {
    "an empty object": ({}, 400, "(body)"),
    "a message that says nothing": ({"type": "message", "text": None}, 400, "(body)"),
    "type: a number": ({"type": 5, "text": SECRET}, 400, "type"),
    "type: nothing": ({"type": "", "text": SECRET}, 400, "type"),
    "text: an object": ({"text": {"secret": SECRET}}, 400, "text"),
    "attachments: an object": ({"attachments": {"content": SECRET}}, 400, "attachments"),
    "attachment: a string": ({"attachments": [SECRET]}, 400, "attachments[0]"),
    "entities: a number": ({**ACTIVITY, "entities": 5}, 400, "entities"),
    "suggestedActions: an array": ({"suggestedActions": [SECRET]}, 400, "suggestedActions"),
    "from: a string": ({**ACTIVITY, "from": "bot"}, 400, "from"),
    "from: no id": ({**ACTIVITY, "from": {"name": "bot"}}, 400, "from.id"),
    "conversation: a string": ({**ACTIVITY, "conversation": "a"}, 400, "conversation"),
    "locale: no language": ({**ACTIVITY, "locale": "every language"}, 400, "locale"),
}
LARGE_ACTIVITIES = {
    "1 MB of text": ({"text": LONG}, 413, "text"),
    "1 MB of anything": ({"text": "", "invented": {"deep": [LONG]}}, 413, "invented"),
    "1 MB of a type": ({"type": LONG}, 400, "type"),
    # Twice as long in UTF-16.
    "60 KB of text": ({"text": "a" * 60 * 1024}, 413, "text"),
}

ACCOUNTS = {
    "name: a number": ({"name": 5}, 400, "name"),
    "bot: null": ({"bot": None}, 400, "bot"),
    "bot: a string": ({"bot": SECRET}, 400, "bot"),
    "bot: no id": ({"bot": {"id": None}}, 400, "bot.id"),
    "serviceUrl: null": ({"serviceUrl": None}, 400, "serviceUrl"),
    "serviceUrl: a number": ({"serviceUrl": 5}, 400, "serviceUrl"),
    "locale: no language": ({"locale": "every language"}, 400, "locale"),
    "timeZone: an object": ({"timeZone": {"name": SECRET}}, 400, "timeZone"),
    "preferences: an array": ({"preferences": [SECRET]}, 400, "preferences"),
    "interests: a string": ({"preferences": {"interests": SECRET}}, 400, "preferences.interests"),
    "interest: a number": ({"preferences": {"interests": [5]}}, 400, "preferences.interests[0]"),
    "a preference of none": ({"preferences": {"loud": SECRET}}, 400, "preferences.loud"),
    "muted: a string": ({"preferences": {"muted": "yes"}}, 400, "preferences.muted"),
    "conversation: a string": ({"conversation": SECRET}, 400, "conversation"),
    "conversation: an empty id": ({"conversation": {"id": ""}}, 400, "conversation.id"),
    "installed: a string": ({"installed": "yes"}, 400, "installed"),
    "blocked: a number": ({"blocked": 1}, 400, "blocked"),
    "observedAt: no time": ({"observedAt": "yesterday"}, 400, "observedAt"),
    "observedAt: a number": ({"observedAt": 1767225600}, 400, "observedAt"),
    "observedAt: no zone": ({"observedAt": "2099-01-01T00:00:00"}, 400, "observedAt"),
    "observedAt: nobody set it": ({"observedAt": "0001-01-01T00:00:00Z"}, 400, "observedAt"),
    "a field of none": ({"invented": SECRET}, 400, "invented"),
}
OTHER_ACCOUNTS = {
    "another user": ({"userId": "29:another"}, 400, "userId"),
    "another channel": ({"channelId": "telegram"}, 400, "channelId"),
    "1 MB of a name": ({"name": LONG}, 413, "name"),
    "1 MB of a preference": ({"preferences": {"interests": [LONG]}}, 413, "preferences"),
    "a reference without a conversation": (
        {"channelId": "msteams", "user": {"id": USER}, "bot": {"id": "b"}, "serviceUrl": ""},
        400,
        "conversation",
    ),
}

UNTRUSTED_URLS = [
    "",
    "nonsense",
    "//smba.trafficmanager.net/teams/",
    "http://smba.trafficmanager.net/teams/",
    "ftp://smba.trafficmanager.net/teams/",
    "https://user@smba.trafficmanager.net/teams/",
    "https://user:password@smba.trafficmanager.net/teams/",
    "https://smba.trafficmanager.net@evil.example/",
    "https://smba.trafficmanager.net\\@evil.example/",
    "https://smba.trafficmanager.net%2eevil.example/",
    "https://smba.trafficmanager.net.evil.example/",
    "https://smba.trafficmanager.net:8443/teams/",
    "https://evil-smba.trafficmanager.net/",
    "https://evilbotframework.com/",
    "https://botframework.com.evil.example/",
    "https://smba.trafficmanager.net/teams/?to=evil.example",
    "https://smba.trafficmanager.net/teams/#evil",
    " https://smba.trafficmanager.net/teams/",
    "https://smba.trafficmanager.net/teams/\n",
    "https://smba.trafficmanager.net/teams/ HTTP/1.1\r\nX: y",
    "https://\uff53mba.trafficmanager.net/teams/",
    "https://52.113.194.132/",
    "https://[::1]/",
    "https://2130706433/",
    "http://127.0.0.1:1/",
    "http://localhost/",
    "https://smba.trafficmanager.net/" + "a" * 2048,
    # Another cloud's.
    "https://smba.infra.gov.teams.microsoft.us/teams",
]
WAYS_FOR_A_URL = {
    "start": lambda url: ("/api/conversations", {"members": MEMBERS, "serviceUrl": url}),
    "account": lambda url: (f"/api/accounts/msteams/{USER}", {"serviceUrl": url}),
    "reference": lambda url: (
        "/api/accounts/msteams/29:new",
        {
            "channelId": "msteams",
            "user": {"id": "29:new"},
            "bot": {"id": "28:bot"},
            "conversation": {"id": "a:new"},
            "serviceUrl": url,
        },
    ),
}

Cases = Mapping[str, tuple[object, int, str]]


def params(*tables: Cases):
    return [
        pytest.param(*case, id=name.encode("ascii", "replace").decode())
        for table in tables
        for name, case in table.items()
    ]


@pytest.fixture(scope="module")
def stored(module_app):
    """What is stored before the first hostile body: one account with its conversation."""
    module_app.remember("msteams", USER, conversation={"id": CONVERSATION_ID})
    return module_app.storage.rows()


@pytest.fixture
def untouched(app, stored):
    """The app, of which nothing may be seen but its answer."""
    yield app
    assert services_asked(app.connector, app.identity) == []
    assert app.storage.rows() == stored
    log = app.host.log()
    assert "Traceback" not in log
    assert SECRET not in log


def services_asked(*services: StubServer):
    return [str(request) for service in services for request in service.requests]


def check_refused(answer, status: int, field: str, code: str = "InvalidRequest"):
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status, problem["status"], problem["code"]) == (status, status, code)
    assert field in [error["field"] for error in problem["errors"]]
    assert all(error["message"] for error in problem["errors"])
    assert SECRET not in answer.body.decode()
    assert len(answer.body) < 2000


@pytest.mark.parametrize(
    ("body", "status", "field"),
    params(NO_OBJECTS, OVER_HTTP_ONLY, STARTS, LARGE_STARTS, WRONG_CHANNELS),
)
def test_a_start_is_refused(untouched, body, status, field):
    check_refused(untouched.post("/api/conversations", body), status, field)


@pytest.mark.parametrize(
    ("body", "status", "field"), params(NO_OBJECTS, OVER_HTTP_ONLY, ACTIVITIES, LARGE_ACTIVITIES)
)
def test_an_activity_is_refused(untouched, body, status, field):
    path = f"/api/conversations/{CONVERSATION_ID}/activities"

    check_refused(untouched.post(path, body), status, field)


@pytest.mark.parametrize(
    ("body", "status", "field"), params(NO_OBJECTS, OVER_HTTP_ONLY, ACCOUNTS, OTHER_ACCOUNTS)
)
def test_an_account_is_refused(untouched, body, status, field):
    check_refused(untouched.put(f"/api/accounts/msteams/{USER}", body), status, field)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/accounts/ms%20teams/29:new", "channelId"),
        (f"/api/accounts/{'a' * 65}/29:new", "channelId"),
        (f"/api/accounts/msteams/{'a' * 1025}", "userId"),
    ],
)
def test_an_account_under_a_wrong_path_is_refused(untouched, path, field):
    body = {"bot": {"id": "28:bot"}, "serviceUrl": untouched.connector.url}

    check_refused(untouched.put(path, body), 400, field)


@pytest.mark.parametrize("way", WAYS_FOR_A_URL)
@pytest.mark.parametrize("url", UNTRUSTED_URLS, ids=lambda url: ascii(url)[:60])
def test_an_untrusted_service_url_is_refused(untouched, url, way):
    path, body = WAYS_FOR_A_URL[way](url)
    call = untouched.post if way == "start" else untouched.put

    check_refused(call(path, body), 400, "serviceUrl", "UntrustedServiceUrl")


def as_messages(cases: Iterable[tuple[object, int, str]], **around: object):
    """The bodies as queue messages, with the start of the detail that is expected of each."""
    return [
        ({**around, **body} if isinstance(body, dict) else body, f"{field}: ")
        for body, _, field in cases
    ]


QUEUES: dict[str, list[tuple[object, str]]] = {
    "start-conversation": [
        *as_messages(NO_OBJECTS.values()),
        *as_messages(STARTS.values()),
        *as_messages(WRONG_CHANNELS.values()),
        *(({"members": MEMBERS, "serviceUrl": url}, "serviceUrl: ") for url in UNTRUSTED_URLS),
    ],
    "send-activity": [
        *as_messages(NO_OBJECTS.values()),
        *(
            (
                {"conversationId": CONVERSATION_ID, "activity": body},
                "activity: " if field == "(body)" else f"activity.{field}: ",
            )
            for body, _, field in ACTIVITIES.values()
        ),
        ({"activity": ACTIVITY}, "conversationId: "),
        ({"conversationId": CONVERSATION_ID}, "activity: "),
        ({"conversationId": CONVERSATION_ID, "activities": {}}, "activity: "),
        (
            {"conversationId": "a", "recipient": RECIPIENT, "activity": ACTIVITY},
            "conversationId: ",
        ),
        (
            {"conversationId": "a", "activity": ACTIVITY, "activities": {"en": ACTIVITY}},
            "activity: ",
        ),
        ({"conversationId": 5, "activity": ACTIVITY}, "conversationId: "),
        ({"recipient": SECRET, "activity": ACTIVITY}, "recipient: "),
        ({"recipient": {"channelId": "msteams"}, "activity": ACTIVITY}, "recipient.userId: "),
        (
            {"recipient": {**RECIPIENT, "channelId": "ms teams"}, "activity": ACTIVITY},
            "recipient.channelId: ",
        ),
        (
            {"conversationId": CONVERSATION_ID, "activities": {"en": {"text": 5}}},
            "activities.en.text: ",
        ),
        (
            {"conversationId": CONVERSATION_ID, "activities": {"no language": ACTIVITY}},
            "activities.no language",
        ),
        *(
            ({"conversationId": CONVERSATION_ID, "activity": ACTIVITY, name: value}, field)
            for name, value, field in [
                ("id", 5, "id: "),
                ("id", "", "id: "),
                ("id", SECRET * 50, "id: "),
                ("expiresAt", "soon", "expiresAt: "),
                ("expiresAt", 4102444800, "expiresAt: "),
                ("topic", {}, "topic: "),
                ("channelId", "ms teams", "channelId: "),
                ("invented", SECRET, "invented: "),
                ("_flow", SECRET, "_flow: "),
                ("_flow", {"id": "1"}, "_flow.acceptedAt: "),
            ]
        ),
    ],
    "cache-account": [
        *as_messages(NO_OBJECTS.values()),
        *as_messages(ACCOUNTS.values(), **RECIPIENT),
        *(({**RECIPIENT, "serviceUrl": url}, "serviceUrl: ") for url in UNTRUSTED_URLS),
        ({"userId": USER, "name": "Alex"}, "channelId: "),
        ({"channelId": "msteams", "name": "Alex"}, "userId: "),
        ({**RECIPIENT, "expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt: "),
    ],
}


@pytest.mark.parametrize("queue", QUEUES)
def test_a_message_that_can_never_succeed_is_poison_with_the_reason(untouched, queue):
    messages = QUEUES[queue]

    untouched.enqueue(queue, *(message for message, _ in messages))
    untouched.settle()

    poison = untouched.storage.take_poison(queue)
    expected = {comparable(as_it_came(message)): detail for message, detail in messages}
    details = {comparable(each["message"]): each["failure"]["detail"] for each in poison}
    assert len(poison) == len(messages)
    assert details.keys() == expected.keys()
    wrong = {
        message: detail
        for message, detail in details.items()
        if expected[message] not in detail or SECRET in detail
    }
    assert wrong == {}
    for failure in (each["failure"] for each in poison):
        assert set(failure) == {"code", "detail", "failedAt", "attempts"}
        assert failure["code"] in ("InvalidRequest", "UntrustedServiceUrl")
        assert failure["attempts"] == 0
        assert datetime.fromisoformat(failure["failedAt"]).tzinfo


def as_it_came(message: object) -> object:
    """What stands in the poison: JSON as JSON, but for what is nested too deeply to be safe."""
    if not isinstance(message, bytes):
        return message
    text = message.decode()
    if text.count("{") > 100 or text.count("[") > 100 or "NaN" in text or "1e999" in text:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def comparable(message: object) -> str:
    return json.dumps(message, sort_keys=True)
