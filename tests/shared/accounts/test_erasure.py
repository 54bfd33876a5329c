from contextlib import suppress
from itertools import count, takewhile
from typing import Any

import pytest

from shared.accounts.account import Account, OneToOne
from shared.accounts.person_ids import AccountRows
from shared.accounts.store import AccountStore
from shared.errors import StorageUnavailableError, UnknownConversationError
from shared.storage.personal_keys import PersonalKeys
from shared.storage.tables import Table
from shared.wiring import Services
from tests.shared.accounts.telling import CHANNEL_ID, found, tell
from tests.support.builders import services_of, unique
from tests.support.lossy_storage import LossyStorage
from tests.support.stub_server import ReceivedRequest


@pytest.mark.parametrize("made_under", ["user_id", "object_id"])
@pytest.mark.parametrize("by", ["user_id", "object_id"])
@pytest.mark.parametrize(
    "preferences", [{"interests": ["Rain"]}, {"muted": False}, {"muted": True}]
)
def test_a_forgotten_person_is_unknown_by_either_id_but_for_a_stop(
    accounts, services, user_id, object_id, by, made_under, preferences
):
    if made_under == "object_id":
        tell(accounts, object_id)
    tell(accounts, user_id, aad_object_id=object_id, preferences=preferences)

    accounts.erase(CHANNEL_ID, {"user_id": user_id, "object_id": object_id}[by])

    for each in (user_id, object_id):
        assert accounts.get(CHANNEL_ID, each) is None
        remembered = services.opt_outs.find(CHANNEL_ID, each)
        assert (remembered is not None) is bool(preferences.get("muted"))


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
    rows = AccountRows(services.storage, services.settings.app_id)
    found = [rows.find(CHANNEL_ID, each) for each in account.ids]
    stops = [services.opt_outs.find(CHANNEL_ID, each) for each in account.ids]
    is_locked = PersonalKeys(services.storage).find(account.key.id) is None
    return found == [(None, None)] * 2 and all(stops) and is_locked


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
    assert accounts.page(1000, userId=user_id) == ([], None)

    if who_finishes == "the same call":
        accounts.erase(CHANNEL_ID, used)
        assert is_erased(services, account)
    else:
        after = tell(accounts, user_id, locale="de").account
        assert (after.conversation, after.preferences) == (None, {"muted": True})
        assert after.key != account.key


def test_who_is_half_erased_does_not_come_back_when_another_id_is_told(
    accounts, user_id, object_id, monkeypatch
):
    tell(accounts, object_id, locale="de")

    def failing(_table: Table, *_key: Any) -> bool:
        raise StorageUnavailableError("down for a moment")

    with monkeypatch.context() as down:
        down.setattr(Table, "delete", failing)
        with pytest.raises(StorageUnavailableError):
            accounts.erase(CHANNEL_ID, object_id)

    tell(accounts, user_id, aad_object_id=object_id)

    assert found(accounts, object_id) == found(accounts, user_id)
    assert found(accounts, user_id).locale is None


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
        watched.lose_answer(overtake)
        services_of(app_settings, AzureWebJobsStorage=watched.connection_string).accounts.erase(
            CHANNEL_ID, user_id
        )

    assert next(writes, None) is None
    assert is_erased(services, account)


@pytest.mark.parametrize("back_as", ["user_id", "object_id"])
@pytest.mark.parametrize("made_under", ["user_id", "object_id"])
@pytest.mark.parametrize("by", ["user_id", "object_id"])
def test_who_comes_back_before_all_is_erased_is_known_and_in_the_conversation(
    services, app_settings, by, made_under, back_as
):
    def come_back_after(step: int) -> bool:
        """Have the person write after a step of the erasure; tell whether there is such a step."""
        ids = {"user_id": unique("29:user"), "object_id": unique("object")}
        object_id, conversation = ids["object_id"], OneToOne(unique("a:1"))
        told: dict[str, Any] = {"aad_object_id": object_id, "conversation": conversation}
        tell(services.accounts, ids[made_under])
        former = tell(services.accounts, ids["user_id"], **told).account
        asked = []

        def overtake(request: ReceivedRequest) -> bool:
            asked.append(request)
            if len(asked) == step:
                tell(services.accounts, ids[back_as], **told)
            return False

        with LossyStorage(app_settings["AzureWebJobsStorage"]) as watched:
            watched.lose_answer(overtake)
            through = services_of(app_settings, AzureWebJobsStorage=watched.connection_string)
            through.accounts.erase(CHANNEL_ID, ids[by])
        if len(asked) < step:
            return False
        stored = services.accounts.get(CHANNEL_ID, ids[back_as])
        if stored is None:
            with pytest.raises(UnknownConversationError):
                services.conversations.find(conversation.id)
        else:
            for each in stored.account.ids:
                assert found(services.accounts, each) == stored.account
            assert stored.account.is_known_as(object_id)
            assert stored.account.key != former.key
            assert services.conversations.find(conversation.id)
        return True

    steps = list(takewhile(come_back_after, count(1)))

    assert len(steps) > 8


def test_forgetting_somebody_leaves_the_pointer_of_who_has_the_object_id_now(accounts, object_id):
    former, present = unique("29:former"), unique("29:present")
    tell(accounts, former, aad_object_id=object_id)
    tell(accounts, present, aad_object_id=object_id)

    accounts.erase(CHANNEL_ID, former)

    assert found(accounts, object_id).user_id == present
