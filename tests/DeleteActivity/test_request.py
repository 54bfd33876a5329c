import pytest

from DeleteActivity.request import DeleteRequest
from shared.errors import InvalidRequestError
from shared.wire_models import parse

SENT = {"conversationId": "a:1", "activityId": "1:7"}


def test_a_message_names_an_activity():
    body = {
        **SENT,
        "id": "order-7-recall",
        "channelId": "msteams",
        "expiresAt": "2099-01-31T10:00:00Z",
    }

    request = parse(DeleteRequest, body)

    assert request.to_json() | {"expiresAt": body["expiresAt"]} == body


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["conversationId", "activityId"]),
        ({**SENT, "activityId": None}, ["activityId"]),
        ({**SENT, "activity": {"text": "News"}}, ["activity"]),
    ],
)
def test_what_is_wrong_is_named(body, fields):
    with pytest.raises(InvalidRequestError) as caught:
        parse(DeleteRequest, body)

    assert [error.field for error in caught.value.field_errors] == fields
