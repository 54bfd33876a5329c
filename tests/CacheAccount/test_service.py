from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from CacheAccount.request import account_patch
from CacheAccount.service import (
    account_body,
    cache_account,
    find_account,
)
from shared.accounts.account import OneToOne
from shared.accounts.conversations import Conversation
from shared.errors import (
    AccountChangedError,
    InvalidRequestError,
    RequestTooLargeError,
    UnknownAccountError,
    UnknownConversationError,
    UntrustedServiceUrlError,
)
from shared.wire_models import ChannelAccount
from tests.support.builders import services_of
from tests.support.lossy_storage import LossyStorage

SERVICE_URL = "https://smba.trafficmanager.net/teams/"
LEAST = {
    "channelId": "msteams",
    "userId": "29:alex",
    "bot": {"id": "28:bot", "name": "News"},
    "serviceUrl": SERVICE_URL,
}
PREFERENCES = {"interests": ["Züge"], "mutedTopics": ["Sport"], "muted": False}
WHOLE = {
    **LEAST,
    "name": "Alex",
    "tenantId": "t",
    "locale": "de-CH",
    "timeZone": "Europe/Zurich",
    "preferences": PREFERENCES,
    "conversation": {"id": "a:1", "conversationType": "personal"},
    "installed": True,
    "blocked": False,
    "observedAt": "2026-01-31T10:00:00+00:00",
}


@pytest.fixture
def tell(services):
    """Tells something of Alex."""

    def run(if_match=None, **body):
        patch = account_patch({"channelId": "msteams", "userId": "29:alex", **body})
        return cache_account(patch, services, if_match=if_match)

    return run


@pytest.fixture
def known(services):
    """What is cached of Alex, as it is answered."""

    def run():
        return account_body(find_account("msteams", "29:alex", services).account)

    return run


def without(body, *names):
    return {name: value for name, value in body.items() if name not in names}


def test_an_account_is_cached_as_it_was_told(tell, known):
    told = tell(**WHOLE)

    assert told.is_new
    assert known() == account_body(told.account) == WHOLE


def test_an_account_that_is_new_says_how_to_reach_it(tell):
    for missing in ("bot", "serviceUrl"):
        with pytest.raises(InvalidRequestError) as caught:
            tell(**without(LEAST, missing))
        assert [error.field for error in caught.value.field_errors] == [missing]


# Merged as RFC 7396


def test_what_is_absent_is_kept_and_what_is_null_is_removed(tell, known):
    url = "https://x.botframework.com"
    cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"name": "Alexandra"}, {"name": "Alexandra"}),
        ({"locale": None}, {"locale": None}),
        ({"preferences": {"muted": True}}, {"preferences": {**PREFERENCES, "muted": True}}),
        (
            {"preferences": {"interests": [], "muted": None}},
            {"preferences": {"interests": [], "mutedTopics": ["Sport"]}},
        ),
        ({"preferences": None}, {"preferences": None}),
        ({"bot": {"name": "Nachrichten"}}, {"bot": {"id": "28:bot", "name": "Nachrichten"}}),
        ({"bot": {"name": None}}, {"bot": {"id": "28:bot"}}),
        ({"conversation": {"conversationType": None}}, {"conversation": {"id": "a:1"}}),
        (
            {"conversation": {"id": "a:2"}},
            {"conversation": {"id": "a:2", "conversationType": "personal"}},
        ),
        ({"conversation": None}, {"conversation": None}),
        ({"installed": False, "blocked": None}, {"installed": False, "blocked": None}),
        ({"serviceUrl": url}, {"serviceUrl": url}),
        ({}, {}),
    ]
    for patch, changes in cases:
        tell(**{**WHOLE, "observedAt": None})

        told = tell(**patch)

        expected = {name: value for name, value in (WHOLE | changes).items() if value is not None}
        assert without(known(), "observedAt") == without(expected, "observedAt")
    assert not told.is_new


def test_a_wrong_patch_is_named_and_changes_nothing(tell, known):
    tell(**WHOLE)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"bot": None}, "bot"),
        ({"serviceUrl": None}, "serviceUrl"),
        ({"muted": True}, "muted"),
        ({"preferences": {"Muted": True}}, "preferences.Muted"),
        ({"preferences": {"interests": "Züge"}}, "preferences.interests"),
        ({"preferences": {"interests": [5]}}, "preferences.interests[0]"),
        ({"conversation": {"id": None}}, "conversation.id"),
        ({"locale": 5}, "locale"),
        ({"observedAt": "0001-01-01T00:00:00Z"}, "observedAt"),
        ({"blocked": "no"}, "blocked"),
    ]
    for patch, field in cases:
        with pytest.raises(InvalidRequestError) as caught:
            tell(**patch)
        assert [error.field for error in caught.value.field_errors] == [field]
    assert known() == WHOLE


