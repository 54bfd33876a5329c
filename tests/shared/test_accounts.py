from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.accounts import Account, OneToOne
from shared.errors import StorageUnavailableError
from shared.models import ChannelAccount
from shared.personal_keys import PersonalKeys
from shared.services import Services
from shared.settings import Settings
from tests.support.lossy_storage import LossyStorage

BOT = ChannelAccount(id="28:bot", name="News")
WHOLE = Account(
    "msteams",
    "29:alex/\\#?% 김😀",
    name="Alex 😀",
    tenant_id="t",
    bot=ChannelAccount.model_validate({"id": "28:bot", "name": "Grüße 😀", "half": "\ud83d"}),
    service_url="https://smba.trafficmanager.net/teams/",
    locale="de-CH",
    time_zone="Europe/Zurich",
    preferences={"interests": ["Züge", "\ud83d"], "muted": False},
    conversations={"28:bot": OneToOne("a:1", "personal", "7"), "": OneToOne("a:2")},
    installed=True,
    blocked=False,
    observed_at=datetime(2026, 1, 31, 10, 0, 0, 123456, tzinfo=UTC),
)


@pytest.fixture
def accounts(services):
    return services.accounts


def alex(**fields):
    return Account("msteams", "29:alex", **fields)


def write(accounts, account):
    """Write an account whole; the key stays, as in all changes."""
    return accounts.change(
        account.channel_id,
        account.user_id,
        lambda stored: replace(account, key=stored.account.key) if stored else account,
    )


def told(stored):
    """What was told of the account that is cached: all but its key."""
    assert stored.account.key is not None
    return replace(stored.account, key=None)


def named(name):
    """A change of the name alone."""
    return lambda stored: replace(stored.account if stored else alex(), name=name)


@pytest.mark.parametrize("account", [WHOLE, alex()], ids=["whole", "empty"])
def test_an_account_is_found_as_it_was_written(accounts, account):
    written = write(accounts, account)

    found = accounts.get(account.channel_id, account.user_id)

    assert found.account == written.account
    assert told(found) == account
    assert found.version == written.version
    assert written.is_new


def test_nobody_is_known_at_first(accounts):
    assert accounts.get("msteams", "29:alex") is None


@pytest.mark.parametrize(
    ("channel_id", "user_id"), [("webchat", "29:alex"), ("msteams", "29:ALEX")]
)
def test_people_are_told_apart_by_channel_and_id(accounts, channel_id, user_id):
    write(accounts, alex())

    assert accounts.get(channel_id, user_id) is None


def test_bots_do_not_see_each_others_accounts(accounts, app_settings):
    write(accounts, alex())
    another = Services.of(
        Settings.from_environment({**app_settings, "MicrosoftAppId": "another bot"})
    )

    assert another.accounts.get("msteams", "29:alex") is None


def test_a_change_sees_what_was_there_and_tells_the_new_version(accounts):
    first = write(accounts, alex(name="Alex"))

    second = accounts.change(
        "msteams", "29:alex", lambda stored: replace(stored.account, locale="de")
    )

    assert told(second) == alex(name="Alex", locale="de")
    assert not second.is_new
    assert second.version != first.version


def test_what_is_set_to_nothing_is_gone(accounts):
    write(accounts, replace(WHOLE, user_id="29:alex"))

    write(accounts, alex())

    assert told(accounts.get("msteams", "29:alex")) == alex()


def test_what_does_not_change_is_not_written(accounts, storage_calls):
    first = write(accounts, alex(name="Alex"))
    storage_calls()

    second = write(accounts, alex(name="Alex"))

    assert [call.split()[0] for call in storage_calls()] == ["GET"]
    assert second.version == first.version


def test_two_writers_do_not_undo_each_other(accounts):
    write(accounts, alex())
    seen = []

    def change(stored):
        seen.append(stored.account.name)
        if len(seen) == 1:
            accounts.change("msteams", "29:alex", named("somebody else's"))
        return replace(stored.account, locale="de")

    accounts.change("msteams", "29:alex", change)

    assert seen == [None, "somebody else's"]
    assert told(accounts.get("msteams", "29:alex")) == alex(name="somebody else's", locale="de")


def test_two_who_write_first_do_not_undo_each_other(accounts):
    seen = []

    def change(stored):
        seen.append(stored)
        if stored is None:
            accounts.change("msteams", "29:alex", named("somebody else's"))
            return alex(locale="de")
        return replace(stored.account, locale="de")

    changed = accounts.change("msteams", "29:alex", change)

    assert len(seen) == 2
    assert not changed.is_new
    assert told(changed) == alex(name="somebody else's", locale="de")


