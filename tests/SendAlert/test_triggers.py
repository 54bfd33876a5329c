from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from SendAlert.triggers import (
    cancel_alert_http,
    edit_alert_http,
    get_alert_http,
    list_alert_deliveries_http,
    list_alerts_http,
    recall_alert_http,
    retry_alert_http,
    send_alert_from_queue,
    send_alert_http,
)
from shared.messages.envelope import SEND_ALERT
from tests.support.builders import answer_of, http_request, invocation, queue_message, unique

NEWS = {"audience": {}, "activity": {"text": "News"}}
LATER = (datetime.now(UTC) + timedelta(days=1)).isoformat()
STATUSES = (
    "accepted",
    "sending",
    "retrying",
    "sent",
    "permanent-failure",
    "temporary-failure",
    "technical-failure",
    "suppressed",
    "expired",
    "cancelled",
)


@pytest.fixture(autouse=True)
def app(deployed, queue_reader):
    queue_reader(SEND_ALERT)
    return deployed


def send(body, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return send_alert_http(http_request("POST", body, headers=headers))


def ask(function, alert_id, body=b"", **params):
    route = {"id": alert_id}
    return answer_of(function(http_request("GET", body, route=route, params=params)))


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
                "cancel": f"{own}/cancel",
                "retry": f"{own}/retry",
                "activity": f"{own}/activity",
            },
        },
    )
    assert ask(get_alert_http, alert_id.replace("/", "%2F"))[0] == 200
    assert ask(get_alert_http, "-", id=alert_id)[0] == 200


def test_an_alert_without_an_id_gets_one_of_its_own():
    ids = [answer_of(send(NEWS))[1]["id"] for _ in range(2)]

    assert len(set(ids)) == 2


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
    assert len(answer_of(list_alerts_http(http_request("GET")))[1]["alerts"]) == 1


def test_how_far_an_alert_is_says_all_of_it():
    recipients = [{"channelId": "slack", "userId": "U1"}, {"channelId": "slack", "userId": "U2"}]
    alert = {
        "recipients": recipients,
        "activity": {"text": "News"},
        "topic": "orders",
        "topicName": "Orders",
        "sendAt": LATER,
    }
    accepted = answer_of(send(alert))[1]

    status, told = ask(get_alert_http, accepted["id"])

    assert status == 200
    for time in ("createdAt", "updatedAt"):
        datetime.fromisoformat(told.pop(time))
    assert told == {
        **accepted,
        "status": "scheduled",
        "version": 1,
        "topic": "orders",
        "topicName": "Orders",
        "recipients": 2,
        "sendAt": LATER,
        "counts": {**dict.fromkeys(STATUSES, 0), "accepted": 2},
        "total": 2,
        "isEstimate": True,
        "progress": 0.0,
    }


def test_whom_an_alert_is_for_is_told():
    audience = {"interests": ["news"], "channelId": "slack", "locale": "de", "tenantId": "t"}
    alert_id = answer_of(send({**NEWS, "audience": audience}))[1]["id"]
    to_all = answer_of(send(NEWS))[1]["id"]

    assert ask(get_alert_http, alert_id)[1]["audience"] == audience
    assert ask(get_alert_http, to_all)[1]["audience"] == {}


def test_a_dry_run_is_answered_with_whom_it_would_reach(app):
    app.accounts.change("slack", "U1", lambda _stored: known("slack", "U1", locale="de"))

    answer = answer_of(send({**NEWS, "dryRun": True}))

    reach = {
        "total": 1,
        "suppressed": 0,
        "isEstimate": False,
        "byChannel": {"slack": 1},
        "byLocale": {"de": 1},
    }
    assert answer == (200, reach)
    assert answer_of(list_alerts_http(http_request("GET"))) == (200, {"alerts": []})


def known(channel_id, user_id, **fields):
    from shared.accounts.account import Account

    return Account(channel_id, user_id, **fields)


