from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.accounts.account import Account, OneToOne
from shared.accounts.rows import from_row
from shared.errors import StorageUnavailableError
from shared.settings import Settings
from shared.storage.personal_keys import PersonalKey, PersonalKeys
from shared.storage.tables import key_of
from shared.wire_models import ChannelAccount
from shared.wiring import Services
from tests.support.builders import unique
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
    conversation=OneToOne("a:1", "personal", "7"),
    former_conversation_ids=("a:0",),
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
            return account.having_left(f"a:{number}")

        accounts.change("msteams", "29:alex", change)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))

    found = accounts.get("msteams", "29:alex").account
    assert found.conversation_ids == {"a:0", "a:1", "a:2", "a:3"}


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


# The conversation of an account


def test_a_former_conversation_still_leads_to_the_person():
    first = alex().with_conversation(OneToOne("a:1"))
    same = first.with_conversation(OneToOne("a:1", "personal"))
    second = same.with_conversation(OneToOne("a:2"))

    assert same.conversation == OneToOne("a:1", "personal")
    assert same.conversation_ids == {"a:1"}
    assert second.conversation == OneToOne("a:2")
    assert second.conversation_ids == {"a:1", "a:2"}
    assert second.has_left("a:1")
    assert not second.has_left("a:2")
    assert not second.with_conversation(OneToOne("a:1")).has_left("a:1")
    assert not second.has_left("a:3")


def test_of_former_conversations_the_latest_are_kept():
    account = alex()
    for number in range(25):
        account = account.with_conversation(OneToOne(str(number)))
    account = account.having_left("10").without_conversation()

    assert account.conversation is None
    assert account.former_conversation_ids == (
        *map(str, [5, 6, 7, 8, 9]),
        *map(str, range(11, 24)),
        "10",
        "24",
    )
    assert account.without_conversation() == account


# A row as it was written when an account had a conversation for each id of the bot.
OLD_ROW = {
    "PartitionKey": "hash",
    "RowKey": "account",
    "appId": "app",
    "channelId": "msteams",
    "userId": "29:alex",
    "bot": '{"id":"28:bot","name":"News"}',
    "serviceUrl": "https://smba.trafficmanager.net/teams/",
    "conversations": '{"28:bot":{"id":"a:1","conversation_type":"personal","activity_id":"7"},'
    '"bot":{"id":"a:2","conversation_type":null,"activity_id":null},'
    '"+49":{"id":"a:3","conversation_type":null,"activity_id":null}}',
    "formerConversationIds": '["a:0"]',
    "keyId": "key-1",
    "key": b"k" * 32,
    "formerKeyIds": '["key-0"]',
}


def test_an_old_row_is_read_with_the_conversation_of_the_accounts_own_bot():
    assert from_row(OLD_ROW) == Account(
        "msteams",
        "29:alex",
        bot=BOT,
        service_url="https://smba.trafficmanager.net/teams/",
        conversation=OneToOne("a:1", "personal", "7"),
        former_conversation_ids=("a:0", "a:2", "a:3"),
        key=PersonalKey("key-1", b"k" * 32),
        former_key_ids=("key-0",),
    )


def test_the_conversation_of_an_old_row_is_the_one_that_fits_best_or_the_latest():
    others = (
        '{"%s":{"id":"a:1","conversation_type":null,"activity_id":null},'
        '"+49":{"id":"a:2","conversation_type":null,"activity_id":null}}'
    )
    for bot_id, found in (("bot", "a:1"), ("28:other", "a:2"), ("", "a:2")):
        row = {**OLD_ROW, "conversations": others % bot_id}
        assert from_row(row).conversation == OneToOne(found)
    unknown_bot = {**OLD_ROW, "conversations": others % ""}
    del unknown_bot["bot"]
    assert from_row(unknown_bot).conversation == OneToOne("a:1")


# Coming by all of them


def key_in(services, account):
    return key_of(services.settings.app_id, account.channel_id, account.user_id)


@pytest.fixture
def people(services):
    """Some accounts, in the order of their keys."""
    written = [
        write(services.accounts, Account("msteams", unique("29:user"))).account for _ in range(7)
    ]
    return sorted(written, key=lambda each: key_in(services, each))


def scanned(accounts, size=500, **where):
    """All that a scan comes by, from one place to another."""
    found, more = [], True
    while more:
        rows, more = accounts.scan(size, **where)
        assert len(rows) <= size
        found += rows
        if rows:
            where["after"] = rows[-1].key
    return found


def ours(rows):
    return [row.account for row in rows if row.account is not None]


@pytest.mark.parametrize("size", [1, 3, 500])
def test_a_scan_comes_by_all_accounts_in_the_order_of_their_keys(services, people, size):
    before, after = key_in(services, people[0]), key_in(services, people[-1])
    # Only where the bot's own rows are, as there are others' too.
    rows = scanned(services.accounts, size, up_to=after)

    assert ours(rows) == people
    keys = [row.key for row in rows]
    assert keys == sorted(set(keys))
    assert before in keys


def test_a_scan_goes_on_after_a_key_and_ends_with_one(services, people):
    first, last = key_in(services, people[1]), key_in(services, people[4])

    assert ours(scanned(services.accounts, after=first, up_to=last)) == people[2:5]
    assert ours(scanned(services.accounts, after=first)) == people[2:]
    assert scanned(services.accounts, after=last, up_to=last) == []
    assert scanned(services.accounts, after="f" * 64) == []


def test_a_scan_tells_no_account_of_a_row_that_has_none(services):
    object_id = unique("object")
    account = Account("msteams", unique("29:user"), aad_object_id=object_id)
    written = write(services.accounts, account).account
    pointer = key_of(services.settings.app_id, "msteams", object_id)

    rows = {row.key: row.account for row in scanned(services.accounts)}

    assert rows[key_in(services, account)] == written
    assert rows[pointer] is None


def test_a_scan_tells_nothing_of_another_bots_accounts(services, people, app_settings):
    another = Services.of(
        Settings.from_environment({**app_settings, "MicrosoftAppId": unique("another")})
    )

    rows = scanned(another.accounts)

    assert ours(rows) == []
    assert {key_in(services, each) for each in people} <= {row.key for row in rows}


def test_a_scan_takes_a_look_for_each_page(services, people, storage_calls):
    storage_calls()

    rows, _ = services.accounts.scan(2, up_to=key_in(services, people[-1]))

    assert len(rows) == 2
    assert len(storage_calls()) == 1


def test_a_scan_goes_on_where_storage_returned_nothing(services, people, app_settings):
    nothing = {"odata.metadata": "x", "value": []}
    more = {
        "x-ms-continuation-NextPartitionKey": "0",
        "x-ms-continuation-NextRowKey": "0",
    }
    with LossyStorage(app_settings["AzureWebJobsStorage"]) as storage:
        storage.answer(200, nothing, more, times=2)
        through_settings = {**app_settings, "AzureWebJobsStorage": storage.connection_string}
        accounts = Services.of(Settings.from_environment(through_settings)).accounts

        rows, more_rows = accounts.scan(
            1000, after=key_in(services, people[0]), up_to=key_in(services, people[1])
        )

    assert ours(rows) == [people[1]]
    assert not more_rows
