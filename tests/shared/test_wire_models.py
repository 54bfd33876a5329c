from datetime import UTC, datetime

import pytest

from shared import json_text
from shared.errors import InvalidRequestError
from shared.wire_models import (
    Activity,
    ChannelAccount,
    ChannelId,
    Identifier,
    Locale,
    Name,
    ServiceUrl,
    Timestamp,
    WireModel,
    parse,
)

# An adaptive card with what channels and users put into it.
CARD = {
    "type": "message",
    "text": "",
    "textFormat": None,
    "attachments": [
        {
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {"$schema": "http://…", "body": [{"type": "TextBlock", "text": "Grüße 😀"}]},
        }
    ],
    "entities": [{"type": "mention", "mentioned": {"id": "29:alex"}, "snake_case": 1}],
    "channelData": {"notification": {"alert": True}, "$ref": [1.5, -0.0, 1e22, 10**40, None]},
    "suggestedActions": {"to": [], "actions": [{"type": "imBack", "value": {"a": 1}}]},
    "from": {"id": "28:bot", "role": "bot", "properties": {"x": []}},
    "conversation": {"id": "a:1", "tenantId": "t"},
    "value": [1, "2", {"3": None}],
    "somethingNew": {"model_config": 1, "copy": 2, "": 3},
    "to_json": "a name that we use ourselves",
}


class Everything(WireModel):
    """A model with one field of each kind."""

    user_id: Identifier | None = None
    channel_id: ChannelId | None = None
    service_url: ServiceUrl | None = None
    name: Name | None = None
    locale: Locale | None = None
    expires_at: Timestamp | None = None
    is_group: bool | None = None
    attempts: int | None = None
    bot: ChannelAccount | None = None
    members: list[ChannelAccount] | None = None


def errors_of(model, value, **kwargs):
    with pytest.raises(InvalidRequestError) as caught:
        parse(model, value, **kwargs)
    return {error.field: error.message for error in caught.value.field_errors}


def test_an_activity_goes_out_as_it_came_in():
    assert parse(Activity, CARD).to_json() == CARD


@pytest.mark.parametrize(
    "text",
    [
        b'{"type":"message","text":"half of a pair: \\ud83d"}',
        b'{"type":"message","channelData":{"half":"\\ude00"}}',
        b'{"type":"message","channelData":{"\\ud83d":"half a pair in a name"}}',
        b'{"type":"message","value":123456789012345678901234567890}',
    ],
)
def test_an_activity_is_written_as_it_was_read(text):
    activity = parse(Activity, json_text.parse_object(text))

    assert json_text.encode(activity.to_json()) == text


def test_what_was_not_given_is_not_made_up():
    assert parse(Activity, {"text": "News"}).to_json() == {"text": "News"}
    assert parse(Activity, {"text": "News"}).type == "message"


@pytest.mark.parametrize(
    "content",
    [
        {"text": "News"},
        {"text": ""},
        {"speak": "News"},
        {"attachments": [{}]},
        {"suggestedActions": {}},
        {"channelData": {"card": 1}},
        {"value": 0},
        {"type": "typing"},
        {"type": "event", "name": "news"},
    ],
)
def test_a_message_says_something_and_other_activities_need_not(content):
    parse(Activity, content)


def test_a_message_that_says_nothing_is_refused():
    expected = {"(body)": "a message needs text, attachments or channelData"}

    assert errors_of(Activity, {}) == expected
    assert errors_of(Activity, {"type": "message", "summary": "News", "text": None}) == expected


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"isGroup": "no"}, "isGroup"),
        ({"isGroup": 0}, "isGroup"),
        ({"attempts": "1"}, "attempts"),
        ({"attempts": 1.5}, "attempts"),
        ({"attempts": True}, "attempts"),
        ({"name": 5}, "name"),
        ({"name": "x" * 1025}, "name"),
        ({"userId": ""}, "userId"),
        ({"userId": 5}, "userId"),
        ({"userId": "x" * 1025}, "userId"),
        ({"channelId": "ms teams"}, "channelId"),
        ({"channelId": "../x"}, "channelId"),
        ({"channelId": "msteams\n"}, "channelId"),
        ({"channelId": "x" * 65}, "channelId"),
        ({"channelId": ""}, "channelId"),
        ({"serviceUrl": 5}, "serviceUrl"),
        ({"locale": "en_US"}, "locale"),
        ({"locale": ""}, "locale"),
        ({"expiresAt": "tomorrow"}, "expiresAt"),
        ({"expiresAt": "2026-01-31"}, "expiresAt"),
        ({"expiresAt": "2026-01-31T10:00:00"}, "expiresAt"),
        ({"expiresAt": 1_800_000_000}, "expiresAt"),
        ({"expiresAt": 1.5}, "expiresAt"),
        ({"expiresAt": True}, "expiresAt"),
        ({"expiresAt": "0001-01-01T00:00:00Z"}, "expiresAt"),
        ({"expiresAt": ""}, "expiresAt"),
        ({"bot": "28:bot"}, "bot"),
        ({"bot": {}}, "bot.id"),
        ({"bot": {"id": None}}, "bot.id"),
        ({"members": {}}, "members"),
        ({"members": [{"id": "29:a"}, {"id": ""}]}, "members[1].id"),
        ({"members": [{"id": "29:a"}, None]}, "members[1]"),
        ({"user_id": "29:alex"}, "user_id"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_wrong_field_is_named_with_its_path(value, field):
    assert list(errors_of(Everything, value)) == [field]


def test_every_wrong_field_is_named_below_where_the_object_stands():
    errors = errors_of(Everything, {"isGroup": "no", "bot": {"id": ""}}, within="_flow")

    assert errors["_flow.isGroup"] == "should be a valid boolean"
    assert errors["_flow.bot.id"] == "String should have at least 1 character"


def test_errors_do_not_repeat_what_was_sent():
    with pytest.raises(InvalidRequestError) as caught:
        parse(Everything, {"name": ["confidential"], "channelId": "very confidential"})

    assert "confidential" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "text", ["2026-01-31T10:00:00Z", "2026-01-31T11:00:00+01:00", "2026-01-31 10:00:00.000+00:00"]
)
def test_a_time_needs_an_offset_and_is_a_moment(text):
    expires_at = parse(Everything, {"expiresAt": text}).expires_at

    assert expires_at == datetime(2026, 1, 31, 10, tzinfo=UTC)


@pytest.mark.parametrize("channel_id", ["msteams", "my_own-Channel9", "x" * 64])
def test_a_channel_may_be_any_that_is_named_simply(channel_id):
    assert parse(Everything, {"channelId": channel_id}).channel_id == channel_id


@pytest.mark.parametrize(
    "user_id",
    ["29:1a-2b_C", "a:1;messageid=2@thread.tacv2", "+49 30 123/456?#%", "김😀", "x" * 1024],
)
def test_an_id_may_have_any_characters(user_id):
    assert parse(Everything, {"userId": user_id}).user_id == user_id
