"""One person, one account: two ids, however many write at once, and in whatever order."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest

from shared.accounts.account import Account, OneToOne
from shared.accounts.store import AccountStore, StoredAccount
from shared.errors import StorageUnavailableError, UnknownConversationError
from shared.settings import Settings
from shared.storage.personal_keys import PersonalKey, PersonalKeys
from shared.storage.tables import Table, key_of
from shared.wire_models import ChannelAccount
from shared.wiring import Services
from tests.support.builders import unique
from tests.support.lossy_storage import LossyStorage
from tests.support.stub_server import ReceivedRequest

CHANNEL_ID = "msteams"
THEN = datetime(2026, 1, 31, 10, tzinfo=UTC)
LATER = THEN + timedelta(minutes=1)
Change = Callable[[StoredAccount | None], Account]


@pytest.fixture
def accounts(services: Services) -> AccountStore:
    return services.accounts


@pytest.fixture
def user_id() -> str:
    return unique("29:user")


@pytest.fixture
def object_id() -> str:
    return unique("object")


def held_copy(user_id: str, **changes: Any) -> Change:
    """A change of some fields of an account, which is made for it under this id."""

    def change(stored: StoredAccount | None) -> Account:
        account = stored.account if stored else Account(CHANNEL_ID, user_id)
        return replace(account, **changes)

    return change


def tell(accounts: AccountStore, user_id: str, **changes: Any) -> StoredAccount:
    return accounts.change_or_make(CHANNEL_ID, user_id, held_copy(user_id, **changes))


def found(accounts: AccountStore, user_id: str) -> Account:
    stored = accounts.get(CHANNEL_ID, user_id)
    assert stored is not None
    return stored.account


def test_both_ids_find_and_change_one_account(accounts, user_id, object_id, storage_calls):
    written = tell(accounts, user_id, aad_object_id=object_id)

    by_user_id = accounts.get(CHANNEL_ID, user_id)
    assert by_user_id == accounts.get(CHANNEL_ID, object_id) == replace(written, is_new=False)
    changed = tell(accounts, object_id, locale="de")
    assert not changed.is_new
    assert found(accounts, user_id).locale == "de"
    # What does not change is not written, by either id.
    storage_calls()
    tell(accounts, user_id, locale="de")
    tell(accounts, object_id, locale="de")
    assert {call.split()[0] for call in storage_calls()} == {"GET"}


def test_an_account_made_under_the_object_id_is_joined_with_all_that_it_knows(
    accounts, user_id, object_id
):
    tell(
        accounts,
        object_id,
        name="Alex",
        locale="de",
        blocked=True,
        installed=False,
        conversation=OneToOne("a:1"),
        former_conversation_ids=("a:0",),
        preferences={"muted": True},
        preferences_at=THEN,
    )

    tell(accounts, user_id, aad_object_id=object_id, locale="sv")

    joined = found(accounts, object_id)
    assert joined == found(accounts, user_id)
    assert joined.user_id == user_id
    assert (joined.name, joined.locale) == ("Alex", "sv")
    assert (joined.blocked, joined.installed) == (True, False)
    assert joined.conversation == OneToOne("a:1")
    assert joined.conversation_ids == {"a:0", "a:1"}
    assert joined.preferences == {"muted": True}


def test_an_account_stays_where_it_was_made_when_its_other_id_becomes_known(
    accounts, services, user_id, object_id
):
    first = tell(accounts, object_id, locale="de").account
    assert tell(accounts, user_id, aad_object_id=object_id, name="Alex").is_new
    assert not tell(accounts, user_id, installed=True).is_new

    place = key_of(services.settings.app_id, CHANNEL_ID, object_id)
    [row] = [each for each in accounts.scan(500)[0] if each.account and each.account.locale == "de"]
    assert (row.key, row.account) == (place, found(accounts, user_id))
    assert row.account == found(accounts, object_id)
    assert (row.account.user_id, row.account.aad_object_id) == (user_id, object_id)
    assert row.account.key == first.key


def test_of_two_accounts_that_become_one_the_last_word_about_alerts_holds():
    cases: list[tuple[tuple[dict[str, Any], Any], tuple[dict[str, Any], Any], bool]] = [
        (({"muted": True}, THEN), ({"interests": ["Rain"]}, LATER), True),
        (({"muted": True}, LATER), ({"interests": ["Rain"]}, THEN), True),
        (({"muted": True}, THEN), ({"muted": False}, LATER), False),
        (({"muted": False}, LATER), ({"muted": True}, THEN), False),
        (({"muted": False}, THEN), ({"muted": True}, LATER), True),
        (({"interests": ["Rain"]}, LATER), ({"muted": True}, THEN), True),
        (({"muted": True}, None), ({}, None), True),
        (({"muted": True}, None), ({"interests": ["Rain"]}, THEN), True),
    ]
    for under_object_id, under_user_id, expected in cases:
        one, other = (
            Account(
                CHANNEL_ID,
                "29:alex",
                preferences=preferences,
                preferences_at=at,
                muted_at=at if "muted" in preferences else None,
            )
            for preferences, at in (under_user_id, under_object_id)
        )
        for joined in (one.joined_with(other), other.joined_with(one)):
            assert joined.preferences == {
                **other.preferences,
                **one.preferences,
                "muted": expected,
            }
            assert joined.preferences_at == max(
                (each.preferences_at for each in (one, other) if each.preferences_at), default=None
            )


def test_of_two_accounts_that_become_one_each_gives_what_the_other_lacks():
    known: dict[str, Any] = {
        "name": "Alex",
        "tenant_id": "t",
        "bot": ChannelAccount(id="28:bot"),
        "service_url": "https://x/",
        "locale": "de",
        "time_zone": "Europe/Vienna",
        "installed": False,
        "blocked": False,
        "conversation": OneToOne("a:1"),
        "former_conversation_ids": ("a:0", "a:1"),
        "key": PersonalKey("key", b"k" * 32),
        "former_key_ids": ("former",),
    }
    whole, little = Account(CHANNEL_ID, "29:alex", **known), Account(CHANNEL_ID, "29:alex")
    other = replace(
        whole, name="Al", installed=True, conversation=OneToOne("a:2"), key=PersonalKey("2", b"")
    )

    assert little.joined_with(whole) == whole
    assert whole.joined_with(little) == whole
    joined = whole.joined_with(other)
    assert (joined.name, joined.installed, joined.conversation) == ("Alex", False, OneToOne("a:1"))
    assert joined.conversation_ids == {"a:0", "a:1", "a:2"}
    assert joined.key == whole.key
    assert set(joined.former_key_ids) == {"former", "2"}


def test_no_stop_is_lost_when_both_ids_are_written_while_they_become_one(accounts, object_id):
    together = Barrier(2)

    def stop_by_object_id(number: int) -> None:
        together.wait(30)
        tell(accounts, f"{object_id}-{number}", preferences={"muted": True}, preferences_at=LATER)

    def write_by_user_id(number: int) -> None:
        together.wait(30)
        tell(accounts, f"29:{object_id}-{number}", aad_object_id=f"{object_id}-{number}")
        tell(accounts, f"29:{object_id}-{number}", locale="de")

    with ThreadPoolExecutor(2) as pool:
        for number in range(20):
            for writing in [
                pool.submit(each, number) for each in (stop_by_object_id, write_by_user_id)
            ]:
                writing.result(60)

    for number in range(20):
        for user_id in (f"29:{object_id}-{number}", f"{object_id}-{number}"):
            account = found(accounts, user_id)
            assert account.user_id == f"29:{object_id}-{number}"
            assert account.preferences == {"muted": True}
            assert account.locale == "de"


def test_a_stop_that_is_told_in_the_very_moment_of_joining_is_not_lost(
    accounts, app_settings, user_id, object_id
):
    tell(accounts, object_id, locale="de")
    tell(accounts, user_id, name="Alex")
    told: list[StoredAccount] = []

    def stop_once_the_account_is_written(request: ReceivedRequest) -> bool:
        if request.method == "PUT" and b"channelId" in request.body and not told:
            told.append(tell(accounts, object_id, preferences={"muted": True}))
        return False

    with LossyStorage(app_settings["AzureWebJobsStorage"]) as watched:
        watched_settings = {**app_settings, "AzureWebJobsStorage": watched.connection_string}
        watched.lose_answer(stop_once_the_account_is_written)
        through = Services.of(Settings.from_environment(watched_settings)).accounts
        tell(through, user_id, aad_object_id=object_id)

    assert told[0].account.user_id == object_id
    assert found(accounts, object_id) == found(accounts, user_id)
    assert found(accounts, user_id).preferences == {"muted": True}


def test_many_who_write_by_both_ids_at_once_all_leave_their_mark(accounts, user_id, object_id):
    tell(accounts, object_id, preferences={"muted": True}, preferences_at=THEN)

    def add(number: int) -> None:
        def change(stored: StoredAccount | None) -> Account:
            written_id = object_id if number % 2 else user_id
            account = stored.account if stored else Account(CHANNEL_ID, written_id)
            if written_id == user_id:
                account = replace(account, aad_object_id=object_id)
            return account.having_left(f"a:{number}")

        accounts.change_or_make(CHANNEL_ID, object_id if number % 2 else user_id, change)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))

    account = found(accounts, object_id)
    assert account == found(accounts, user_id)
    assert account.conversation_ids == {"a:0", "a:1", "a:2", "a:3"}
    assert account.preferences == {"muted": True}


def test_an_object_id_that_is_the_persons_no_more_leads_nowhere(accounts, user_id, object_id):
    right = unique("object")
    tell(accounts, user_id, aad_object_id=object_id)
    tell(accounts, user_id, aad_object_id=right)
    assert accounts.get(CHANNEL_ID, object_id) is None
    assert found(accounts, right).user_id == user_id

    tell(accounts, user_id, aad_object_id=None)
    tell(accounts, user_id, aad_object_id=right)
    tell(accounts, user_id, aad_object_id=None)
    assert accounts.get(CHANNEL_ID, right) is None
    assert found(accounts, user_id).aad_object_id is None


def test_an_object_id_that_went_to_somebody_else_stays_theirs(accounts, user_id, object_id):
    another = unique("29:another")
    tell(accounts, user_id, aad_object_id=object_id)
    tell(accounts, another, aad_object_id=object_id)

    tell(accounts, user_id, aad_object_id=None)

    assert found(accounts, object_id).user_id == another


@pytest.mark.parametrize("made_under", ["user_id", "object_id"])
@pytest.mark.parametrize("by", ["user_id", "object_id"])
def test_a_forgotten_person_is_unknown_by_either_id(accounts, user_id, object_id, by, made_under):
    if made_under == "object_id":
        tell(accounts, object_id)
    tell(accounts, user_id, aad_object_id=object_id)

    accounts.erase(CHANNEL_ID, {"user_id": user_id, "object_id": object_id}[by])

    assert accounts.get(CHANNEL_ID, user_id) is None
    assert accounts.get(CHANNEL_ID, object_id) is None


@pytest.mark.parametrize("made_under", ["user_id", "object_id"])
def test_a_pointer_to_nobody_does_not_keep_anybody_from_being_cached(
    accounts, user_id, object_id, services, made_under
):
    if made_under == "object_id":
        tell(accounts, object_id)
    tell(accounts, user_id, aad_object_id=object_id)
    table = services.storage.table("accounts")
    [row] = table.query_entities("userId eq @id", parameters={"id": user_id})
    table.delete_entity(row)

    tell(accounts, user_id if made_under == "object_id" else object_id, locale="de")

    account = found(accounts, object_id)
    assert account == found(accounts, user_id)
    assert (account.user_id, account.aad_object_id, account.locale) == (user_id, object_id, "de")


# The keys of a person


def test_of_two_accounts_that_become_one_both_keys_go_with_the_person(
    accounts, services, user_id, object_id
):
    keys = PersonalKeys(services.storage)
    of_object_id = tell(accounts, object_id, locale="de").account.key
    of_user_id = tell(accounts, user_id, locale="de").account.key
    assert of_object_id is not None
    assert of_user_id is not None
    tell(accounts, user_id, aad_object_id=object_id)

    joined = found(accounts, object_id)
    assert (joined.key, joined.former_key_ids) == (of_user_id, (of_object_id.id,))
    assert keys.find(of_object_id.id) is not None

    accounts.erase(CHANNEL_ID, object_id)

    assert keys.find(of_object_id.id) is None
    assert keys.find(of_user_id.id) is None


# Who said stop and was forgotten


def test_only_a_stop_outlives_the_account(accounts, services, user_id, object_id):
    for preferences in ({"interests": ["Rain"]}, {"muted": False}, {"muted": True}):
        tell(accounts, user_id, aad_object_id=object_id, preferences=preferences)

        accounts.erase(CHANNEL_ID, user_id)

        for each in (user_id, object_id):
            remembered = services.opt_outs.include(CHANNEL_ID, each)
            assert remembered is bool(preferences.get("muted"))


def test_a_stop_that_is_remembered_is_in_the_account_as_soon_as_there_is_one_again(
    accounts, services, user_id, object_id
):
    tell(accounts, user_id, aad_object_id=object_id, preferences={"muted": True})
    accounts.erase(CHANNEL_ID, user_id)

    tell(accounts, object_id, locale="de")

    assert found(accounts, object_id).preferences == {"muted": True}
    assert not services.opt_outs.include(CHANNEL_ID, object_id)


def test_a_stop_is_remembered_for_one_bot_and_one_channel_by_all_instances(services, user_id):
    another_bot = Services.of(replace(services.settings, app_id="another-bot"))
    another_instance = Services.of(services.settings).opt_outs
    object_id = str(uuid4())

    for each in (user_id, object_id):
        services.opt_outs.remember(CHANNEL_ID, each)

    assert another_instance.include(CHANNEL_ID, user_id)
    assert another_instance.include(CHANNEL_ID, object_id.upper())
    assert not services.opt_outs.include("slack", user_id)
    assert not another_bot.opt_outs.include(CHANNEL_ID, user_id)
    another_instance.forget(CHANNEL_ID, user_id)
    assert not services.opt_outs.include(CHANNEL_ID, user_id)


def test_nobody_can_tell_from_the_opt_outs_who_said_stop(services, user_id):
    services.opt_outs.remember(CHANNEL_ID, user_id)

    rows = list(services.storage.table("optouts").list_entities())

    known = {user_id, key_of(CHANNEL_ID, user_id)}
    known |= {key_of(services.settings.app_id, CHANNEL_ID, user_id), services.settings.app_id}
    assert any(row["RowKey"] == "optout" for row in rows)
    assert all(known.isdisjoint(map(str, row.values())) for row in rows)


def person(accounts: AccountStore, user_id: str, object_id: str) -> Account:
    return tell(
        accounts,
        user_id,
        aad_object_id=object_id,
        conversation=OneToOne("a:1"),
        preferences={"muted": True},
    ).account


def is_erased(services: Services, account: Account) -> bool:
    assert account.key is not None
    with suppress(UnknownConversationError):
        services.conversations.find("a:1")
        return False
    rows = [services.accounts._row(CHANNEL_ID, each) for each in account.ids]
    stops = [services.opt_outs.include(CHANNEL_ID, each) for each in account.ids]
    is_locked = PersonalKeys(services.storage).find(account.key.id) is None
    return rows == [None, None] and stops == [True, True] and is_locked


@pytest.mark.parametrize("by", ["user_id", "object_id"])
@pytest.mark.parametrize("deletions_that_work", range(4))
@pytest.mark.parametrize("who_finishes", ["the same call", "a message of theirs"])
def test_forgetting_somebody_that_failed_half_way_is_finished(
    accounts, services, user_id, object_id, by, deletions_that_work, who_finishes, monkeypatch
):
    account = person(accounts, user_id, object_id)
    used = {"user_id": user_id, "object_id": object_id}[by]
    left = iter([*[True] * deletions_that_work, False])
    delete = Table.delete

    def failing(table: Table, *key: Any) -> bool:
        if not next(left, True):
            raise StorageUnavailableError("down for a moment")
        return delete(table, *key)

    monkeypatch.setattr(Table, "delete", failing)
    with pytest.raises(StorageUnavailableError):
        accounts.erase(CHANNEL_ID, used)

    if who_finishes == "the same call":
        accounts.erase(CHANNEL_ID, used)
        assert is_erased(services, account)
    else:
        after = tell(accounts, user_id, locale="de").account
        assert (after.conversation, after.preferences) == (None, {"muted": True})
        assert after.key != account.key


def test_forgetting_goes_on_while_somebody_else_writes_the_account_and_its_key_goes_last(
    accounts, services, app_settings, user_id, object_id
):
    account = person(accounts, user_id, object_id)
    key_id = account.key.id if account.key else ""
    writes = iter(["de", "sv", "en"])

    def overtake(request: ReceivedRequest) -> bool:
        # Between the read of the account and its write.
        locale = next(writes, None) if request.method == "GET" else None
        if locale is not None:
            assert PersonalKeys(services.storage).find(key_id) is not None
            tell(accounts, user_id, locale=locale)
        return False

    with LossyStorage(app_settings["AzureWebJobsStorage"]) as watched:
        watched_settings = {**app_settings, "AzureWebJobsStorage": watched.connection_string}
        watched.lose_answer(overtake)
        Services.of(Settings.from_environment(watched_settings)).accounts.erase(CHANNEL_ID, user_id)

    assert next(writes, None) is None
    assert is_erased(services, account)


def test_only_what_is_told_makes_an_account(accounts, user_id):
    change = accounts.change(
        CHANNEL_ID, user_id, lambda stored: replace(stored.account, blocked=True)
    )

    assert change is None
    assert accounts.get(CHANNEL_ID, user_id) is None


def test_forgetting_somebody_leaves_the_pointer_of_who_has_the_object_id_now(accounts, object_id):
    former, present = unique("29:former"), unique("29:present")
    tell(accounts, former, aad_object_id=object_id)
    tell(accounts, present, aad_object_id=object_id)

    accounts.erase(CHANNEL_ID, former)

    assert found(accounts, object_id).user_id == present


def test_an_object_id_is_one_id_in_whatever_case(accounts: AccountStore, user_id: str):
    object_id = str(uuid4())

    # It leads to itself: no pointer takes the account's place.
    tell(accounts, object_id.upper(), aad_object_id=object_id)
    assert found(accounts, object_id).name is None
    tell(accounts, user_id, aad_object_id=object_id.upper(), name="Alex")
    assert found(accounts, user_id).aad_object_id == object_id
    tell(accounts, user_id, aad_object_id=object_id)

    assert found(accounts, object_id).name == found(accounts, user_id).name == "Alex"
