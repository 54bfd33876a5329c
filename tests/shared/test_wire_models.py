import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import import_module
from threading import Barrier

import pytest
from pydantic import ValidationError

from SendActivity.request import SendRequest
from SendAlert.request import AlertRequest
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
from StartConversation.request import StartRequest
from tests.local.host_process import PROJECT

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


def test_a_locale_of_an_activity_is_put_right_or_dropped():
    for told, known in ({"locale": "fr_FR"}, {"locale": "fr-FR"}), ({"locale": ""}, {}):
        assert parse(Activity, {"text": "salut", **told}).to_json() == {"text": "salut", **known}
    assert list(errors_of(Activity, {"text": "salut", "locale": 5})) == ["locale"]


def test_an_activity_goes_out_as_it_came_in():
    assert parse(Activity, CARD).to_json() == CARD
    news = parse(Activity, {"text": "News"})
    assert (news.type, news.to_json()) == ("message", {"text": "News"})
    for text in [
        b'{"type":"message","text":"half of a pair: \\ud83d"}',
        b'{"type":"message","channelData":{"half":"\\ude00"}}',
        b'{"type":"message","channelData":{"\\ud83d":"half a pair in a name"}}',
        b'{"type":"message","value":123456789012345678901234567890}',
    ]:
        activity = parse(Activity, json_text.parse_object(text))
        assert json_text.encode(activity.to_json()) == text


def test_a_message_says_something_and_other_activities_need_not():
    cases: list[dict[str, object]] = [
        {"text": ""},
        {"speak": "News"},
        {"attachments": [{}]},
        {"suggestedActions": {}},
        {"channelData": {"card": 1}},
        {"value": 0},
        {"type": "typing"},
        {"type": "event", "name": "news"},
    ]
    for content in cases:
        parse(Activity, content)
    for nothing in ({}, {"type": "message", "summary": "News", "text": None}):
        assert errors_of(Activity, nothing) == {
            "(body)": "a message needs text, attachments or channelData"
        }