@pytest.mark.parametrize(
    ("body", "status", "fields"),
    [
        (b"not json", 400, ["(body)"]),
        (b"[]", 400, ["(body)"]),
        ({}, 400, ["audience"]),
        ({"audience": {}}, 400, ["activity"]),
        ({**NEWS, "activity": {"text": "${nothing}"}}, 400, ["activity.text"]),
        ({**NEWS, "activity": {"text": "x" * 60_000}}, 413, ["activity.text"]),
        ({**NEWS, "nobody": True}, 400, ["nobody"]),
        (b" " * 5_000_000, 413, ["(body)"]),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_wrong_is_named_and_nothing_accepted(body, status, fields):
    got, problem = answer_of(send(body))

    assert (got, problem["code"]) == (status, "InvalidRequest")
    assert [each["field"] for each in problem["errors"]] == fields
    assert answer_of(list_alerts_http(http_request("GET"))) == (200, {"alerts": []})


def test_another_alert_with_its_id_is_refused():
    alert_id = unique("alert")
    send({**NEWS, "id": alert_id})

    status, problem = answer_of(send({**NEWS, "id": alert_id, "topic": "orders"}))

    assert (status, problem["code"]) == (409, "AlertExists")


def test_alerts_are_listed_in_pages():
    ids = {answer_of(send(NEWS))[1]["id"] for _ in range(3)}

    def page(**params):
        return answer_of(list_alerts_http(http_request("GET", params=params)))[1]

    found, token = [], None
    while True:
        listed = page(pageSize="2", **({"continuationToken": token} if token else {}))
        found += [each["id"] for each in listed["alerts"]]
        token = listed.get("continuationToken")
        if token is None:
            break
    assert sorted(found) == sorted(ids)
    status, problem = answer_of(list_alerts_http(http_request("GET", params={"pageSize": "x"})))
    assert (status, problem["errors"][0]["field"]) == (400, "pageSize")


def test_an_alert_is_edited_cancelled_and_recalled():
    alert_id = answer_of(send({**NEWS, "sendAt": LATER}))[1]["id"]

    edited = ask(edit_alert_http, alert_id, {"text": "Edited"})
    retried = ask(retry_alert_http, alert_id)
    cancelled = ask(cancel_alert_http, alert_id)
    recalled = ask(recall_alert_http, alert_id)

    assert [status for status, _ in (edited, retried, cancelled, recalled)] == [202, 202, 200, 202]
    assert [body["status"] for _, body in (edited, retried, cancelled, recalled)] == [
        "scheduled",
        "scheduled",
        "cancelled",
        "recalled",
    ]
    assert [body["version"] for _, body in (edited, recalled)] == [2, 3]
    assert edited[1]["current"] == 0
    assert recalled[1]["recalled"] == 0
    assert (recalled[1]["progress"], recalled[1]["isEstimate"]) == (1.0, False)
    status, problem = ask(edit_alert_http, alert_id, {"text": "Late"})
    assert (status, problem["code"]) == (409, "AlertOver")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "(body)"),
        ({"activity": {"text": 5}}, "activity.text"),
        ({"text": "${nothing}"}, "activity.text"),
    ],
)
def test_what_is_wrong_with_an_edit_is_named(body, field):
    alert_id = answer_of(send({**NEWS, "sendAt": LATER}))[1]["id"]

    status, problem = ask(edit_alert_http, alert_id, body)

    assert (status, [each["field"] for each in problem["errors"]]) == (400, [field])
    assert ask(get_alert_http, alert_id)[1]["version"] == 1


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
def test_an_alert_that_nobody_knows_is_not_found(function):
    status, problem = ask(function, "nothing")

    assert (status, problem["code"]) == (404, "UnknownAlert")
    status, problem = ask(function, "x" * 1025)
    assert (status, problem["errors"][0]["field"]) == (400, "id")


def test_deliveries_are_asked_for_page_by_page():
    alert_id = answer_of(send({**NEWS, "sendAt": LATER}))[1]["id"]

    assert ask(list_alert_deliveries_http, alert_id, status="sent") == (200, {"deliveries": []})
    for params in ({"status": "lost"}, {"continuationToken": "x"}):
        status, problem = ask(list_alert_deliveries_http, alert_id, **params)
        assert (status, problem["errors"][0]["field"]) == (400, next(iter(params)))


def test_an_alert_from_the_queue_is_accepted_and_then_read_step_by_step(app, queue_reader):
    app.accounts.change("msteams", "29:alex", lambda _stored: known("msteams", "29:alex"))
    steps, sends = queue_reader(SEND_ALERT), queue_reader("send-activity")
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


def test_an_alert_that_is_wrong_is_poison_with_the_reason(queue_reader):
    poison = queue_reader(f"{SEND_ALERT}-poison")
    body = {**NEWS, "activity": {"text": "${nothing}"}}

    send_alert_from_queue(queue_message(body), invocation())

    [failed] = poison.take()
    assert failed["message"] == body
    assert failed["failure"]["detail"].startswith("activity.text")
