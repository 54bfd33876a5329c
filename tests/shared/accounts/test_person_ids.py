"""One person, one account: two ids, however many write at once, and in whatever order."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from shared.accounts.account import Account, OneToOne
from shared.accounts.person_ids import AccountRows
from shared.accounts.store import AccountStore, StoredAccount
from shared.storage.tables import key_of
from tests.shared.accounts.telling import CHANNEL_ID, found, tell
from tests.support.builders import services_of, unique
from tests.support.lossy_storage import LossyStorage
from tests.support.stub_server import ReceivedRequest

THEN = datetime(2026, 1, 31, 10, tzinfo=UTC)
LATER = THEN + timedelta(minutes=1)


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
        watched.lose_answer(stop_once_the_account_is_written)
        through = services_of(app_settings, AzureWebJobsStorage=watched.connection_string).accounts
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


def test_an_object_id_that_is_the_persons_no_more_leads_nowhere_or_to_whose_it_is(
    accounts, user_id, object_id
):
    right, another = unique("object"), unique("29:another")
    tell(accounts, user_id, aad_object_id=object_id)
    tell(accounts, user_id, aad_object_id=right)
    assert accounts.get(CHANNEL_ID, object_id) is None
    assert found(accounts, right).user_id == user_id

    tell(accounts, user_id, aad_object_id=None)
    tell(accounts, user_id, aad_object_id=right)
    tell(accounts, user_id, aad_object_id=None)
    assert accounts.get(CHANNEL_ID, right) is None
    assert found(accounts, user_id).aad_object_id is None

    tell(accounts, user_id, aad_object_id=right)
    tell(accounts, another, aad_object_id=right)
    tell(accounts, user_id, aad_object_id=None)
    assert found(accounts, right).user_id == another


def test_an_object_id_whose_row_was_left_behind_is_not_taken_for_an_id_of_theirs(
    accounts, services, user_id, object_id
):
    account = tell(accounts, user_id).account
    AccountRows(services.storage, services.settings.app_id).point(account, object_id)

    tell(accounts, object_id, locale="de")

    assert found(accounts, user_id).ids == [user_id]


def test_an_account_that_stands_under_an_object_id_is_not_joined_with_somebody_elses(
    accounts, user_id, object_id
):
    another = unique("29:another")
    tell(accounts, object_id, locale="de")
    tell(accounts, user_id, aad_object_id=object_id)

    tell(accounts, another, aad_object_id=object_id)

    assert found(accounts, object_id) == found(accounts, user_id)
    assert (found(accounts, another).user_id, found(accounts, another).locale) == (another, None)


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


def test_an_object_id_is_one_id_in_whatever_case(accounts: AccountStore, user_id: str):
    object_id = str(uuid4())

    # It leads to itself: no pointer takes the account's place.
    tell(accounts, object_id.upper(), aad_object_id=object_id)
    assert found(accounts, object_id).name is None
    tell(accounts, user_id, aad_object_id=object_id.upper(), name="Alex")
    assert found(accounts, user_id).aad_object_id == object_id
    tell(accounts, user_id, aad_object_id=object_id)

    assert found(accounts, object_id).name == found(accounts, user_id).name == "Alex"
