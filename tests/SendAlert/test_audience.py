"""Reading the audience of an alert, in batches."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from SendAlert.audience import Member, batches, read_batch
from shared.accounts.account import Account
from shared.alerts.alert import Alert, Audience
from shared.alerts.audience_pages import AudiencePage
from shared.settings import Settings
from shared.storage.tables import Table
from shared.throttling.lane import Lane
from shared.wiring import Services
from tests.SendAlert.alerting import STORAGE, key_in, make_known
from tests.support.builders import TENANT_ID, unique
from tests.support.lossy_storage import LossyStorage

NOW = datetime.now(UTC)
EVERYBODY = Alert("alert-7", NOW, NOW, fingerprint="", content_key="")
THOUSANDS = 1200


def to(**audience):
    return replace(EVERYBODY, audience=Audience(**audience))


def read(alert, services, recipients=(), *, after="", most=100):
    return read_batch(alert, recipients, services, after=after, limit=most)


def read_again(alert, services, batch, recipients=(), *, after="", most=100):
    """Read the page that a batch became once more."""
    members = tuple(each.id for each in batch.members)
    page = AudiencePage(alert.id, 0, after, batch.up_to, NOW, members, {}, share=batch.share)
    return read_batch(alert, recipients, services, after=after, limit=most, page=page)


def user_ids(members):
    return [each.user_id for each in members]


# By account


def test_batches_are_read_one_after_the_other_in_the_order_of_the_keys(alerting, services):
    people = alerting.know(7)

    first = read(EVERYBODY, services, most=3)
    second = read(EVERYBODY, services, after=first.up_to, most=3)
    third = read(EVERYBODY, services, after=second.up_to, most=3)

    assert [user_ids(each.members) for each in (first, second, third)] == [
        user_ids(people[:3]),
        user_ids(people[3:6]),
        user_ids(people[6:]),
    ]
    assert first.up_to == key_in(services, people[2])
    assert 0 < first.share < second.share < third.share == 1
    assert [each.id for each in first.members] == [each.key.id for each in people[:3]]


def test_what_part_is_behind_a_place_is_told_by_its_key(alerting, services):
    people = alerting.know(7)

    batch = read(EVERYBODY, services, most=4)

    part = int(key_in(services, people[3])[:8], 16) / 16**8
    assert batch.share == pytest.approx(part, abs=0.001)


def test_a_page_that_is_read_again_has_those_of_then_who_are_still_there(alerting, services):
    people = alerting.know(7)
    after = key_in(services, people[0])
    first = read(EVERYBODY, services, after=after, most=4)
    gone = people[2]
    services.accounts.delete(gone.channel_id, gone.user_id)

    again = read_again(EVERYBODY, services, first, after=after, most=1)

    assert user_ids(again.members) == user_ids([people[1], *people[3:5]])
    assert (again.up_to, again.share) == (first.up_to, first.share)


def test_the_audience_of_no_accounts_at_all_can_be_read_twice(app_settings):
    """Storage in which nobody was ever known, so that there is no last key."""
    nobody = {"odata.metadata": "x", "value": []}
    with LossyStorage(app_settings[STORAGE]) as storage:
        storage.answer(
            200, nobody, times=float("inf"), when=lambda request: "/accounts" in request.path
        )
        settings = {**app_settings, STORAGE: storage.connection_string}
        services = Services.of(Settings.from_environment(settings))

        first = read(EVERYBODY, services)
        again = read_again(EVERYBODY, services, first)

    assert first.members == again.members == []
    assert first.share == 1
    assert again.up_to == first.up_to


@pytest.mark.parametrize(
    ("audience", "expected"),
    [
        ({}, {"slack", "german", "tenant", "news"}),
        ({"channel_id": "slack"}, {"slack"}),
        ({"locale": "de"}, {"german"}),
        ({"locale": "DE-at"}, {"german"}),
        ({"tenant_id": "the-tenant"}, {"tenant"}),
        ({"interests": ("NEWS", "nothing")}, {"news"}),
        ({"interests": ("news",), "locale": "de"}, set()),
    ],
)
def test_all_that_is_given_of_an_audience_has_to_fit(alerting, services, audience, expected):
    make_known(
        services,
        [
            alerting.person("slack", channel_id="slack"),
            alerting.person("german", locale="de-AT"),
            alerting.person("tenant", tenant_id="the-tenant"),
            alerting.person("news", preferences={"interests": ["News"]}),
        ],
    )

    assert set(user_ids(read(to(**audience), services).members)) == expected


def test_the_audience_of_another_bot_is_not_ours(alerting, services, app_settings):
    alerting.know(2)
    another = Services.of(
        Settings.from_environment({**app_settings, "MicrosoftAppId": unique("another")})
    )

    assert read(EVERYBODY, another).members == []


def test_a_row_that_only_points_to_an_account_is_nobody(services):
    for _ in range(5):
        account = Account("msteams", unique("29:user"), aad_object_id=str(uuid4()))
        services.accounts.change("msteams", account.user_id, lambda _stored, a=account: a)

    found = read(EVERYBODY, services).members

    assert len(found) == 5
    assert len({each.id for each in found}) == 5


def test_of_thousands_no_more_are_read_than_are_wanted(alerting, services, storage_calls):
    alerting.know(THOUSANDS)
    storage_calls()

    batch = read(EVERYBODY, services, most=10)

    assert len(batch.members) == 10
    # Some of the rows are other bots', but not so many that one look was not enough.
    assert len(storage_calls()) == 1
    whole = [each for one in batches(EVERYBODY, [], services) for each in one.members]
    assert len({each.id for each in whole}) == len(whole) == THOUSANDS


def test_who_is_found_is_told_by_the_id_of_their_key_or_by_their_place(alerting, services):
    [person] = alerting.know(1)
    make_known(services, [person])
    row = Table(services.storage, "accounts").get(key_in(services, person), "account")
    assert row is not None
    keyless = {name: value for name, value in row.items() if name not in ("key", "keyId")}
    Table(services.storage, "accounts").put(keyless)

    [member] = read(EVERYBODY, services).members

    assert member.id == key_in(services, person)[:32]


# By recipients


def named(*user_ids, channel_id="msteams"):
    return [(channel_id, each) for each in user_ids]


def to_recipients(recipients):
    return replace(EVERYBODY, recipient_count=len(recipients))


def test_recipients_are_read_in_their_order_by_number(alerting, services):
    people = alerting.know(5)
    recipients = named(*user_ids(people))
    alert = to_recipients(recipients)

    first = read(alert, services, recipients, most=2)
    second = read(alert, services, recipients, after=first.up_to, most=2)
    third = read(alert, services, recipients, after=second.up_to, most=2)

    assert [user_ids(each.members) for each in (first, second, third)] == [
        user_ids(people[:2]),
        user_ids(people[2:4]),
        user_ids(people[4:]),
    ]
    assert [each.up_to for each in (first, second, third)] == ["2", "4", "5"]
    assert [each.share for each in (first, second, third)] == [0.4, 0.8, 1.0]
    again = read_again(alert, services, second, recipients, after="2", most=1)
    assert again == second


def test_a_recipient_of_whom_nothing_is_cached_is_told_by_their_number(services):
    recipients = named("29:a", "29:b", "29:c")

    batch = read(to_recipients(recipients), services, recipients, after="1")

    assert batch.members == [
        Member("r1", "msteams", "29:b", None),
        Member("r2", "msteams", "29:c", None),
    ]


def test_a_recipient_with_an_account_is_told_by_its_key(alerting, services):
    [person] = alerting.know(1)
    recipients = named(person.user_id)

    [member] = read(to_recipients(recipients), services, recipients).members

    assert (member.id, member.account) == (person.key.id, person)


@pytest.fixture
def known_by_two_ids(services):
    object_id, user_id = str(uuid4()), unique("29:user")
    account = Account("msteams", user_id, aad_object_id=object_id)
    services.accounts.change("msteams", user_id, lambda _stored: account)
    return object_id, user_id


def test_who_is_named_by_the_object_id_is_the_account(services, known_by_two_ids):
    object_id, user_id = known_by_two_ids
    recipients = named(object_id)

    assert user_ids(read(to_recipients(recipients), services, recipients).members) == [user_id]


@pytest.mark.parametrize("most", [1, 10])
def test_who_is_named_by_both_ids_is_in_it_once(services, known_by_two_ids, most):
    object_id, user_id = known_by_two_ids
    recipients = named(object_id, user_id, object_id.upper())

    members = []
    after = ""
    while after != "3":
        batch = read(to_recipients(recipients), services, recipients, after=after, most=most)
        members += batch.members
        after = batch.up_to

    assert user_ids(members) == [user_id]


def test_recipients_of_a_page_are_looked_up_at_once(services, app_settings):
    recipients = named(*(f"29:{number}" for number in range(8)))
    with LossyStorage(app_settings[STORAGE]) as storage:
        storage.block()
        settings = {**app_settings, STORAGE: storage.connection_string}
        slow = Services.of(Settings.from_environment(settings))
        with ThreadPoolExecutor() as pool:
            reading = pool.submit(read, to_recipients(recipients), slow, recipients)
            storage.wait_for_waiting(8)
            storage.release()
            assert len(reading.result().members) == 8


# Members


def test_who_is_known_and_has_a_conversation_takes_one_call_and_others_two(alerting):
    person = alerting.person("29:alex")

    def calls(account):
        return Member("id", "msteams", "29:alex", account).calls

    assert calls(person) == 1
    assert calls(replace(person, conversation=None)) == 2
    assert calls(None) == 2


@pytest.mark.parametrize(
    ("account", "service_url", "tenant_id"),
    [
        ({}, "/teams/", "tenant"),
        ({"tenant_id": None}, "/teams/", "-"),
        ({"conversation": None, "tenant_id": None}, "/teams/", TENANT_ID),
        ({"service_url": None}, "/teams/", "tenant"),
    ],
)
def test_a_member_is_in_the_lane_that_their_calls_are_in(
    alerting, services, connector, account, service_url, tenant_id
):
    member = Member("id", "msteams", "29:alex", alerting.person("29:alex", **account))

    assert member.lane(services) == Lane.of(f"{connector.url}{service_url}", tenant_id)


def test_a_stranger_is_in_the_lane_of_the_bots_own_tenant(services, connector):
    member = Member("r1", "msteams", "29:alex", None)

    assert member.lane(services) == Lane.of(connector.url, TENANT_ID)


@pytest.mark.parametrize(
    ("account", "refusal"),
    [
        ({}, None),
        ({"preferences": {"muted": True}}, "The person wants no alerts"),
        ({"preferences": {"mutedTopics": ["NEWS"]}}, "The person wants no alerts on this topic"),
        ({"preferences": {"mutedTopics": ["other"]}}, None),
        ({"blocked": True}, "The person has blocked the bot"),
        ({"installed": False}, "The person has not installed the bot, or not any more"),
        ({"blocked": True, "probe_at": NOW - timedelta(seconds=1)}, None),
        (
            {"blocked": True, "probe_at": NOW + timedelta(days=1)},
            "The person has blocked the bot",
        ),
    ],
)
def test_a_member_who_wants_none_or_is_out_of_reach_is_refused(alerting, account, refusal):
    member = Member("id", "msteams", "29:alex", alerting.person("29:alex", **account))

    assert member.refusal("news") == refusal


def test_of_a_stranger_nothing_is_known_to_the_contrary():
    assert Member("r1", "msteams", "29:alex", None).refusal("news") is None
