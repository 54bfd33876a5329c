import pytest

from shared.errors import InvalidRequestError
from shared.wire_models import parse
from UpdateActivity.request import UpdateRequest

SENT = {"conversationId": "a:1", "activityId": "1:7"}
EDIT = {**SENT, "activity": {"text": "News, corrected"}}


def test_a_message_names_an_activity_and_has_another():
    body = {
        **EDIT,
        "id": "order-7-edit",
        "channelId": "msteams",
        "expiresAt": "2099-01-31T10:00:00Z",
    }

    request = parse(UpdateRequest, body)

    assert request.to_json() | {"expiresAt": body["expiresAt"]} == body


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (SENT, ["activity"]),
        ({**SENT, "activity": {"text": 5}}, ["activity.text"]),
        ({"activity": {"text": "News"}}, ["conversationId", "activityId"]),
        ({**EDIT, "conversationId": ""}, ["conversationId"]),
        ({**EDIT, "activityId": "x" * 1025}, ["activityId"]),
        ({**EDIT, "channelId": "no channel"}, ["channelId"]),
        ({**EDIT, "expiresAt": "tomorrow"}, ["expiresAt"]),
        ({**EDIT, "id": ""}, ["id"]),
        ({**EDIT, "recipient": {"channelId": "msteams", "userId": "29:alex"}}, ["recipient"]),
    ],
)
def test_what_is_wrong_is_named(body, fields):
    with pytest.raises(InvalidRequestError) as caught:
        parse(UpdateRequest, body)

    assert [error.field for error in caught.value.field_errors] == fields