WRONG: dict[str, tuple[object, ...]] = {
    "isGroup": ("no", 0),
    "attempts": ("1", 1.5, True),
    "name": (5, "x" * 1025),
    "userId": ("", "x" * 1025),
    "channelId": ("ms teams", "msteams\n", "x" * 65, ""),
    "serviceUrl": (5,),
    "locale": ("en_US", ""),
    "expiresAt": (
        *("tomorrow", "2026-01-31", "2026-01-31T10:00:00", 1_800_000_000, True),
        *("0001-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "2026-02-29T08:00:00Z"),
        # ISO 8601 has more than RFC 3339: weeks, days of the year, basic forms, commas, no seconds.
        *("2026-W05-6T08:00:00Z", "2026-031T08:00:00Z", "20260131T080000Z", "2026-01-31 08:00:00Z"),
        *("2026-01-31T08:00:00,5Z", "2026-01-31T08:00Z", "2026-01-31T24:00:00Z"),
        *("2026-01-31T08:00:00+01", "2026-01-31T08:00:00+0100", "2026-01-31T08:00:00+24:00"),
        *("2026-01-31T08:00:00+01:00:30", "2026-01-31T08:00:60Z", "2026-01-31T08:00:00.Z"),
        *("\uff12026-01-31T08:00:00Z", " 2026-01-31T08:00:00Z\n"),
    ),
    "bot": ("28:bot",),
    "members": ({},),
    "user_id": ("29:alex",),
    "unknown": (1,),
}


def test_a_wrong_field_is_named_with_its_path():
    for field, values in WRONG.items():
        for value in values:
            assert list(errors_of(Everything, {field: value})) == [field], value
    for value, path in [
        ({"bot": {}}, "bot.id"),
        ({"bot": {"id": None}}, "bot.id"),
        ({"members": [{"id": "29:a"}, {"id": ""}]}, "members[1].id"),
        ({"members": [{"id": "29:a"}, None]}, "members[1]"),
    ]:
        assert list(errors_of(Everything, value)) == [path]


def test_every_wrong_field_is_named_below_where_the_object_stands_and_not_repeated():
    wrong = {"isGroup": "no", "bot": {"id": ""}, "name": ["confidential"]}

    with pytest.raises(InvalidRequestError) as caught:
        parse(Everything, wrong, within="_flow")

    errors = {error.field: error.message for error in caught.value.field_errors}
    assert errors["_flow.isGroup"] == "should be a valid boolean"
    assert errors["_flow.bot.id"] == "String should have at least 1 character"
    assert "confidential" not in str(caught.value)
    assert caught.value.__suppress_context__


MANY = 5000
NAMES = {f"n{number}": 1 for number in range(MANY)}


@pytest.mark.parametrize(
    ("model", "wrong", "fields"),
    [
        (Activity, {"text": "", "attachments": [1] * MANY}, ["attachments[0]"]),
        (StartRequest, {"members": [{}] * MANY}, ["members[0].id"]),
        (
            AlertRequest,
            {"recipients": [{}] * MANY, "id": 1},
            ["id", "recipients[0].channelId", "recipients[0].userId"],
        ),
        (
            AlertRequest,
            {"answers": {"options": [{"titles": NAMES}]}},
            ["answers.options[0].id", "answers.options[0].titles"],
        ),
        (SendRequest, {"activities": {f"n{number}": {} for number in range(MANY)}}, ["activities"]),
    ],
)
def test_a_request_that_is_wrong_all_over_makes_few_errors(model, wrong, fields):
    with pytest.raises(InvalidRequestError) as caught:
        parse(model, wrong)

    assert [error.field for error in caught.value.field_errors] == fields
    # These take the memory, and not only those that are told.
    assert isinstance(caught.value.__context__, ValidationError)
    assert caught.value.__context__.error_count() == len(fields)


def test_of_very_many_wrong_names_their_number_is_told():
    for wrong in (NAMES, {"audience": NAMES}):
        assert errors_of(AlertRequest, {"activity": {"text": "News"}, **wrong}) == {
            "(body)": f"has {MANY} errors"
        }


def test_no_list_of_any_request_is_read_beyond_its_first_wrong_member():
    for folder in {each.parent.name for each in PROJECT.glob("*/request.py")}:
        import_module(f"{folder}.request")
    import_module("shared.messages.envelope")
    models = [each for each in below(WireModel) if not each.__module__.startswith("tests.")]
    for model in models:
        model.model_rebuild(force=True)
    lists = [
        (model.__name__, each.get("fail_fast") or each.get("max_length", MANY) < 10)
        for model in models
        for each in objects_in(model.__pydantic_core_schema__)
        if each.get("type") == "list"
    ]

    assert len(lists) > 10
    assert [name for name, is_read_no_further in lists if not is_read_no_further] == []


def below(parent):
    for child in parent.__subclasses__():
        yield child
        yield from below(child)


def objects_in(value):
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from objects_in(each)


def test_a_time_needs_an_offset_and_is_a_moment():
    for text in (
        "2026-01-31T10:00:00Z",
        "2026-01-31T11:00:00+01:00",
        "2026-01-31t10:00:00.000000000z",
        "2026-01-31T10:00:00-00:00",
        "2026-01-30T10:01:00-23:59",
    ):
        expires_at = parse(Everything, {"expiresAt": text}).expires_at
        assert expires_at == datetime(2026, 1, 31, 10, tzinfo=UTC)
    # The leap second of RFC 3339, section 5.8: so it stands in the examples there.
    for text in ("1990-12-31T23:59:60Z", "1990-12-31T15:59:60.5-08:00"):
        expires_at = parse(Everything, {"expiresAt": text}).expires_at
        assert expires_at == datetime(1991, 1, 1, tzinfo=UTC)


def test_ids_may_have_any_characters_and_channels_simple_ones():
    for told, channel_id in {
        "MSTeams": "msteams",
        "msteams:Copilot": "msteams",
        "my_own-Channel9": "my_own-channel9",
        "x" * 64: "x" * 64,
    }.items():
        assert parse(Everything, {"channelId": told}).channel_id == channel_id
    for user_id in ("a:1;messageid=2@thread.tacv2", "+49 30 123/456?#%", "김😀", "x" * 1024):
        assert parse(Everything, {"userId": user_id, "name": user_id}).user_id == user_id


def test_a_model_that_many_threads_use_at_once_for_the_first_time_reads_and_writes_as_later():
    threads = 16
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(30):
            # New to all threads, as after the start of a process.
            class Inner(WireModel):
                user_id: Identifier

            class Outer(WireModel):
                sent_by: Inner
                sent_to: list[Inner]
                activity: Activity | None = None

            together = Barrier(threads)

            def read_and_write(user: int, model=Outer, together=together):
                together.wait()
                body = {"sentBy": {"userId": f"29:{user}"}, "sentTo": [{"userId": "29:alex"}]}
                return parse(model, body).to_json() == body

            with ThreadPoolExecutor(threads) as pool:
                assert all(pool.map(read_and_write, range(threads)))
    finally:
        sys.setswitchinterval(usual)
