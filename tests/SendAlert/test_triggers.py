from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from SendAlert.triggers import (
    cancel_alert_http,
    edit_alert_http,
    get_alert_http,
    list_alert_deliveries_http,
    list_alerts_http,
    list_answers_http,
    recall_alert_http,
    retry_alert_http,
    send_alert_from_queue,
    send_alert_http,
)
from shared.accounts.account import Account
from shared.alerts.question import AnswerMode
from shared.deliveries.delivery import Status
from shared.messages.queue_names import SEND_ACTIVITY, SEND_ALERT
from tests.SendAlert.alerting import recipients
from tests.support import asked
from tests.support.builders import answer_of, http_request, invocation, queue_message, unique

NEWS = {"audience": {}, "activity": {"text": "News"}}
LATER = (datetime.now(UTC) + timedelta(days=1)).isoformat()


@pytest.fixture(autouse=True)
def app(deployed, queue_reader):
    queue_reader(SEND_ALERT)
    return deployed


def send(body, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return send_alert_http(http_request("POST", body, headers=headers))


def send_later():
    """Send an alert that is due tomorrow; return its id."""
    return answer_of(send({**NEWS, "sendAt": LATER}))[1]["id"]


def ask(function, alert_id, body=b"", **params):
    route = {"id": alert_id}
    return answer_of(function(http_request("GET", body, route=route, params=params)))


def listed(**params):
    return answer_of(list_alerts_http(http_request("GET", params=params)))


def test_an_alert_is_accepted_and_says_where_it_is_followed():
    alert_id = unique("a/1 ü")

    response = send({**NEWS, "id": alert_id})

    own = f"/api/alerts/{quote(alert_id, safe='')}"
    assert response.headers["Location"] == own
    assert answer_of(response) == (
        202,
        {
            "id": alert_id,
            "status": "accepted",
            "links": {
                "self": own,
                "deliveries": f"{own}/deliveries",
                "answers": f"{own}/answers",
                "cancel": f"{own}/cancel",
                "retry": f"{own}/retry",
                "activity": f"{own}/activity",
            },
        },
    )
    assert ask(get_alert_http, alert_id.replace("/", "%2F"))[0] == 200
    assert ask(get_alert_http, "-", id=alert_id)[0] == 200


def test_an_alert_without_an_id_gets_one_of_its_own():
    ids = {answer_of(send(NEWS))[1]["id"] for _ in range(2)}

    assert len(ids) == 2
    assert {each["id"] for each in listed()[1]["alerts"]} == ids


def test_an_idempotency_key_gives_the_id_though_the_answer_was_lost(app):
    key = unique("key")

    first = answer_of(send(NEWS, Idempotency_Key=key))
    again = answer_of(send(NEWS, Idempotency_Key=key))
    # As if the answer had never been kept.
    for row in app.storage.table("idempotency").list_entities():
        app.storage.table("idempotency").delete_entity(row["PartitionKey"], row["RowKey"])
    afresh = answer_of(send(NEWS, Idempotency_Key=key))

    assert first == again == afresh
    assert key not in first[1]["id"]
    assert len(listed()[1]["alerts"]) == 1


def test_how_far_an_alert_is_says_all_of_it():
    alert = {
        "recipients": recipients("U1", "U2", channel_id="slack"),
        "activity": {"text": "News"},
        "topic": "orders",
        "topicName": "Orders",
        "sendAt": LATER,
    }
    accepted = answer_of(send(alert))[1]

    status, shown = ask(get_alert_http, accepted["id"])

    assert status == 200
    for time in ("createdAt", "updatedAt"):
        datetime.fromisoformat(shown.pop(time))
    assert shown == {
        **accepted,
        "status": "scheduled",
        "version": 1,
        "topic": "orders",
        "topicName": "Orders",
        "recipients": 2,
        "sendAt": LATER,
        "counts": {**{status.value: 0 for status in Status}, "accepted": 2},
        "total": 2,
        "isEstimate": True,
        "progress": 0.0,
    }


@pytest.mark.parametrize(
    "audience",
    [{}, {"interests": ["news"], "channelId": "slack", "locale": "de", "tenantId": "t"}],
)
def test_the_audience_of_an_alert_is_shown(audience):
    alert_id = answer_of(send({**NEWS, "audience": audience}))[1]["id"]

    assert ask(get_alert_http, alert_id)[1]["audience"] == audience


def test_a_dry_run_is_answered_with_how_many_it_would_reach(app):
    app.accounts.change_or_make("slack", "U1", lambda _stored: Account("slack", "U1", locale="de"))

    answer = answer_of(send({**NEWS, "dryRun": True}))

    reach = {
        "total": 1,
        "suppressed": 0,
        "isEstimate": False,
        "byChannel": {"slack": 1},
        "byLocale": {"de": 1},
    }
    assert answer == (200, reach)
    assert listed() == (200, {"alerts": []})


@pytest.mark.parametrize(
    ("body", "status", "fields"),
    [
        (b"not json", 400, ["(body)"]),
        ({**NEWS, "activity": {"text": "${nothing}"}}, 400, ["activity.text"]),
        ({**NEWS, "activity": {"text": "x" * 60_000}}, 413, ["activity.text"]),
        ({**NEWS, "nobody": True}, 400, ["nobody"]),
        (
            {**NEWS, "activity": {"text": "x", "recipient": {"id": "29:a", "isTargeted": True}}},
            400,
            ["activity.recipient.isTargeted"],
        ),
    ],
    ids=["JSON", "placeholder", "size", "field", "for each person alone already"],
)
def test_an_alert_that_is_wrong_is_refused_and_not_kept(body, status, fields):
    got, problem = answer_of(send(body))

    assert (got, problem["code"]) == (status, "InvalidRequest")
    assert [each["field"] for each in problem["errors"]] == fields
    assert listed() == (200, {"alerts": []})


@pytest.mark.parametrize("mode", AnswerMode)
def test_answers_are_counted_and_listed_with_who_gave_them_until_they_are_erased(app, mode):
    alert = asked.ask(app, mode)
    people = [asked.reached(app, alert) for _ in range(3)]
    assert ask(get_alert_http, alert.id)[1]["answers"] == {"take": 0, "later": 0}
    assert ask(list_answers_http, alert.id) == (200, {"answers": []})
    for person, option in zip(people, ("later", "take", "later"), strict=True):
        person.clicks(option)
    given = people[:1] if mode is AnswerMode.FIRST else people

    listed: list[dict] = []
    page: dict = {"continuationToken": None}
    while "continuationToken" in page:
        token = page["continuationToken"]
        params = {"pageSize": "2", **({"continuationToken": token} if token else {})}
        status, page = ask(list_answers_http, alert.id, **params)
        assert status == 200
        listed += page["answers"]

    assert {each["userId"] for each in listed} == {each.account.user_id for each in given}
    assert {(each["channelId"], each["name"]) for each in listed} == {("msteams", "Alex")}
    assert sorted(each["option"] for each in listed) == (["later", "later", "take"])[: len(given)]
    assert all(datetime.fromisoformat(each["at"]) > asked.NOW for each in listed)
    for person in people:
        app.accounts.erase("msteams", person.account.user_id)
    _, page = ask(list_answers_http, alert.id)
    assert [each.keys() for each in page["answers"]] == [{"option", "at"}] * len(given)
    counted = ask(get_alert_http, alert.id)[1]["answers"]
    # As they were five seconds ago at most, where each answers.
    assert counted in ({"take": 0, "later": 1}, {"take": 0, "later": 0})


def test_an_alert_is_edited_cancelled_and_recalled():
    alert_id = send_later()

    answers = [
        ask(edit_alert_http, alert_id, {"text": "Edited"}),
        ask(retry_alert_http, alert_id),
        ask(cancel_alert_http, alert_id),
        ask(recall_alert_http, alert_id),
    ]

    assert [(status, body["status"], body["version"]) for status, body in answers] == [
        (202, "scheduled", 2),
        (202, "scheduled", 2),
        (200, "cancelled", 2),
        (202, "recalled", 3),
    ]
    edited, recalled = answers[0][1], answers[3][1]
    assert (edited["current"], recalled["recalled"]) == (0, 0)
    assert (recalled["progress"], recalled["isEstimate"]) == (1.0, False)
    status, problem = ask(edit_alert_http, alert_id, {"text": "Late"})
    assert (status, problem["code"]) == (409, "AlertOver")


@pytest.mark.parametrize(
    "function",
    [
        get_alert_http,
        list_alert_deliveries_http,
        cancel_alert_http,
        retry_alert_http,
        recall_alert_http,
    ],
)
def test_an_unknown_alert_is_not_found(function):
    status, problem = ask(function, "nothing")

    assert (status, problem["code"]) == (404, "UnknownAlert")


def test_an_edit_of_an_unknown_alert_keeps_nothing(storage_calls):
    storage_calls()

    assert ask(edit_alert_http, "nothing", {"text": "Edited"})[0] == 404
    assert [call for call in storage_calls() if not call.startswith("GET")] == []


def test_lists_name_what_is_wrong_with_their_parameters():
    alert_id = send_later()

    assert ask(list_alert_deliveries_http, alert_id, status="sent") == (200, {"deliveries": []})
    for answer, field in (
        (ask(list_alert_deliveries_http, alert_id, continuationToken="x"), "continuationToken"),
        (listed(continuationToken="!"), "continuationToken"),
    ):
        status, problem = answer
        assert (status, problem["errors"][0]["field"]) == (400, field)


def test_an_alert_from_the_queue_is_accepted_and_then_read_step_by_step(app, queue_reader):
    app.accounts.change_or_make("msteams", "29:alex", lambda _stored: Account("msteams", "29:alex"))
    steps, sends = queue_reader(SEND_ALERT), queue_reader(SEND_ACTIVITY)
    steps.clear()
    sends.clear()

    send_alert_from_queue(queue_message({**NEWS, "id": "order-7"}), invocation("00-a-b-01"))

    [step] = steps.take()
    assert (step["_flow"]["alert"], step["_flow"]["step"]["kind"]) == ("order-7", "read")
    assert step["_flow"]["traceparent"] == "00-a-b-01"
    send_alert_from_queue(queue_message(step), invocation())
    assert sends.count() == 1
    [step] = steps.take()
    assert step["_flow"]["step"]["kind"] == "close"
