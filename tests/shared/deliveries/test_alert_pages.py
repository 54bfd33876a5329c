"""The deliveries of an alert: recorded and read page by page, and what is noted of them later."""

from dataclasses import replace
from typing import Any

from shared.deliveries.delivery import DeliveryState, Status
from shared.deliveries.rows import member_of
from tests.shared.deliveries.recording import claim, of_alert, settle


def members(count):
    return [f"{number:032x}" for number in range(count)]


def test_what_becomes_of_a_whole_page_is_recorded_in_few_calls(deliveries, storage_calls):
    deliveries.record(of_alert("r0", page=9, status=Status.SENT))
    results = [of_alert(each, status=Status.SUPPRESSED, code="x") for each in members(250)]
    storage_calls()

    deliveries.record_all(results)

    assert len(storage_calls()) == 3
    assert [deliveries.find(each.id) for each in deliveries.page("alert-7", 0)] == results
    storage_calls()
    deliveries.record_all([])
    assert storage_calls() == []


def test_what_is_recorded_already_of_a_page_stays(deliveries):
    sent, sending, failed, *others = members(6)
    settle(deliveries, claim(deliveries, of_alert(sent)), Status.SENT)
    claimed = claim(deliveries, of_alert(sending))
    settle(deliveries, claim(deliveries, of_alert(failed)), Status.PERMANENT_FAILURE)

    deliveries.record_all([of_alert(each, status=Status.SUPPRESSED) for each in members(6)])

    found = {member_of(each.id): each.status for each in deliveries.page("alert-7", 0)}
    assert found == {
        sent: Status.SENT,
        sending: Status.SENDING,
        failed: Status.PERMANENT_FAILURE,
        **dict.fromkeys(others, Status.SUPPRESSED),
    }
    settle(deliveries, claimed, Status.SENT)
    assert deliveries.find(claimed.delivery.id).status is Status.SENT


def test_the_pages_of_alerts_are_apart(deliveries):
    for page, alert_id in [(0, "alert-7"), (1, "alert-7"), (0, "alert-8")]:
        deliveries.record(of_alert("r1", page, alert_id, status=Status.SENT))

    [found] = deliveries.page("alert-7", 1)
    assert found.id == "alert-7:1:r1"
    assert deliveries.page("alert-7", 2) == []


def test_a_page_is_read_in_one_call_as_far_as_counting_needs_it(deliveries, storage_calls):
    sees: dict[str, Any] = {
        "activity_id": "activity-1",
        "alert_version": 2,
        "recalled": True,
        "answers": 3,
    }
    settle(deliveries, claim(deliveries, of_alert("r1")), Status.SENT, **sees)
    claim(deliveries, of_alert("r2"))
    storage_calls()

    found = deliveries.page("alert-7", 0)

    assert len(storage_calls()) == 1
    assert found == [
        DeliveryState("alert-7:0:r1", Status.SENT, **sees),
        DeliveryState("alert-7:0:r2", Status.SENDING),
    ]


def test_what_a_person_sees_by_now_is_noted_and_all_else_stays(deliveries, alex):
    settle(
        deliveries,
        claim(deliveries, of_alert("r1", destination=alex)),
        Status.SENT,
        activity_id="activity-1",
        alert_version=1,
    )
    before = deliveries.find("alert-7:0:r1")

    deliveries.note_change("alert-7:0:r1", 2, "activity-8", recalled=False)
    assert deliveries.find("alert-7:0:r1") == replace(
        before, alert_version=2, activity_id="activity-8", answers=0
    )
    deliveries.note_change("alert-7:0:r1", 3, "activity-8", recalled=True, answers=2)
    assert deliveries.find("alert-7:0:r1") == replace(
        before, alert_version=3, activity_id="activity-8", recalled=True, answers=2
    )
    # Who changed it before may be slow to say so.
    noted = deliveries.find("alert-7:0:r1")
    for version, answers in ((2, 3), (3, 1)):
        deliveries.note_change(
            "alert-7:0:r1", version, "activity-9", recalled=False, answers=answers
        )
    assert deliveries.find("alert-7:0:r1") == noted
    # Nothing is noted of what is not recorded.
    deliveries.note_change("alert-7:0:r2", 2, "activity-8", recalled=False)
    assert deliveries.get("alert-7:0:r2") is None
