"""Reading the audience of an alert in batches."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from SendAlert.audience import Member, batches, read_batch
from shared.accounts.account import Account
from shared.alerts.alert import Alert, Audience
from shared.alerts.audience_pages import AudiencePage
from shared.settings import Settings
from shared.storage.tables import Table, key_of
from shared.throttling.lane import Lane
from shared.wiring import Services
from tests.SendAlert.alerting import STORAGE, key_in, make_known
from tests.support.builders import TENANT_ID, unique
from tests.support.lossy_storage import LossyStorage

NOW = datetime.now(UTC)
EVERYBODY = Alert("alert-7", NOW, NOW, fingerprint="", content_key="")


def read(alert, services, recipients=(), *, after="", limit=100, page=None):
    return read_batch(alert, recipients, services, after=after, limit=limit, page=page)


def page_of(batch, after=""):
    members = tuple(each.id for each in batch.members)
    return AudiencePage("alert-7", 0, after, batch.up_to, NOW, members, {}, share=batch.share)


def user_ids(members):
    return [each.user_id for each in members]


# By account


def test_batches_are_read_one_after_the_other_in_the_order_of_the_keys(alerting, services):
    people = alerting.know(7)

    first = read(EVERYBODY, services, limit=3)
    second = read(EVERYBODY, services, after=first.up_to, limit=3)
    third = read(EVERYBODY, services, after=second.up_to, limit=3)

    assert [user_ids(each.members) for each in (first, second, third)] == [
        user_ids(people[:3]),
        user_ids(people[3:6]),
        user_ids(people[6:]),
    ]
    assert [each.id for each in first.members] == [each.key.id for each in people[:3]]
    assert first.up_to == key_in(services, people[2])
    # Keys are spread evenly, so a key tells which part of all is read.
    part = int(key_in(services, people[2])[:8], 16) / 16**8
    assert first.share == pytest.approx(part, abs=0.001)
    assert third.share == 1


def test_a_page_that_is_read_again_has_its_members_who_are_still_there(alerting, services):
    people = alerting.know(7)
    after = key_in(services, people[0])
    first = read(EVERYBODY, services, after=after, limit=4)
    services.accounts.erase("msteams", people[2].user_id)
    # Some of so many have keys between those of the others.
    newcomers = alerting.know(40)
    assert any(key_in(services, each) < first.up_to for each in newcomers)

    again = read(EVERYBODY, services, after=after, limit=1, page=page_of(first, after))

    assert user_ids(again.members) == user_ids([people[1], *people[3:5]])
    assert (again.up_to, again.share) == (first.up_to, first.share)


def test_the_audience_of_no_accounts_at_all_can_be_read_twice(app_settings):
    """Storage in which nobody was ever cached, so that there is no last key."""
    nobody = {"odata.metadata": "x", "value": []}
    with LossyStorage(app_settings[STORAGE]) as storage:
        storage.answer(
            200, nobody, times=float("inf"), when=lambda request: "/accounts" in request.path
        )
        settings = {**app_settings, STORAGE: storage.connection_string}
        services = Services.of(Settings.from_environment(settings))

        first = read(EVERYBODY, services)
        again = read(EVERYBODY, services, page=page_of(first))

    assert first.members == again.members == []
    assert first.share == 1
    assert again.up_to == first.up_to


def test_members_are_those_of_our_bots_people_who_match(alerting, services, app_settings):
    interested = alerting.know(1, preferences={"interests": ["News"]})
    alerting.know(1)
    another = Services.of(
        Settings.from_environment({**app_settings, "MicrosoftAppId": unique("another")})
    )
    to_interested = replace(EVERYBODY, audience=Audience(interests=("news",)))

    assert user_ids(read(to_interested, services).members) == user_ids(interested)
    assert read(EVERYBODY, another).members == []


def test_no_more_of_the_audience_is_read_than_is_needed(
    alerting, services, storage_calls, monkeypatch
):
    monkeypatch.setattr("SendAlert.audience._ROWS_AT_ONCE", 5)
    alerting.know(12)
    storage_calls()

    whole = [each for batch in batches(EVERYBODY, [], services) for each in batch.members]
    queries = len(storage_calls())
    read(EVERYBODY, services, limit=1)

    assert len({each.id for each in whole}) == len(whole) == 12
    assert len(storage_calls()) < queries


def test_a_member_without_a_key_has_an_id_of_their_place(alerting, services):
    [person] = alerting.know(1)
    accounts = Table(services.storage, "accounts")
    row = accounts.get(key_in(services, person), "account")
    assert row is not None
    accounts.put({name: value for name, value in row.items() if name not in ("key", "keyId")})

    [member] = read(EVERYBODY, services).members

    assert member.id == key_in(services, person)[:32]


def make_two_accounts(services):
    """Cache somebody by two ids, not knowing yet that both are theirs."""
    object_id, user_id = str(uuid4()), unique("29:user")
    for each in (user_id, object_id):
        services.accounts.change_or_make(
            "msteams", each, lambda _, each=each: Account("msteams", each)
        )
    return object_id, user_id


def join(services, object_id, user_id):
    services.accounts.change_or_make(
        "msteams", user_id, lambda stored: replace(stored.account, aad_object_id=object_id)
    )


@pytest.mark.parametrize("number", [0, 9])
def test_who_is_found_by_one_id_and_then_by_another_is_a_member_once(services, number):
    """Whatever the number of the page that was read first: several ranges are read at once."""

    def key(user_id):
        return key_of(services.settings.app_id, "msteams", user_id)

    alert = replace(EVERYBODY, id=unique("alert"))
    object_id, user_id = make_two_accounts(services)
    while key(object_id) > key(user_id):
        services.accounts.erase("msteams", object_id)
        services.accounts.erase("msteams", user_id)
        object_id, user_id = make_two_accounts(services)
    first = read(alert, services, limit=1)
    services.audience_pages.open(replace(page_of(first), alert_id=alert.id, number=number))
    before = read(alert, services, after=first.up_to)
    join(services, object_id, user_id)

    second = read(alert, services, after=first.up_to)
    recorded = replace(page_of(before, first.up_to), number=5)
    again = read(alert, services, after=first.up_to, page=recorded)

    assert user_ids(first.members) == [object_id]
    assert second.members == []
    # Where it was learnt too late, they stay on one of the two pages.
    assert user_ids(again.members) == ([] if number == 0 else [user_id])
    # Another alert finds them where they are.
    assert user_ids(read(EVERYBODY, services).members) == [user_id]


# By recipients


def named(*user_ids):
    return [("msteams", each) for each in user_ids]


def to_recipients(recipients):
    return replace(EVERYBODY, recipient_count=len(recipients))


def test_recipients_are_read_in_their_order_by_number(alerting, services):
    people = alerting.know(5)
    recipients = named(*user_ids(people))
    alert = to_recipients(recipients)

    first = read(alert, services, recipients, limit=2)
    second = read(alert, services, recipients, after=first.up_to, limit=2)
    third = read(alert, services, recipients, after=second.up_to, limit=2)

    assert [each.account for batch in (first, second, third) for each in batch.members] == people
    assert [each.id for each in first.members] == [each.key.id for each in people[:2]]
    assert [each.up_to for each in (first, second, third)] == ["2", "4", "5"]
    assert [each.share for each in (first, second, third)] == pytest.approx([0.4, 0.8, 1.0])
    assert third.share == 1
    again = read(alert, services, recipients, after="2", limit=1, page=page_of(second, "2"))
    assert again == second


def test_a_recipient_who_is_not_cached_keeps_the_number_when_they_are_cached_later(
    alerting, services
):
    recipients = named("29:a", "29:b", "29:c")
    alert = to_recipients(recipients)

    batch = read(alert, services, recipients, after="1")
    make_known(services, [alerting.person("29:b")])
    again = read(alert, services, recipients, after="1", page=page_of(batch, "1"))

    assert batch.members == [
        Member("r1", "msteams", "29:b", None),
        Member("r2", "msteams", "29:c", None),
    ]
    assert [(each.id, each.account is not None) for each in again.members] == [
        ("r1", True),
        ("r2", False),
    ]


@pytest.mark.parametrize("limit", [1, 10])
def test_a_person_who_is_named_by_both_their_ids_is_one_member(services, limit):
    object_id, user_id = str(uuid4()), unique("29:user")
    account = Account("msteams", user_id, aad_object_id=object_id)
    services.accounts.change_or_make("msteams", user_id, lambda _stored: account)

    def members(*ids):
        members = []
        after = ""
        while after != str(len(ids)):
            batch = read(to_recipients(ids), services, named(*ids), after=after, limit=limit)
            members += batch.members
            after = batch.up_to
        return user_ids(members)

    assert members(object_id) == [user_id]
    assert members(object_id, user_id, object_id.upper()) == [user_id]


@pytest.mark.parametrize("object_id_first", [True, False])
def test_a_person_whose_two_ids_are_joined_between_two_pages_is_one_member(
    services, object_id_first
):
    object_id, user_id = make_two_accounts(services)
    ids = [object_id, user_id] if object_id_first else [user_id, object_id]
    alert, recipients = to_recipients(ids), named(*ids)
    first = read(alert, services, recipients, limit=1)
    join(services, object_id, user_id)

    second = read(alert, services, recipients, after="1", limit=1)
    again = read(alert, services, recipients, limit=1, page=page_of(first))

    assert user_ids(first.members) == ids[:1]
    assert second.members == []
    # They have the delivery that they had.
    assert [each.id for each in again.members] == [each.id for each in first.members]


def test_recipients_are_looked_up_at_once(services, app_settings):
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


def a_member(alerting, **known):
    return Member("id", "msteams", "29:alex", alerting.person("29:alex", **known))


STRANGER = Member("r1", "msteams", "29:alex", None)


def test_a_member_with_a_conversation_takes_one_call_and_others_two(alerting):
    assert a_member(alerting).calls == 1
    assert a_member(alerting, conversation=None).calls == 2
    assert STRANGER.calls == 2


@pytest.mark.parametrize(
    ("known", "path", "tenant_id"),
    [
        ({"service_url": None}, "/teams/", "tenant"),
        ({"tenant_id": None}, "/teams/", "-"),
        ({"tenant_id": None, "conversation": None}, "/teams/", TENANT_ID),
        ({"service_url": "https://other.example.com"}, None, "tenant"),
    ],
)
def test_a_member_is_in_the_lane_that_their_calls_are_in(
    alerting, services, connector, known, path, tenant_id
):
    service_url = f"{connector.url}{path}" if path else known["service_url"]

    assert a_member(alerting, **known).lane(services) == Lane.of(service_url, tenant_id)


def test_a_stranger_is_in_the_lane_of_the_bots_own_tenant(services, connector):
    assert STRANGER.lane(services) == Lane.of(connector.url, TENANT_ID)


def test_a_member_who_wants_nothing_of_the_topic_is_refused(alerting):
    muted = a_member(alerting, preferences={"mutedTopics": ["NEWS"]})

    assert muted.refusal("news") == "The person wants no alerts on this topic"
    assert muted.refusal("other") is None
    assert STRANGER.refusal("news") is None
