from datetime import UTC, datetime

import pytest

from CacheAccount.triggers import (
    cache_account_from_queue,
    cache_account_http,
    delete_account_http,
    get_account_http,
)
from shared.messages.envelope import Envelope
from shared.messages.queue_names import CACHE_ACCOUNT
from tests.support.builders import answer_of, http_request, invocation, on_its_way, queue_message

ALEX = {"channelId": "msteams", "userId": "29:alex/1"}
BODY = {"bot": {"id": "28:bot"}, "serviceUrl": "https://smba.trafficmanager.net/teams/"}
WHOLE = {**ALEX, **BODY, "name": "Alex", "observedAt": "2026-01-31T10:00:00+00:00"}


@pytest.fixture(autouse=True)
def app(deployed):
    return deployed


def request(method, body=b"", route=ALEX, **kwargs):
    return http_request(method, body, route=route, **kwargs)


def put(body, **kwargs):
    return cache_account_http(request("PUT", body, **kwargs))


def get(**kwargs):
    return get_account_http(request("GET", **kwargs))


def test_an_account_is_created_and_then_changed():
    created = put(WHOLE)
    changed = put({"name": "Alexandra", "observedAt": WHOLE["observedAt"]})
    read = get()

    assert answer_of(created) == (201, WHOLE)
    assert answer_of(changed) == answer_of(read) == (200, {**WHOLE, "name": "Alexandra"})
    assert created.headers["ETag"] != changed.headers["ETag"] == read.headers["ETag"]


def test_ids_with_any_character_come_in_the_path_or_the_query():
    put(WHOLE)

    encoded = get(route={"channelId": "msteams", "userId": "29:alex%2F1"})
    in_query = get(route={"channelId": "-", "userId": "-"}, params=ALEX)

    assert encoded.status_code == in_query.status_code == 200


def test_a_change_of_another_version_is_refused():
    version = put(WHOLE).headers["ETag"]
    put({"name": "Alexandra"}, headers={"If-Match": version})

    status, problem = answer_of(put({"name": "Al"}, headers={"if-match": version}))

    assert (status, problem["code"]) == (412, "AccountChanged")
    assert answer_of(get())[1]["name"] == "Alexandra"


def test_what_is_wrong_is_named_and_nothing_cached():
    untrusted = {**BODY, "serviceUrl": "https://evil.example/"}
    for body, code, field in [
        (b"not json", "InvalidRequest", "(body)"),
        ({**BODY, "userId": "29:megan"}, "InvalidRequest", "userId"),
        (untrusted, "UntrustedServiceUrl", "serviceUrl"),
    ]:
        status, problem = answer_of(put(body))
        assert (status, problem["code"]) == (400, code)
        assert problem["errors"][0]["field"] == field
    status, problem = answer_of(get())
    assert (status, problem["code"]) == (404, "UnknownAccount")


def test_a_person_is_forgotten_as_often_as_that_is_asked():
    put(WHOLE)

    deleted = [delete_account_http(request("DELETE")) for _ in range(2)]

    assert [(each.status_code, each.get_body()) for each in deleted] == [(204, b"")] * 2
    assert get().status_code == 404


def test_a_conversation_reference_from_the_queue_is_cached():
    reference = {
        "channelId": "msteams",
        "user": {"id": ALEX["userId"], "name": "Alex"},
        "conversation": {"id": "a:1", "conversationType": "personal"},
        **BODY,
    }

    cache_account_from_queue(queue_message(reference), invocation())

    account = answer_of(get())[1]
    assert account["name"] == "Alex"
    assert account["conversation"] == reference["conversation"]


def test_what_waited_on_the_queue_is_no_newer_than_when_it_was_accepted(deployed):
    put({**BODY, "preferences": {"muted": True}, "observedAt": "2026-01-31T10:00:00Z"})
    waited = Envelope(id="1", accepted_at=datetime(2026, 1, 31, 9, tzinfo=UTC))
    body = {**ALEX, **BODY, "preferences": {"muted": False}}

    message = on_its_way(deployed, CACHE_ACCOUNT, body, waited)
    cache_account_from_queue(queue_message(message), invocation())

    assert answer_of(get())[1]["preferences"] == {"muted": True}


def test_only_a_stop_that_comes_before_the_account_holds(deployed, queue_reader):
    poison = queue_reader(f"{CACHE_ACCOUNT}-poison")

    for muted in (True, False):
        message = queue_message({**ALEX, "preferences": {"muted": muted}})
        cache_account_from_queue(message, invocation())
    assert [failed["failure"]["code"] for failed in poison.take()] == ["InvalidRequest"]
    cache_account_from_queue(queue_message(WHOLE), invocation())

    assert answer_of(get())[1]["preferences"]["muted"] is True


@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize(
    "wrong",
    [
        {"serviceUrl": 5},
        {"serviceUrl": "https://evil.example/"},
        {"invented": 1},
        {"name": "x" * 40_000},
        {"preferences": {"muted": True, "interests": "Züge"}},
        {"user": {"id": []}},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_stop_holds_whatever_else_is_wrong_and_that_fails(
    deployed, queue_reader, wrong, is_known
):
    if is_known:
        put(BODY)
    message = {**ALEX, "preferences": {"muted": True}, **wrong}

    cache_account_from_queue(queue_message(message), invocation())

    poison = queue_reader(f"{CACHE_ACCOUNT}-poison").take()
    assert [failed["message"] for failed in poison] == [message]
    put({**BODY, "name": "Alex"})
    assert answer_of(get())[1]["preferences"] == {"muted": True}


def test_what_is_told_on_the_queue_in_the_same_second_is_the_newer_news(deployed):
    put({**BODY, "installed": True})
    this_second = datetime.now(UTC).replace(microsecond=0)
    envelope = Envelope(id="news-1", accepted_at=this_second)
    body = {**ALEX, "id": "news-1", "installed": False}

    message = on_its_way(deployed, CACHE_ACCOUNT, body, envelope)
    cache_account_from_queue(queue_message(message), invocation())

    assert answer_of(get())[1]["installed"] is False
