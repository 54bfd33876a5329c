import pytest

from shared.messages.queue_names import START_CONVERSATION
from StartConversation.triggers import (
    get_conversation_http,
    start_conversation_from_queue,
    start_conversation_http,
)
from tests.support.builders import answer_of, http_request, invocation, queue_message
from tests.support.connector import is_start

ALEX = {"members": [{"id": "29:alex"}]}


@pytest.fixture(autouse=True)
def app(deployed):
    return deployed


def start(body, **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return start_conversation_http(http_request("POST", body, headers=names))


def get(conversation_id, **params):
    return get_conversation_http(
        http_request("GET", route={"conversationId": conversation_id}, params=params)
    )


def test_a_started_conversation_is_created_and_can_be_read_where_it_is(connector):
    connector.answer(201, {"id": "a:1/2", "activityId": "7"})

    response = start(ALEX)

    assert answer_of(response) == (
        201,
        {
            "id": "a:1/2",
            "channelId": "msteams",
            "serviceUrl": f"{connector.url}/teams/",
            "activityId": "7",
        },
    )
    assert response.headers["Location"] == "/api/conversations/a%3A1%2F2"
    for found in (get("a:1%2F2"), get("-", conversationId="a:1/2")):
        assert answer_of(found) == (200, answer_of(response)[1])


def test_a_second_start_is_ok_with_the_same_answer(connector):
    connector.answer(201, {"id": "a:1", "activityId": "7"})

    first = start({**ALEX, "activity": {"text": "News"}})
    second = start(ALEX)

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.get_body() == second.get_body()
    assert first.headers["Location"] == second.headers["Location"]


def test_what_comes_twice_with_one_key_is_started_once(connector):
    first, again = (start({**ALEX, "startNew": True}, Idempotency_Key="key-1") for _ in range(2))

    assert (first.status_code, first.get_body()) == (again.status_code, again.get_body())
    assert first.headers["Location"] == again.headers["Location"]
    assert len(connector.requests) == 1


def test_what_cannot_be_is_told(connector):
    for answer, refusal in (
        (get("a:1"), (404, "UnknownConversation")),
        (start(b"not json"), (400, "InvalidRequest")),
        (start({**ALEX, "channelId": "webchat"}), (422, "ConversationNotSupported")),
    ):
        status, problem = answer_of(answer)
        assert (status, problem["code"]) == refusal
    assert connector.requests == []


def test_a_conversation_that_two_channels_have_needs_its_channel(connector):
    for channel_id in ("telegram", "line"):
        start({**ALEX, "channelId": channel_id, "serviceUrl": connector.url})
    conversation_id = connector.conversation_id("29:alex")

    status, problem = answer_of(get(conversation_id))

    assert (status, problem["code"]) == (409, "AmbiguousConversation")
    assert answer_of(get(conversation_id, channelId="line"))[1]["channelId"] == "line"


# From the queue


@pytest.fixture
def starts(queue_reader):
    return queue_reader(START_CONVERSATION)


@pytest.fixture
def poison(queue_reader):
    return queue_reader(f"{START_CONVERSATION}-poison")


def test_a_start_from_the_queue_is_the_same_start(app, connector, poison):
    start_conversation_from_queue(queue_message({**ALEX, "topicName": "News"}), invocation())

    [request] = connector.requests
    assert is_start(request)
    assert request.json["topicName"] == "News"
    assert app.accounts.get("msteams", "29:alex").account.conversation
    assert poison.count() == 0


def test_a_start_that_another_is_making_goes_back_to_the_queue(
    app, connector, starts, poison, storage_calls
):
    app.leases.acquire(
        "start",
        app.settings.app_id,
        "msteams",
        "29:alex",
        seconds=60,
    )

    start_conversation_from_queue(queue_message(ALEX), invocation())

    assert connector.requests == []
    assert (starts.count(), poison.count()) == (1, 0)
