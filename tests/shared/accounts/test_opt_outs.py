from dataclasses import replace
from uuid import uuid4

from shared.storage.tables import key_of
from shared.wiring import Services
from tests.shared.accounts.telling import CHANNEL_ID, found, tell


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
