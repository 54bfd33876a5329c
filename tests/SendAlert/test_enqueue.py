"""Messages for the members of a page, put on their queues so that each is in time."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from SendAlert.audience import Member
from SendAlert.enqueue import (
    LEAD_TIME,
    DueMessage,
    due_times,
    enqueue,
    last_due,
    messages_to,
    page_size,
    schedule,
)
from shared.alerts.alert import Alert
from shared.alerts.audience_pages import AudiencePage
from shared.errors import HeldBackError
from shared.messages.account_snapshot import snapshot_of
from shared.messages.envelope import SEND_ACTIVITY, Envelope
from shared.sending.alert_follow_up import whole_seconds_until
from shared.throttling.lane import Lane
from shared.throttling.pacer import DISABLED, Pacer
from tests.support.builders import unique

THEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
LANE, OTHER = Lane("one.example.com", "tenant"), Lane("other.example.com", "tenant")


class Clock:
    """A clock that a test moves on."""

    def __init__(self):
        self.now = datetime.now(UTC)

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def paced(services, clock):
    """The same services, with a pace of so many calls a second."""

    def with_rate(rate_per_second):
        pacer = Pacer(
            services.storage,
            services.settings.app_id,
            rate_per_second=rate_per_second,
            clock=clock,
            sleep=clock.sleep,
        )
        return replace(services, pacer=pacer)

    return with_rate


@pytest.fixture
def alert():
    return Alert(unique("alert"), THEN, THEN, fingerprint="", content_key="")


def page_of(alert, members=(), lanes=None, number=3):
    return AudiencePage(alert.id, number, "", "", THEN, tuple(members), lanes or {}, share=1.0)


def members_of(people):
    return [Member(each.key.id, each.channel_id, each.user_id, each) for each in people]


def seconds(due, start):
    return [(each - start).total_seconds() for each in due]


# How many


@pytest.mark.parametrize("rate", [0.1, 0.5, 1, 7, 10, 40, 100, 1000])
def test_the_calls_of_a_page_take_half_of_the_time_ahead_at_most(paced, rate):
    services = paced(rate)

    members = page_size(services)

    assert members == 1 or members * services.pacer.alert_interval <= LEAD_TIME / 2


def test_a_page_has_only_so_many_members_however_fast_they_are_reached(paced):
    assert page_size(paced(1000)) == page_size(paced(100_000)) < 1000


@pytest.mark.parametrize("rate", [1, 7, 10, 30, 40])
def test_a_page_of_strangers_fits_though_others_are_sent_to(paced, rate):
    services = paced(rate)
    # What is reserved for the others lies a little ahead.
    services.pacer.reserve(LANE)

    due = schedule({LANE: 2 * page_size(services)}, services)

    assert list(due) == [LANE]


# When


def test_the_messages_of_a_lane_are_due_one_after_the_other(alerting, alert, services):
    people = alerting.know(3)
    elsewhere = alerting.know(2, tenant_id="other")
    stranger = Member("r7", "msteams", "29:stranger", None)
    members = [*members_of(people[:1]), stranger, *members_of(people[1:] + elsewhere)]
    lanes = Counter(each.lane(services) for each in members)
    due = dict.fromkeys(lanes, THEN)

    messages = messages_to(members, due, alert, page_of(alert), services)

    interval = services.pacer.alert_interval.total_seconds()
    in_lane: dict[Lane, list[datetime]] = {}
    for member, message in zip(members, messages, strict=True):
        in_lane.setdefault(member.lane(services), []).append(message.due_at)
    assert [seconds(each, THEN) for each in in_lane.values()] == [
        pytest.approx([0, interval, 2 * interval]),
        # A stranger is started with first.
        [0],
        pytest.approx([0, interval]),
    ]


def test_after_who_takes_two_calls_there_is_room_for_both(alerting, alert, services):
    newcomers = [
        alerting.person(unique("29:user"), conversation=None, tenant_id="t") for _ in range(3)
    ]
    members = members_of(newcomers)

    messages = messages_to(
        members, {members[0].lane(services): THEN}, alert, page_of(alert), services
    )

    interval = services.pacer.alert_interval.total_seconds()
    assert seconds([each.due_at for each in messages], THEN) == pytest.approx(
        [0, 2 * interval, 4 * interval]
    )


def test_the_last_call_of_a_page_is_that_of_the_lane_with_most(services):
    due = {LANE: THEN, OTHER: THEN + timedelta(seconds=1)}

    end = last_due(due, {LANE: 90, OTHER: 9}, services)

    assert end == THEN + 90 * services.pacer.alert_interval


# What


def test_a_message_has_all_that_it_takes_but_what_is_said(alerting, alert, services):
    [person] = alerting.know(1, name="Alex", locale="de")
    told = replace(
        alert,
        topic="orders",
        expires_at=THEN + timedelta(hours=1),
        traceparent="00-a-b-01",
        version=3,
    )
    [member] = members_of([person])

    [message] = messages_to([member], {member.lane(services): THEN}, told, page_of(alert), services)

    delivery_id = f"{alert.id}:3:{person.key.id}"
    assert (message.queue, message.due_at) == (SEND_ACTIVITY, THEN)
    assert message.body == {
        "id": delivery_id,
        "recipient": {"channelId": "msteams", "userId": person.user_id},
        "topic": "orders",
        "expiresAt": (THEN + timedelta(hours=1)).isoformat(),
    }
    assert message.envelope == Envelope(
        id=delivery_id,
        accepted_at=THEN,
        posting=delivery_id,
        alert=alert.id,
        reference=snapshot_of(person),
        traceparent="00-a-b-01",
    )


@pytest.mark.parametrize("known", [{"blocked": True}, {"installed": False}, {"conversation": None}])
def test_who_is_out_of_reach_or_not_started_with_is_looked_up_by_who_sends(
    alerting, alert, services, known
):
    [member] = members_of(alerting.know(1, **known))

    [message] = messages_to(
        [member], {member.lane(services): THEN}, alert, page_of(alert), services
    )

    assert message.envelope.reference is None
    assert message.body.keys() == {"id", "recipient"}


def test_each_message_is_seen_when_it_is_due(services, queue_reader, storage_calls):
    reader = queue_reader(unique("queue"))
    name = reader._client.queue_name
    now = datetime.now(UTC)
    messages = [
        DueMessage(name, {"id": str(number)}, Envelope(id="x", accepted_at=now), due_at)
        for number, due_at in enumerate(
            (now - timedelta(hours=1), now, now + timedelta(hours=1), now + timedelta(hours=2))
        )
    ]

    enqueue(messages, services)

    assert reader.count() == 4
    assert sorted(each["id"] for each in reader.take()) == ["0", "1"]


def test_a_delay_is_whole_seconds_and_rather_too_few():
    assert whole_seconds_until(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert whole_seconds_until(datetime.now(UTC) + timedelta(seconds=59.9)) == 59


# Once more


def test_a_part_of_a_page_is_spread_over_its_lanes(paced, alert, clock):
    services = paced(10)
    page = page_of(alert, members=map(str, range(10)), lanes={("one.example.com", "tenant"): 10})

    due = due_times(page, 4, services)

    interval = services.pacer.alert_interval.total_seconds()
    assert seconds(due, clock.now) == pytest.approx([n * interval for n in range(4)], abs=0.001)
    # The next ones come after these.
    [following] = due_times(page, 1, services)
    assert seconds([following], clock.now) == pytest.approx([4 * interval], abs=0.001)


def test_nothing_once_more_takes_no_time(paced, alert, storage_calls):
    services = paced(10)
    page = page_of(alert, members=["1"], lanes={("one.example.com", "tenant"): 1})
    storage_calls()

    assert due_times(page, 0, services) == []
    assert storage_calls() == []


def test_a_part_that_it_is_not_time_for_is_held_back(paced, alert):
    services = paced(1)
    page = page_of(alert, members=map(str, range(9)), lanes={("one.example.com", "tenant"): 9})
    due_times(page, 9, services)

    with pytest.raises(HeldBackError):
        due_times(page, 9, services)


def test_a_lane_that_is_paused_does_not_stretch_the_others(paced, alert, clock):
    services = paced(10)
    services.pacer.pause(OTHER, probe_seconds=3600, reason=DISABLED)
    lanes = {("one.example.com", "tenant"): 8, ("other.example.com", "tenant"): 2}
    page = page_of(alert, members=map(str, range(10)), lanes=lanes)

    due = due_times(page, 10, services)

    assert len([each for each in due if each < clock.now + LEAD_TIME]) >= 8


def test_who_is_in_no_lane_that_is_known_is_due_at_once(services, alert):
    before = datetime.now(UTC)

    [due] = due_times(page_of(alert, members=["1"]), 1, services)

    assert before <= due <= datetime.now(UTC)