def test_many_writers_all_leave_their_mark(accounts):
    def add(number):
        def change(stored):
            account = stored.account if stored else alex()
            return account.with_conversation(str(number), OneToOne(f"a:{number}"))

        accounts.change("msteams", "29:alex", change)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))

    assert set(accounts.get("msteams", "29:alex").account.conversations) == set("0123")


def test_a_change_that_is_always_overtaken_is_given_up(accounts):
    write(accounts, alex())
    overtaken = []

    def change(stored):
        overtaken.append(stored)
        accounts.change("msteams", "29:alex", named(str(len(overtaken))))
        return replace(stored.account, locale="de")

    with pytest.raises(StorageUnavailableError, match="too many at once"):
        accounts.change("msteams", "29:alex", change)

    assert 2 < len(overtaken) < 100


def test_what_a_change_raises_comes_out_and_nothing_is_written(accounts):
    def change(_stored):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        accounts.change("msteams", "29:alex", change)

    assert accounts.get("msteams", "29:alex") is None


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_change_is_made_though_the_answer_was_lost(app_settings, accounts, method):
    if method == "PUT":
        write(accounts, alex())
    with LossyStorage(app_settings["AzureWebJobsStorage"]) as lossy:
        lossy_settings = {**app_settings, "AzureWebJobsStorage": lossy.connection_string}
        through = Services.of(Settings.from_environment(lossy_settings)).accounts
        lossy.lose_answer(lambda request: request.method == method)

        changed = through.change("msteams", "29:alex", named("Alex"))

    assert told(changed) == alex(name="Alex")
    assert accounts.get("msteams", "29:alex") == replace(changed, is_new=False)


def test_an_account_is_found_in_one_round_trip(accounts, storage_calls):
    write(accounts, WHOLE)
    storage_calls()

    accounts.get(WHOLE.channel_id, WHOLE.user_id)

    assert len(storage_calls()) == 1


def test_ids_do_not_show_in_keys(accounts, storage_calls):
    write(accounts, alex())
    accounts.get("msteams", "29:alex")

    assert all("alex" not in call for call in storage_calls())


def test_long_texts_in_any_script_fit(accounts):
    preferences = {"interests": ["김" * 1000] * 15}

    write(accounts, alex(preferences=preferences))

    assert accounts.get("msteams", "29:alex").account.preferences == preferences


# The key of a person


def test_an_account_gets_a_key_of_its_own_when_it_is_first_written(services):
    alex_key = write(services.accounts, alex()).account.key
    sam_key = write(services.accounts, Account("msteams", "29:sam")).account.key

    assert alex_key is not None
    assert sam_key is not None
    assert (alex_key.id, alex_key.value) != (sam_key.id, sam_key.value)
    assert services.accounts.get("msteams", "29:alex").account.key == alex_key
    assert keys_of(services).find(alex_key.id) == alex_key


def test_the_key_stays_whatever_changes(accounts):
    first = write(accounts, alex()).account.key

    accounts.change("msteams", "29:alex", named("Alex"))

    assert accounts.get("msteams", "29:alex").account.key == first


def test_two_who_write_first_agree_on_the_key(accounts):
    def change(stored):
        if stored is None:
            accounts.change("msteams", "29:alex", named("Alex"))
            return alex()
        return replace(stored.account, locale="de")

    changed = accounts.change("msteams", "29:alex", change)

    assert changed.account.key == accounts.get("msteams", "29:alex").account.key


def test_the_key_goes_with_the_person(services):
    key = write(services.accounts, alex()).account.key

    services.accounts.delete("msteams", "29:alex")

    assert keys_of(services).find(key.id) is None


def test_a_key_is_not_printed(accounts):
    key = write(accounts, alex()).account.key

    assert str(key.value) not in repr(key)


def keys_of(services):
    return PersonalKeys(services.storage)


# Conversations of an account


def test_the_conversation_of_an_account_is_that_with_its_own_bot():
    account = alex(bot=BOT, conversations={"28:bot": OneToOne("a:1"), "": OneToOne("a:2")})

    assert account.conversation == OneToOne("a:1")
    assert replace(account, bot=None).conversation == OneToOne("a:2")
    assert replace(account, bot=ChannelAccount(id="28:new")).conversation is None


def test_a_conversation_is_added_for_one_account_of_the_bot():
    account = alex(conversations={"+49": OneToOne("a:1"), "+41": OneToOne("a:2")})

    changed = account.with_conversation("+49", OneToOne("a:3"))

    assert changed.conversations == {"+49": OneToOne("a:3"), "+41": OneToOne("a:2")}
    assert account.conversations["+49"] == OneToOne("a:1")
