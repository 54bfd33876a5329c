"""Messages to the members of a page, put on their queues just in time."""

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
from shared.messages.envelope import Envelope
from shared.messages.queue_names import SEND_ACTIVITY
from shared.sending.alert_steps import whole_seconds_until
from shared.throttling.lane import Lane
from shared.throttling.pacer import Pacer
from tests.support.builders import unique
from tests.support.clocks import FakeClock

THEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
LANE, OTHER = Lane("one.example.com", "tenant"), Lane("other.example.com", "tenant")
STRANGER = Member("r7", "msteams", "29:stranger", None)
ALERT = Alert("order-7", THEN, THEN, fingerprint="", content_key="")


@pytest.fixture
def clock():
    return FakeClock(datetime.now(UTC))


@pytest.fixture
def paced(services, clock):
    """The same services, with so many calls a second."""

    def with_rate(rate_per_second):
        pacer = Pacer(
            services.storage,
            unique("app"),
            rate_per_second=rate_per_second,
            clock=clock,
            sleep=clock.sleep,
        )
        return replace(services, pacer=pacer)

    return with_rate


def page_of(count=0, lanes=None):
    members = tuple(map(str, range(count)))
    return AudiencePage(ALERT.id, 3, "", "", THEN, members, lanes or {}, share=1.0)


def member(alerting, **known):
    account = alerting.person(unique("29:user"), **known)
    return Member(account.key.id, account.channel_id, account.user_id, account)


def messages(members, services, alert=ALERT):
    due = dict.fromkeys([each.lane(services) for each in members], THEN)
    return messages_to(members, due, alert, page_of(), services)


def seconds(times, start):
    return [(each - start).total_seconds() for each in times]


# How many


def test_the_calls_of_a_page_take_half_of_the_lead_time_at_most(paced):
    for rate in (0.1, 1, 7, 10, 40, 1000):
        services = paced(rate)
        size = page_size(services)
        assert size >= 1
        assert size == 1 or size * services.pacer.alert_interval <= LEAD_TIME / 2
    assert page_size(paced(1000)) == page_size(paced(100_000)) < 1000


@pytest.mark.parametrize("rate", [1, 7, 40])
def test_a_page_of_strangers_fits_though_others_are_sent_to(paced, rate):
    services = paced(rate)
    # The slots that are reserved for the others lie a little ahead.
    services.pacer.reserve(LANE)

    due = schedule({LANE: 2 * page_size(services)}, services)

    assert list(due) == [LANE]


def test_calls_that_take_longer_than_the_lead_time_can_be_scheduled(paced):
    assert list(schedule({LANE: 30}, paced(1))) == [LANE]


# When


def test_the_calls_of_a_lane_are_due_one_after_the_other(alerting, services):
    newcomer = member(alerting, conversation=None)
    members = [member(alerting), newcomer, STRANGER, member(alerting, tenant_id="other")]
    members += [member(alerting) for _ in range(2)]

    found = messages(members, services)

    interval = services.pacer.alert_interval.total_seconds()
    due: dict[Lane, list[float]] = {}
    for each, message in zip(members, found, strict=True):
        due.setdefault(each.lane(services), []).extend(seconds([message.due_at], THEN))
    assert list(due.values()) == [
        # After the second one there is room for two calls: its conversation is started first.
        pytest.approx([0, interval, 3 * interval, 4 * interval]),
        [0],
        [0],
    ]


def test_the_last_call_is_that_of_the_lane_with_most(services):
    due = {LANE: THEN, OTHER: THEN + timedelta(seconds=1)}

    end = last_due(due, {LANE: 90, OTHER: 9}, services)

    assert end == THEN + 90 * services.pacer.alert_interval


# What


def test_a_message_has_all_but_the_content(alerting, services):
    to = member(alerting, name="Alex", locale="de")
    alert = replace(
        ALERT,
        topic="orders",
        expires_at=THEN + timedelta(hours=1),
        traceparent="00-a-b-01",
        version=3,
    )

    [message] = messages([to], services, alert)

    delivery_id = f"order-7:3:{to.id}"
    body = {
        "id": delivery_id,
        "recipient": {"channelId": "msteams", "userId": to.user_id},
        "topic": "orders",
        "expiresAt": (THEN + timedelta(hours=1)).isoformat(),
    }
    envelope = Envelope(
        id=delivery_id,
        accepted_at=THEN,
        posting=delivery_id,
        alert="order-7",
        snapshot=snapshot_of(to.account),
        traceparent="00-a-b-01",
    )
    assert message == DueMessage(SEND_ACTIVITY, body, envelope, THEN)


@pytest.mark.parametrize("known", [{"blocked": True}, {"installed": False}, {"conversation": None}])
def test_who_is_out_of_reach_is_looked_up_again_when_it_is_sent(alerting, services, known):
    [message] = messages([member(alerting, **known)], services)

    assert message.envelope.snapshot is None
    assert message.body.keys() == {"id", "recipient"}


def test_a_message_can_be_taken_when_it_is_due(services, queue_reader):
    reader = queue_reader(unique("queue"))
    now = datetime.now(UTC)
    due = [now - timedelta(hours=1), now, now + timedelta(hours=1), now + timedelta(hours=2)]
    envelope = Envelope(id="x", accepted_at=now)

    enqueue(
        [
            DueMessage(reader._client.queue_name, {"id": str(number)}, envelope, due_at)
            for number, due_at in enumerate(due)
        ],
        services,
    )

    assert reader.count() == 4
    assert sorted(each["id"] for each in reader.take()) == ["0", "1"]


def test_a_delay_is_in_whole_seconds_rounded_down():
    assert whole_seconds_until(datetime.now(UTC) - timedelta(hours=1)) == 0
    almost_a_day = whole_seconds_until(datetime.now(UTC) + timedelta(days=1, seconds=-0.1))
    assert 23 * 60 * 60 < almost_a_day < 24 * 60 * 60


# Once more


def test_calls_to_a_part_of_a_page_are_spread_over_its_lanes(paced, clock):
    services = paced(10)
    page = page_of(10, {("one.example.com", "tenant"): 10})

    due = due_times(page, 4, services)

    interval = services.pacer.alert_interval.total_seconds()
    assert seconds(due, clock.now) == pytest.approx([n * interval for n in range(4)], abs=0.001)
    # The next ones come after these.
    [following] = due_times(page, 1, services)
    assert seconds([following], clock.now) == pytest.approx([4 * interval], abs=0.001)


def test_calls_that_it_is_too_early_for_are_held_back(paced):
    services = paced(1)
    page = page_of(9, {("one.example.com", "tenant"): 9})
    due_times(page, 9, services)

    with pytest.raises(HeldBackError):
        due_times(page, 9, services)


def test_a_paused_lane_does_not_delay_the_others(paced, clock):
    services = paced(10)
    services.pacer.throttled(OTHER, None, 3600)
    page = page_of(10, {("one.example.com", "tenant"): 8, ("other.example.com", "tenant"): 2})

    due = due_times(page, 10, services)

    assert len([each for each in due if each < clock.now + LEAD_TIME]) >= 8


def test_calls_to_no_known_lane_are_due_at_once(services):
    before = datetime.now(UTC)

    [due] = due_times(page_of(1), 1, services)

    assert before <= due <= datetime.now(UTC)
