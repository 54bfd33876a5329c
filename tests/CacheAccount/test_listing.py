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


def test_without_anybody_there_is_nobody_to_list():
    assert ask() == (200, {"accounts": []})


def test_everybody_is_listed_as_they_are_answered_alone(tell):
    account = {"name": "Alex", "locale": "de-AT", "observedAt": "2026-01-31T10:00:00+00:00"}
    tell("29:alex", **account)

    status, page = ask()

    assert status == 200
    assert page == {"accounts": [{**BODY, "channelId": "msteams", "userId": "29:alex", **account}]}


def test_nobody_is_listed_who_is_another_bots(tell, app_settings, monkeypatch):
    tell("29:alex")
    monkeypatch.setenv("MicrosoftAppId", "another-bot")
    monkeypatch.setattr("shared.wiring._services", None)

    assert listed() == []


@pytest.fixture
def several_people(tell) -> None:
    tell("alex", locale="de-AT", tenantId="one", preferences={"interests": ["Züge", "Rain"]})
    tell("megan", locale="de", tenantId="one", preferences={"interests": ["ZÜGE"]})
    tell("lee", locale="den", tenantId="two", preferences={"interests": ["Zügellos"]})
    tell("joni", "telegram", locale="DE-ch", preferences={"mutedTopics": ["Züge"]})
    tell("adele", "telegram", locale="en-GB", preferences={"interests": []})
    tell("nobody-in-particular", "slack")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"channelId": "telegram"}, ["adele", "joni"]),
        ({"channelId": "Telegram"}, []),
        ({"tenantId": "one"}, ["alex", "megan"]),
        ({"tenantId": "' or userId ne '"}, []),
        ({"locale": "de"}, ["alex", "joni", "megan"]),
        ({"locale": "de-AT"}, ["alex"]),
        ({"locale": "DE-at"}, ["alex"]),
        ({"locale": "de-A"}, []),
        ({"locale": "fr"}, []),
        ({"interest": "züge"}, ["alex", "megan"]),
        ({"interest": "rain"}, ["alex"]),
        ({"interest": "Zü"}, []),
        ({"interest": "züge", "locale": "de-AT"}, ["alex"]),
        ({"interest": "züge", "channelId": "telegram"}, []),
        ({"tenantId": "one", "channelId": "msteams", "interest": "Rain"}, ["alex"]),
    ],
    ids=str,
)
def test_those_are_listed_whom_all_that_is_asked_fits(several_people, query, expected):
    assert listed(**query) == expected


def test_everybody_is_on_exactly_one_page_however_small_the_pages_are(tell):
    everybody = sorted(f"user-{number}" for number in range(23))
    for user_id in everybody:
        tell(user_id)

    assert listed(pageSize="1") == everybody
    assert listed(pageSize="5") == everybody
    assert listed(pageSize="23") == everybody


def test_no_page_holds_more_than_was_asked_for(tell):
    for number in range(7):
        tell(f"user-{number}")

    _, first = ask(pageSize="3")
    _, second = ask(pageSize="3", continuationToken=first["continuationToken"])

    assert len(first["accounts"]) == len(second["accounts"]) == 3
    assert set(user_ids(first)).isdisjoint(user_ids(second))


def test_a_page_without_anybody_who_fits_is_not_the_last(tell):
    for number in range(9):
        tell(f"user-{number}", preferences={"interests": ["Rain"]} if number == 4 else {})

    assert listed(interest="rain", pageSize="1") == ["user-4"]


def test_a_person_with_two_ids_is_listed_once(tell):
    tell("0-1", preferences={"muted": True})
    tell("29:alex", aadObjectId="0-1")
    tell("29:megan", aadObjectId="0-2")

    assert listed() == ["29:alex", "29:megan"]
    assert listed(pageSize="1") == ["29:alex", "29:megan"]
    assert listed(channelId="msteams") == ["29:alex", "29:megan"]


@pytest.mark.parametrize("size", ["0", "-1", "1001", "many", "1.5", ""])
def test_a_page_has_from_1_to_1000_people(size):
    assert fields_of(pageSize=size) == ["pageSize"]


def _encoded(token: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(token).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "not a token",
        "größe",
        _encoded([]),
        _encoded("token"),
        _encoded(7),
        _encoded({}),
        _encoded({"PartitionKey": 7, "RowKey": []}),
        _encoded({"NextPartitionKey": "a"}),
        _encoded({"PartitionKey": "a", "RowKey": "b\r\nHost: evil.example"}),
    ],
)
def test_a_token_that_this_list_did_not_give_is_named(tell, token):
    tell("29:alex")

    assert fields_of(continuationToken=token) == ["continuationToken"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"interests": "Rain"}, "interests"),
        ({"PageSize": "3"}, "PageSize"),
        ({"userId": "29:alex"}, "userId"),
        ({"channelId": "ms teams"}, "channelId"),
        ({"locale": "de_AT"}, "locale"),
        ({"tenantId": ""}, "tenantId"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_named(query, field):
    assert fields_of(**query) == [field]


def test_the_key_of_the_caller_is_no_question(tell):
    tell("29:alex")

    assert listed(code="function-key") == ["29:alex"]
