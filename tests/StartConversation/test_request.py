import pytest

from shared.errors import InvalidRequestError
from StartConversation.request import StartRequest

# As it stands in the documentation of the Bot Connector.
NEWS_ALERT = {
    "bot": {"id": "12345678", "name": "bot's name"},
    "isGroup": False,
    "members": [{"id": "1234abcd", "name": "recipient's name"}],
    "topicName": "News Alert",
}
ONE_MEMBER = {"members": [{"id": "29:alex"}]}


def fields_of(body):
    with pytest.raises(InvalidRequestError) as caught:
        StartRequest.from_json(body)
    return [error.field for error in caught.value.field_errors]


def test_the_documented_example_is_understood():
    request = StartRequest.from_json(NEWS_ALERT)

    assert request.to_json() == NEWS_ALERT
    assert request.members[0].id == "1234abcd"
    assert not request.is_group
    assert not request.start_new


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["members"]),
        ({"members": [{"id": "29:a"}, {"id": "29:b"}]}, ["members"]),
        ({"members": [{"name": "Alex"}]}, ["members[0].id"]),
        ({"isGroup": True, "members": [{"id": "29:a"}, {}]}, ["members[1].id"]),
        ({**ONE_MEMBER, "isGroup": "no"}, ["isGroup"]),
        ({**ONE_MEMBER, "startNew": 1}, ["startNew"]),
        ({**ONE_MEMBER, "bot": {}}, ["bot.id"]),
        ({**ONE_MEMBER, "channelId": "ms teams"}, ["channelId"]),
        ({**ONE_MEMBER, "activity": {"text": 5}}, ["activity.text"]),
        ({"isGroup": "no", "bot": {"id": 5}}, ["isGroup", "bot.id"]),
    ],
)
def test_what_is_wrong_is_named(body, fields):
    assert fields_of(body) == fields


def test_a_group_may_have_any_number_of_members():
    for members in ([], [{"id": "29:a"}], [{"id": "29:a"}, {"id": "29:b"}]):
        request = StartRequest.from_json({"isGroup": True, "members": members})

        assert len(request.members) == len(members)


def test_fields_that_nobody_knows_are_dropped_and_their_number_logged(caplog):
    caplog.set_level("INFO")

    request = StartRequest.from_json({**NEWS_ALERT, "serviceurl": "confidential", "more": 1})

    assert request.to_json() == NEWS_ALERT
    assert "2 unknown fields" in caplog.text
    assert "confidential" not in caplog.text


def test_what_members_and_the_bot_carry_is_kept():
    body = {"members": [{"id": "29:a", "aadObjectId": "0-1", "x": [1]}], "bot": {"id": "b", "y": 2}}

    assert StartRequest.from_json(body).to_json() == body


@pytest.mark.parametrize(
    ("channel_data", "teams_channel_id"),
    [
        ({"channel": {"id": "19:x@thread.tacv2"}}, "19:x@thread.tacv2"),
        ({"channel": {"id": ""}}, None),
        ({"channel": "19:x"}, None),
        (None, None),
    ],
)
def test_a_teams_channel_is_found_where_teams_has_it(channel_data, teams_channel_id):
    request = StartRequest.from_json({**ONE_MEMBER, "channelData": channel_data})

    assert request.teams_channel_id == teams_channel_id
