import pytest

from CacheAccount.request import account_patch
from shared.errors import InvalidRequestError, RequestTooLargeError
from shared.wire_models import ConversationAccount

# As bot SDKs write it.
REFERENCE = {
    "activityId": "7",
    "user": {"id": "29:alex", "name": "Alex", "aadObjectId": "0-1", "role": "user"},
    "bot": {"id": "28:bot", "name": "News"},
    "conversation": {"id": "a:1", "conversationType": "personal", "tenantId": "t", "name": None},
    "channelId": "msteams",
    "serviceUrl": "https://smba.trafficmanager.net/teams/",
    "locale": "de-CH",
}


def fields_of(body, **ids):
    with pytest.raises(InvalidRequestError) as caught:
        account_patch(body, **ids)
    return [error.field for error in caught.value.field_errors]


def test_a_part_of_an_account_is_a_patch_as_it_stands():
    body = {"channelId": "msteams", "userId": "29:alex", "locale": None, "preferences": {"x": 1}}

    assert account_patch(body) == body


def test_the_ids_of_the_path_complete_the_body():
    patch = account_patch({"name": "Alex"}, channel_id="msteams", user_id="29:alex")

    assert patch == {"channelId": "msteams", "userId": "29:alex", "name": "Alex"}


def test_the_ids_of_the_path_must_be_those_of_the_body():
    for body, field in [
        ({"channelId": "webchat"}, "channelId"),
        ({"userId": "29:ALEX"}, "userId"),
        ({"userId": None}, "userId"),
        ({**REFERENCE, "user": {"id": "29:megan"}}, "userId"),
    ]:
        assert fields_of(body, channel_id="msteams", user_id="29:alex") == [field]


def test_an_account_needs_both_ids():
    for body, fields in [
        ({}, ["channelId", "userId"]),
        ({"channelId": "msteams"}, ["userId"]),
        ({"channelId": "ms teams", "userId": ""}, ["channelId", "userId"]),
        ({"channelId": "msteams", "userId": 5}, ["userId"]),
    ]:
        assert fields_of(body) == fields


def test_a_conversation_reference_is_understood():
    assert account_patch(REFERENCE) == {
        "channelId": "msteams",
        "userId": "29:alex",
        "name": "Alex",
        "aadObjectId": "0-1",
        "tenantId": "t",
        "bot": {"id": "28:bot", "name": "News"},
        "serviceUrl": "https://smba.trafficmanager.net/teams/",
        "locale": "de-CH",
        "conversation": {"id": "a:1", "conversationType": "personal", "isGroup": None},
    }


def test_the_bot_of_a_conversation_reference_may_be_called_an_agent():
    reference = {name: value for name, value in REFERENCE.items() if name != "bot"}

    assert account_patch({**reference, "agent": REFERENCE["bot"]}) == account_patch(REFERENCE)


def test_what_a_conversation_reference_leaves_out_is_not_forgotten():
    reference = {**REFERENCE, "locale": None, "user": {"id": "29:alex"}}

    patch = account_patch(reference)

    assert not {"name", "aadObjectId", "locale"} & set(patch)


def test_a_conversation_reference_that_is_wrong_is_named():
    cases: list[tuple[dict[str, object], str]] = [
        ({"user": {}}, "user.id"),
        ({"user": "29:alex"}, "user"),
        ({"bot": None}, "bot"),
        ({"conversation": {"id": ""}}, "conversation.id"),
        ({"serviceUrl": None}, "serviceUrl"),
        ({"locale": "de_CH"}, "locale"),
    ]
    for change, field in cases:
        assert fields_of({**REFERENCE, **change}) == [field]


def test_an_account_is_small():
    body = {"channelId": "msteams", "userId": "29:alex", "name": "x" * 20_000}

    with pytest.raises(RequestTooLargeError, match="name"):
        account_patch(body)


def test_a_conversation_is_with_one_person_unless_it_says_otherwise():
    cases: list[tuple[dict[str, object], bool]] = [
        ({}, True),
        ({"conversationType": "personal"}, True),
        ({"isGroup": False}, True),
        ({"isGroup": True}, False),
        ({"conversationType": "channel"}, False),
        ({"conversationType": "groupChat", "isGroup": False}, False),
    ]
    for conversation, is_one_to_one in cases:
        told = ConversationAccount.model_validate({"id": "a:1", **conversation})
        assert told.is_one_to_one is is_one_to_one
