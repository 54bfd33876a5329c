from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.accounts.account import Account, OneToOne
from shared.errors import UnknownConversationError
from shared.storage.personal_keys import PersonalKeys
from shared.storage.tables import key_of
from shared.wire_models import ChannelAccount
from tests.shared.accounts.telling import CHANNEL_ID, tell
from tests.support.builders import services_of, unique
from tests.support.lossy_storage import InterruptedStorage, LossyStorage, writes

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


def alex(**fields):
    return Account("msteams", "29:alex", **fields)


def write(accounts, account):
    """Write an account whole; the key stays, as in all changes."""
    return accounts.change_or_make(
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


def test_an_account_is_found_as_it_was_written_in_one_round_trip(accounts, storage_calls):
    assert accounts.get("msteams", "29:alex") is None
    long_texts = alex(preferences={"interests": ["김" * 1000] * 15})
    for account in (WHOLE, alex(), long_texts):
        written = write(accounts, account)
        storage_calls()

        found = accounts.get(account.channel_id, account.user_id)

        [call] = storage_calls()
        # Ids do not show in keys.
        assert "alex" not in call
        assert found == replace(written, is_new=False)
        assert told(found) == account
        assert written.is_new is (account is not long_texts)


def test_people_are_told_apart_by_channel_id_and_bot(accounts, app_settings):
    write(accounts, alex())
    another = services_of(app_settings, MicrosoftAppId="another bot")

    assert accounts.get("webchat", "29:alex") is None
    assert accounts.get("msteams", "29:ALEX") is None
    assert another.accounts.get("msteams", "29:alex") is None


@pytest.mark.parametrize("is_first", [False, True], ids=["known", "unknown"])
def test_two_writers_do_not_undo_each_other(accounts, is_first):
    if not is_first:
        write(accounts, alex())
    seen = []

    def change(stored):
        seen.append(stored and stored.account.name)
        if len(seen) == 1:
            accounts.change_or_make("msteams", "29:alex", named("somebody else's"))
        return replace(stored.account if stored else alex(), locale="de")

    changed = accounts.change_or_make("msteams", "29:alex", change)

    assert seen == [None, "somebody else's"]
    assert not changed.is_new
    assert told(changed) == alex(name="somebody else's", locale="de")
    # They agree on the key.
    assert changed == accounts.get("msteams", "29:alex")


def test_only_what_is_told_makes_an_account(accounts, user_id):
    change = accounts.change(
        CHANNEL_ID, user_id, lambda stored: replace(stored.account, blocked=True)
    )

    assert change is None
    assert accounts.get(CHANNEL_ID, user_id) is None


def test_an_account_gets_a_key_of_its_own_that_goes_with_the_person(services):
    alex_key = write(services.accounts, alex()).account.key
    sam_key = write(services.accounts, Account("msteams", "29:sam")).account.key

    assert alex_key is not None
    assert sam_key is not None
    assert (alex_key.id, alex_key.value) != (sam_key.id, sam_key.value)
    assert str(alex_key.value) not in repr(alex_key)
    services.accounts.change_or_make("msteams", "29:alex", named("Alex"))
    assert services.accounts.get("msteams", "29:alex").account.key == alex_key
    keys = PersonalKeys(services.storage)
    assert keys.find(alex_key.id) == alex_key
    services.accounts.erase("msteams", "29:alex")
    assert keys.find(alex_key.id) is None


# The row of the conversation


@pytest.mark.parametrize("meanwhile", ["moved", "erased"])
def test_the_row_of_a_conversation_says_what_the_account_says_in_the_end(
    accounts, services, app_settings, user_id, meanwhile
):
    conversation_id = unique("a:1")
    tell(accounts, user_id)

    def overtake():
        if meanwhile == "moved":
            tell(accounts, user_id, service_url="https://new.example/")
        else:
            accounts.erase(CHANNEL_ID, user_id)

    # The account is written, and not yet the row of its conversation.
    is_decided = writes("accounts", conversation_id)
    with InterruptedStorage(
        app_settings["AzureWebJobsStorage"], is_decided, after=overtake
    ) as storage:
        through = services_of(app_settings, AzureWebJobsStorage=storage.connection_string).accounts
        conversation = OneToOne(conversation_id)
        tell(through, user_id, service_url="https://old.example/", conversation=conversation)

    assert storage.interrupted
    if meanwhile == "moved":
        found = services.conversations.find(conversation_id)
        assert found.service_url == "https://new.example/"
        assert not accounts.get(CHANNEL_ID, user_id).account.lacks_conversation_row
    else:
        with pytest.raises(UnknownConversationError):
            services.conversations.find(conversation_id)


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


def test_a_scan_comes_by_all_accounts_between_two_keys_in_their_order(
    services, people, storage_calls
):
    storage_calls()
    rows, _ = services.accounts.scan(2, up_to=key_in(services, people[-1]))
    # A look for each page.
    assert (len(rows), len(storage_calls())) == (2, 1)

    keys = [key_in(services, each) for each in people]
    # Only where the bot's own rows are, as there are others' too.
    for size in (3, 500):
        rows = scanned(services.accounts, size, up_to=keys[-1])
        assert ours(rows) == people
        found = [row.key for row in rows]
        assert found == sorted(set(found))
        assert keys[0] in found
    assert ours(scanned(services.accounts, after=keys[1], up_to=keys[4])) == people[2:5]
    assert ours(scanned(services.accounts, after=keys[1])) == people[2:]
    assert scanned(services.accounts, after=keys[4], up_to=keys[4]) == []
    assert scanned(services.accounts, after="f" * 64) == []


def test_a_scan_tells_no_account_of_a_pointer_or_of_another_bots_row(
    services, people, app_settings
):
    object_id = unique("object")
    account = Account("msteams", unique("29:user"), aad_object_id=object_id)
    written = write(services.accounts, account).account
    another = services_of(app_settings, MicrosoftAppId=unique("another"))

    rows = {row.key: row.account for row in scanned(services.accounts)}
    others = scanned(another.accounts)

    assert rows[key_in(services, account)] == written
    assert rows[key_of(services.settings.app_id, "msteams", object_id)] is None
    assert ours(others) == []
    assert {key_in(services, each) for each in people} <= {row.key for row in others}


def test_a_scan_goes_on_where_storage_returned_nothing(services, people, app_settings):
    nothing = {"odata.metadata": "x", "value": []}
    more = {
        "x-ms-continuation-NextPartitionKey": "0",
        "x-ms-continuation-NextRowKey": "0",
    }
    with LossyStorage(app_settings["AzureWebJobsStorage"]) as storage:
        storage.answer(200, nothing, more, times=2)
        accounts = services_of(app_settings, AzureWebJobsStorage=storage.connection_string).accounts

        rows, more_rows = accounts.scan(
            1000, after=key_in(services, people[0]), up_to=key_in(services, people[1])
        )

    assert ours(rows) == [people[1]]
    assert not more_rows