def test_an_untrusted_service_url_is_not_cached(services, tell, known):
    for url in ("https://evil.example/", "no url", ""):
        with pytest.raises(UntrustedServiceUrlError):
            tell(**{**LEAST, "serviceUrl": url})
    with pytest.raises(UnknownAccountError):
        known()

    tell(**LEAST)
    with pytest.raises(UntrustedServiceUrlError):
        tell(serviceUrl="https://evil.example/", conversation={"id": "a:1"})

    assert known()["serviceUrl"] == SERVICE_URL
    with pytest.raises(UnknownConversationError):
        services.conversations.find("a:1")


def test_long_preferences_in_any_script_are_kept_and_leave_room_for_a_stop(services, tell, known):
    interests = ["김" * 159] * 100
    # What the person has muted; there is room for so much.
    muted_topics = [*["x" * 1000] * 16, "x" * 441]
    tell(**LEAST)
    services.accounts.change(
        "msteams",
        "29:alex",
        lambda stored: replace(stored.account, preferences={"mutedTopics": muted_topics}),
    )

    with pytest.raises(RequestTooLargeError, match="preferences"):
        tell(preferences={"interests": [*interests, "x"]})
    tell(preferences={"interests": interests})
    tell(preferences={"muted": False}, bot={"x": "x" * 10_000})

    expected = {"interests": interests, "mutedTopics": muted_topics, "muted": False}
    assert known()["preferences"] == expected


def test_what_grows_too_large_bit_by_bit_is_the_tellers_fault(tell, known):
    tell(**LEAST)
    for number in range(3):
        tell(bot={f"x{number}": "x" * 10_000})

    with pytest.raises(RequestTooLargeError, match="bot"):
        tell(bot={"x3": "x" * 10_000})

    assert list(known()["bot"]) == ["id", "name", "x0", "x1", "x2"]


# In order


def test_what_was_observed_earlier_is_ignored(tell, known):
    tell(**WHOLE)

    told = tell(name="Al", observedAt="2026-01-31T09:59:59Z", conversation={"id": "a:old"})
    assert account_body(told.account) == known() == WHOLE
    tell(name="Alexandra", observedAt="2026-01-31T11:00:00+01:00")
    assert known()["name"] == "Alexandra"
    tell(name="Al", observedAt="2026-01-31T10:00:01Z")
    assert (known()["name"], known()["observedAt"]) == ("Al", "2026-01-31T10:00:01+00:00")
    # What is told without a time was observed now.
    tell(name="Alex")
    tell(name="Al", observedAt=(datetime.now(UTC) - timedelta(minutes=1)).isoformat())
    assert known()["name"] == "Alex"


def test_a_clock_that_is_ahead_does_not_lock_an_account_and_none_is_now(tell, known):
    before = datetime.now(UTC)
    tell(**{**LEAST, "observedAt": "2999-01-01T00:00:00Z"})

    tell(name="Alex")

    assert known() == {**LEAST, "name": "Alex", "observedAt": known()["observedAt"]}
    assert before <= datetime.fromisoformat(known()["observedAt"]) <= datetime.now(UTC)


# If-Match


def test_a_change_is_made_only_of_the_version_that_is_meant(tell, known):
    for if_match in ("*", 'W/"1"'):
        with pytest.raises(AccountChangedError):
            tell(if_match=if_match, **LEAST)
    first = tell(**LEAST)

    second = tell(if_match=first.version, name="Alex")
    with pytest.raises(AccountChangedError):
        tell(if_match=first.version, name="Al")
    assert known()["name"] == "Alex"
    third = tell(if_match="*", name="Alexandra")

    assert len({first.version, second.version, third.version}) == 3


@pytest.fixture
def watched(app_settings):
    """Storage that can be told to lose answers, and services that go through it."""
    with LossyStorage(app_settings["AzureWebJobsStorage"]) as storage:
        yield storage, services_of(app_settings, AzureWebJobsStorage=storage.connection_string)


