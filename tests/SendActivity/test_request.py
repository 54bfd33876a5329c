import pytest

from SendActivity.request import SendRequest
from shared.errors import InvalidRequestError

TO_ALEX = {"recipient": {"channelId": "msteams", "userId": "29:alex"}}
NEWS = {"activity": {"text": "News"}}
BOTH = {"activities": {"en": {"text": "News"}, "de": {"text": "Neues"}}}


def fields_of(body):
    with pytest.raises(InvalidRequestError) as caught:
        SendRequest.from_json(body)
    return [error.field for error in caught.value.field_errors]


@pytest.mark.parametrize(
    ("target", "content"), [(TO_ALEX, NEWS), ({"conversationId": "a:1"}, BOTH)]
)
def test_a_message_has_a_target_and_something_to_say(target, content):
    body = {
        **target,
        **content,
        "id": "order-7",
        "channelId": "msteams",
        "expiresAt": "2099-01-31T10:00:00Z",
        "topic": "Orders",
    }

    request = SendRequest.from_json(body)

    assert request.to_json() | {"expiresAt": body["expiresAt"]} == body


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (NEWS, ["conversationId"]),
        ({**TO_ALEX, "conversationId": "a:1", **NEWS}, ["conversationId"]),
        (TO_ALEX, ["activity"]),
        ({**TO_ALEX, **NEWS, **BOTH}, ["activity"]),
        ({**TO_ALEX, "activities": {}}, ["activity"]),
        ({"recipient": {**TO_ALEX["recipient"], "name": "x"}, **NEWS}, ["recipient.name"]),
        ({"conversationId": "", **NEWS}, ["conversationId"]),
        ({**TO_ALEX, "activities": {"en": {"text": 5}}}, ["activities.en.text"]),
        ({**TO_ALEX, "activities": {"en_US": {"text": "News"}}}, ["activities.en_US"]),
        ({**TO_ALEX, **NEWS, "expiresAt": "tomorrow"}, ["expiresAt"]),
        ({**TO_ALEX, **NEWS, "id": "x" * 1025}, ["id"]),
        ({**TO_ALEX, **NEWS, "Topic": "x"}, ["Topic"]),
        # Only alerts ask.
        ({**TO_ALEX, **NEWS, "answers": {}}, ["answers"]),
    ],
)
def test_what_is_wrong_is_named(body, fields):
    assert fields_of(body) == fields


# Of an alert


def test_a_message_of_an_alert_has_all_but_what_is_said():
    body = {**TO_ALEX, "id": "order-7:0:r1", "topic": "Orders"}

    assert SendRequest.of_alert(body).to_json() == body


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"conversationId": "a:1"}, "recipient"),
        ({**TO_ALEX, **NEWS}, "recipient"),
        ({**TO_ALEX, **BOTH}, "recipient"),
    ],
)
def test_what_a_message_of_an_alert_does_not_have_is_named(body, field):
    with pytest.raises(InvalidRequestError) as caught:
        SendRequest.of_alert(body)

    assert [error.field for error in caught.value.field_errors] == [field]
