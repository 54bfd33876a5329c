"""Listing accounts, by what they have in common and in pages."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from CacheAccount.request import account_patch
from CacheAccount.service import cache_account
from CacheAccount.triggers import list_accounts_http
from shared.wiring import Services
from tests.support.builders import answer_of, http_request

BODY = {"bot": {"id": "28:bot"}, "serviceUrl": "https://smba.trafficmanager.net/teams/"}
TENANT_ID = "aaaaaaaa-0000-4000-8000-000000000001"


@pytest.fixture(autouse=True)
def app(deployed: Services) -> Services:
    return deployed


@pytest.fixture
def tell(app: Services) -> Callable[..., None]:
    """Has somebody cached."""

    def run(user_id: str, channel_id: str = "msteams", **account: Any) -> None:
        patch = account_patch({**BODY, "channelId": channel_id, "userId": user_id, **account})
        cache_account(patch, app)

    return run


def ask(**params: str) -> tuple[int, Any]:
    return answer_of(list_accounts_http(http_request("GET", params=params)))


def user_ids(page: dict[str, Any]) -> list[str]:
    return [account["userId"] for account in page["accounts"]]


def listed(**params: str) -> list[str]:
    """The ids of all who fit, in order, however many pages they stand on."""
    found: list[str] = []
    asked: dict[str, str] | None = params
    while asked is not None:
        status, page = ask(**asked)
        assert status == 200, page
        found += user_ids(page)
        token = page.get("continuationToken")
        asked = {**params, "continuationToken": token} if token else None
    return sorted(found)


def fields_of(**params: str) -> list[str]:
    """The parameters that are wrong."""
    status, problem = ask(**params)
    assert (status, problem["code"]) == (400, "InvalidRequest")
    return [error["field"] for error in problem["errors"]]


def test_everybody_is_listed_as_they_are_answered_alone(tell):
    assert ask() == (200, {"accounts": []})
    account = {"name": "Alex", "locale": "de-AT", "observedAt": "2026-01-31T10:00:00+00:00"}
    tell("29:alex", **account)

    assert ask(code="function-key") == (
        200,
        {"accounts": [{**BODY, "channelId": "msteams", "userId": "29:alex", **account}]},
    )


def test_nobody_is_listed_who_is_another_bots(tell, app_settings, monkeypatch):
    tell("29:alex")
    monkeypatch.setenv("MicrosoftAppId", "another-bot")
    monkeypatch.setattr("shared.wiring._services", None)

    assert listed() == []


def test_accounts_are_listed_that_match_everything_that_is_asked(tell):
    tell("alex", locale="de-AT", tenantId="one", preferences={"interests": ["Züge", "Rain"]})
    tell("megan", locale="de", tenantId="one", preferences={"interests": ["ZÜGE"]})
    tell("lee", locale="den", tenantId=TENANT_ID, preferences={"interests": ["Zügellos"]})
    tell("joni", "telegram", locale="DE-ch", preferences={"mutedTopics": ["Züge"]})
    tell("adele", "telegram", locale="en-GB", preferences={"interests": []})
    tell("nobody-in-particular", "slack")

    for query, expected in [
        ({"channelId": "telegram"}, ["adele", "joni"]),
        ({"channelId": "Telegram"}, ["adele", "joni"]),
        ({"tenantId": "one"}, ["alex", "megan"]),
        ({"tenantId": TENANT_ID.upper()}, ["lee"]),
        ({"tenantId": "' or userId ne '"}, []),
        ({"locale": "de"}, ["alex", "joni", "megan"]),
        ({"locale": "DE-at"}, ["alex"]),
        ({"interest": "zu\u0308ge."}, ["alex", "megan"]),
        ({"interest": "Zü"}, []),
        ({"interest": "züge", "locale": "de-AT"}, ["alex"]),
        ({"tenantId": "one", "channelId": "msteams", "interest": "rain"}, ["alex"]),
    ]:
        assert listed(**query) == expected, query


def test_everybody_is_on_exactly_one_page_however_small_the_pages_are(tell):
    everybody = sorted(f"user-{number}" for number in range(9))
    for user_id in everybody:
        tell(user_id, preferences={"interests": ["Rain"]} if user_id == "user-4" else {})

    for size in ("1", "5", "9"):
        assert listed(pageSize=size) == everybody
    _, first = ask(pageSize="3")
    _, second = ask(pageSize="3", continuationToken=first["continuationToken"])
    assert len(first["accounts"]) == len(second["accounts"]) == 3
    # A page without anybody who matches is not the last.
    assert listed(interest="rain", pageSize="1") == ["user-4"]


def test_a_person_with_two_ids_is_listed_once(tell):
    tell("0-1", preferences={"muted": True})
    tell("29:alex", aadObjectId="0-1")
    tell("29:megan", aadObjectId="0-2")

    assert listed() == listed(pageSize="1") == ["29:alex", "29:megan"]


def _encoded(token: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(token).encode()).decode().rstrip("=")


def test_a_token_that_this_list_did_not_give_is_named(tell):
    tell("29:alex")
    for token in [
        "not a token",
        "größe",
        _encoded([]),
        _encoded(7),
        _encoded({}),
        _encoded({"PartitionKey": 7, "RowKey": []}),
        _encoded({"NextPartitionKey": "a"}),
        _encoded({"PartitionKey": "a", "RowKey": "b\r\nHost: evil.example"}),
        _encoded({"PartitionKey": "\0", "RowKey": "\ud83d"}),
        _encoded({"PartitionKey": "", "RowKey": "a"}),
        _encoded({"PartitionKey": None, "RowKey": None}),
        _encoded({"PartitionKey": "a" * 100_000, "RowKey": "a"}),
        base64.urlsafe_b64encode(b"[" * 20_000).decode(),
        base64.urlsafe_b64encode(b'{"PartitionKey":1e999,"RowKey":NaN}').decode(),
        "\ud83d",
    ]:
        assert fields_of(continuationToken=token) == ["continuationToken"], token[:50]
    # Storage gives no row key where the next page begins with a partition.
    assert ask(continuationToken=_encoded({"PartitionKey": "0", "RowKey": None}))[0] == 200


def test_what_cannot_be_asked_is_named():
    for name, value in [
        ("interests", "Rain"),
        ("PageSize", "3"),
        ("userId", "29:alex"),
        ("channelId", "ms teams"),
        ("locale", "de_AT"),
        ("tenantId", ""),
        *(("pageSize", size) for size in ("0", "1001", "many", "1.5", "")),
    ]:
        assert fields_of(**{name: value}) == [name], value
    assert ask(pageSize="1000")[0] == 200
