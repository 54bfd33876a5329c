from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count, takewhile
from uuid import uuid4

import pytest

from shared.accounts.account import OneToOne
from shared.storage.tables import key_of
from shared.wiring import Services
from tests.shared.accounts.telling import CHANNEL_ID, found, tell
from tests.support.builders import services_of, unique
from tests.support.lossy_storage import LossyStorage
from tests.support.stub_server import ReceivedRequest

NOW = datetime(2026, 1, 31, 10, tzinfo=UTC)


def test_a_stop_that_is_remembered_is_in_the_account_as_soon_as_there_is_one_again(
    accounts, services, user_id, object_id
):
    tell(accounts, user_id, aad_object_id=object_id, preferences={"muted": True})
    accounts.erase(CHANNEL_ID, user_id)

    tell(accounts, object_id, locale="de")

    assert found(accounts, object_id).preferences == {"muted": True}
    assert not services.opt_outs.find(CHANNEL_ID, object_id)


@pytest.mark.parametrize(("minutes", "is_muted"), [(-1, True), (1, False)])
def test_of_a_stop_without_an_account_and_what_the_account_says_the_later_one_holds(
    accounts, user_id, minutes, is_muted
):
    accounts.stop(CHANNEL_ID, user_id, NOW)
    told_at = NOW + timedelta(minutes=minutes)
    preferences = {"interests": ["Rain"], "muted": False}

    tell(accounts, user_id, preferences=preferences, preferences_at=told_at, muted_at=told_at)

    assert found(accounts, user_id).preferences == {"interests": ["Rain"], "muted": is_muted}


@pytest.mark.parametrize("is_read", [False, True], ids=["unread", "read"])
@pytest.mark.parametrize(
    ("known_by", "said_by"),
    [("", "user_id"), ("", "object_id"), ("user_id", "object_id"), ("object_id", "user_id")],
)
@pytest.mark.parametrize("interrupted", ["make", "stop"])
def test_who_says_stop_while_their_account_or_id_becomes_known_gets_nothing_from_then_on(
    services, app_settings, interrupted, known_by, said_by, is_read
):
    def meet(step: int) -> bool:
        """Have one be done after a step of the other; tell whether there is such a step."""
        user_id, object_id = unique("29:user"), unique("object")
        ids = {"user_id": user_id, "object_id": object_id}
        said = ids[said_by]
        if known_by:
            tell(services.accounts, ids[known_by], locale="de")
        asked: list[ReceivedRequest] = []
        has_stopped = False
        heard: list[bool] = []

        def stop(through: Services) -> None:
            nonlocal has_stopped
            through.accounts.stop(CHANNEL_ID, said, NOW)
            has_stopped = True

        def make(through: Services) -> None:
            conversation = OneToOne(unique("a:1"))
            tell(through.accounts, user_id, aad_object_id=object_id, conversation=conversation)

        first, other = (make, stop) if interrupted == "make" else (stop, make)

        def overtake(request: ReceivedRequest) -> bool:
            asked.append(request)
            if len(asked) == step:
                other(services)
            if has_stopped and is_read:
                known = services.accounts.known_as(CHANNEL_ID, said)
                stored = services.accounts.get(CHANNEL_ID, said)
                told = [*known, *([stored.account] if stored else [])]
                heard.append(all(each.preferences.get("muted") for each in told))
            return False

        with LossyStorage(app_settings["AzureWebJobsStorage"]) as storage:
            storage.lose_answer(overtake)
            first(services_of(app_settings, AzureWebJobsStorage=storage.connection_string))
        if len(asked) < step:
            return False
        account = found(services.accounts, said)
        assert (account.preferences, all(heard)) == ({"muted": True}, True)
        # Else it would outlive a later start.
        assert services.opt_outs.find(CHANNEL_ID, said) is None
        assert services.conversations.find(account.conversation_id or "")
        return True

    steps = list(takewhile(meet, count(1)))

    assert len(steps) > 3


def test_a_stop_is_remembered_for_one_bot_and_one_channel_by_all_instances(services, user_id):
    another_bot = Services.of(replace(services.settings, app_id="another-bot"))
    another_instance = Services.of(services.settings).opt_outs
    object_id = str(uuid4())

    for each in (user_id, object_id):
        services.opt_outs.remember(CHANNEL_ID, each, NOW)

    opt_out = another_instance.find(CHANNEL_ID, user_id)
    assert opt_out is not None
    assert opt_out.said_at == NOW
    assert another_instance.find(CHANNEL_ID, object_id.upper())
    assert not services.opt_outs.find("slack", user_id)
    assert not another_bot.opt_outs.find(CHANNEL_ID, user_id)
    # Said anew meanwhile, as by who is erased then.
    services.opt_outs.remember(CHANNEL_ID, user_id, NOW)
    another_instance.forget(opt_out)
    opt_out = another_instance.find(CHANNEL_ID, user_id)
    assert opt_out is not None
    another_instance.forget(opt_out)
    assert not services.opt_outs.find(CHANNEL_ID, user_id)


def test_nobody_can_tell_from_the_opt_outs_who_said_stop(services, user_id):
    services.opt_outs.remember(CHANNEL_ID, user_id, NOW)

    rows = list(services.storage.table("optouts").list_entities())

    known = {user_id, key_of(CHANNEL_ID, user_id)}
    known |= {key_of(services.settings.app_id, CHANNEL_ID, user_id), services.settings.app_id}
    assert any(row["RowKey"] == "optout" for row in rows)
    assert all(known.isdisjoint(map(str, row.values())) for row in rows)
