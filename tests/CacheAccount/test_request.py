import pytest

from CacheAccount.request import account_patch
from shared.errors import InvalidRequestError, RequestTooLargeError

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
        ({"locale": 5}, "locale"),
        ({"user": {"id": "28:alex"}}, "userId"),
        ({"user": {"id": "29:alex", "role": "bot"}}, "userId"),
        ({"user": {"id": "29:alex", "userRole": "anonymous"}}, "userId"),
    ]
    for change, field in cases:
        assert fields_of({**REFERENCE, **change}) == [field]


def test_an_account_is_small():
    body = {"channelId": "msteams", "userId": "29:alex", "name": "x" * 20_000}

    with pytest.raises(RequestTooLargeError, match="name"):
        account_patch(body)


def test_ids_of_the_path_and_of_the_body_are_the_same_in_any_case():
    body = {"channelId": "MSTeams", "userId": "0A0A0A0A-0000-4000-8000-000000000001"}

    patch = account_patch(body, channel_id="msteams:Copilot", user_id=body["userId"].lower())

    assert patch["userId"] == body["userId"]
    assert fields_of(body, channel_id="slack") == ["channelId"]
    assert fields_of(body, user_id="29:alex") == ["userId"]


def test_an_odd_locale_and_an_empty_name_take_nothing_away():
    for body in ({"channelId": "msteams", "userId": "29:alex"}, REFERENCE):
        for locale, known in (("fr_FR", {"locale": "fr-FR"}), ("every language", {})):
            patch = account_patch({**body, "locale": locale, "name": ""})
            assert {name: patch[name] for name in ("locale",) if name in patch} == known
            assert patch.get("name") != ""


def test_nobodys_account_is_refused():
    for channel_id, user_id in (("msteams", "28:bot"), ("directline", "Ab12"), ("slack", "B1:T")):
        told = {"channelId": channel_id, "userId": user_id, "conversation": {"id": user_id}}
        assert fields_of(told) == ["userId"]