def test_a_change_of_the_version_that_is_meant_is_made_though_the_answer_was_lost(tell, watched):
    storage, services = watched
    first = tell(**LEAST)
    storage.lose_answer(lambda request: request.method == "PUT")

    changed = cache_account({**LEAST, "name": "Alex"}, services, if_match=first.version)

    assert changed.account.name == "Alex"


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize(
    "conversation", [None, {"id": "a:2"}, {"id": "19:group", "isGroup": True}], ids=str
)
def test_a_change_that_is_refused_leaves_conversations_alone(tell, watched, conversation, is_late):
    storage, services = watched
    first = tell(**WHOLE)

    names = iter(["Alexandra"])

    def overtake(request):
        # Between the read of the account and its write, or before both.
        if not is_late or request.method == "GET":
            for name in names:
                tell(name=name)
        return False

    storage.lose_answer(overtake)
    if not is_late:
        overtake(None)

    with pytest.raises(AccountChangedError):
        cache_account(
            {**LEAST, "name": "Al", "conversation": conversation}, services, if_match=first.version
        )

    assert services.conversations.find("a:1").user_id == "29:alex"
    for conversation_id in ("a:2", "19:group"):
        with pytest.raises(UnknownConversationError):
            services.conversations.find(conversation_id)


# Conversations


def test_a_conversation_that_is_told_can_be_sent_to(services, tell):
    tell(**WHOLE)

    assert services.conversations.find("a:1") == Conversation(
        "a:1",
        "msteams",
        SERVICE_URL,
        conversation_type="personal",
        bot=ChannelAccount(id="28:bot", name="News"),
        tenant_id="t",
        user_id="29:alex",
    )


def test_only_a_personal_conversation_moves_an_address(tell, known, services):
    tell(**WHOLE)
    emea = "https://smba.trafficmanager.net/emea/"
    told = {"serviceUrl": emea, "tenantId": "other", "bot": {"id": "bot"}, "locale": "sv"}
    elsewhere: list[dict[str, Any]] = [
        {"conversation": {"id": "19:g", "isGroup": True}},
        {"conversation": {"id": "19:c", "conversationType": "channel"}},
        {"conversation": {"id": "19:meeting_m@thread.v2"}},
        {"channelId": "msteams:Copilot", "conversation": {"id": "19:copilot@thread.v2"}},
        {"channelId": "msteams:Copilot"},
    ]
    for place in elsewhere:
        # What was left there is no uninstall of the person's.
        tell(**{**told, **place, "installed": False, "blocked": True})
        assert known() == {**WHOLE, "locale": "sv"}, place
    group, channel = (services.conversations.find(each) for each in ("19:g", "19:c"))
    for each in (group, channel):
        assert (each.service_url, each.tenant_id, each.user_id) == (emea, "other", None)
        assert each.is_group
    # They take over nothing of the person's own conversation.
    assert (group.conversation_type, channel.conversation_type) == (None, "channel")
    with pytest.raises(UnknownConversationError):
        services.conversations.find("19:copilot@thread.v2")

    tell(**told, conversation={"id": "a:2"})
    assert {name: known()[name] for name in told} == {**told, "bot": {"id": "bot", "name": "News"}}


def test_a_group_fills_in_what_is_not_known_yet(tell, known):
    tell(**LEAST, tenantId="T", conversation={"id": "19:g", "isGroup": True}, installed=True)

    assert known() == {**LEAST, "tenantId": "T"}
    # What the person says alone counts, although it may have been said earlier.
    tell(serviceUrl=SERVICE_URL, conversation={"id": "a:1"}, observedAt="2026-01-01T00:00:00Z")
    assert known()["conversation"] == {"id": "a:1"}


def test_a_conversation_that_is_removed_is_unknown(services, tell):
    tell(**WHOLE)

    tell(conversation=None)

    with pytest.raises(UnknownConversationError):
        services.conversations.find("a:1")


def test_what_a_conversation_was_started_with_is_not_forgotten(services, tell):
    tell(**without(WHOLE, "conversation"))
    started = OneToOne("a:1", activity_id="7")
    services.accounts.change_or_make(
        "msteams",
        "29:alex",
        lambda stored: stored.account.with_conversation(started),
    )

    tell(conversation={"id": "a:1", "conversationType": "personal"})

    account = find_account("msteams", "29:alex", services).account
    assert account.conversation == OneToOne("a:1", "personal", "7")
    assert services.conversations.find("a:1").activity_id == "7"
    tell(conversation={"id": "a:2"})
    assert services.conversations.find("a:2").activity_id is None


def test_who_tells_that_somebody_is_within_reach_knows_it(services, tell):
    tell(**LEAST)

    def out_of_reach(stored):
        return replace(stored.account, blocked=True, probe_at=datetime.now(UTC))

    for patch, is_probed in (({"name": "Alex"}, True), ({"blocked": False}, False)):
        services.accounts.change_or_make("msteams", "29:alex", out_of_reach)
        tell(**patch)
        account = find_account("msteams", "29:alex", services).account
        assert (account.probe_at is not None) is is_probed
