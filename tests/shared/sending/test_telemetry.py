"""One line for each outcome, for counters and alert rules to live on."""

import json
import logging

import pytest

from SendActivity.request import SendRequest
from SendActivity.service import send_activity
from shared.sending.telemetry import Outcome, report
from shared.throttling.lane import Lane
from tests.support.builders import unique
from tests.support.worker import Worker

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"
SECRETS = ("Confidential!", "identity-token", "Bearer")
ALWAYS = {
    "queue": "send-activity",
    "deliveryId": "order-7",
    "channelId": "msteams",
    "traceId": TRACE_ID,
}


@pytest.fixture
def outcomes(caplog):
    """Tells the lines so far, each with the level that it was written at."""
    caplog.set_level(logging.INFO)

    def tell():
        lines = [
            (record.levelname, json.loads(record.getMessage().removeprefix("outcome ")))
            for record in caplog.records
            if record.getMessage().startswith("outcome ")
        ]
        caplog.clear()
        return lines

    return tell


@pytest.fixture
def send(services, queue_reader, alex, outcomes, caplog):
    """Handles a message once and returns its line; the log tells neither who gets it nor what."""
    worker = Worker(services, queue_reader)

    def run(**fields):
        message = {
            "id": "order-7",
            "recipient": {"channelId": "msteams", "userId": alex.user_id},
            "activity": {"text": "Confidential!"},
            **fields,
        }
        worker.handle(message, traceparent=TRACEPARENT)
        for secret in (*SECRETS, alex.user_id):
            assert secret not in caplog.text
        [(level, line)] = outcomes()
        return level, line

    return run


CALLS = {
    "sent": (201, None, {}, "INFO", {"outcome": "sent", "attempt": 1}),
    "goes back": (
        503,
        "ServiceError",
        {"MS-CV": "abc.1"},
        "INFO",
        {"outcome": "retried", "status": 502, "attempt": 1, "correlationId": "abc.1"},
    ),
    "throttled": (
        429,
        "Slow",
        {"Retry-After": "60"},
        "INFO",
        {"outcome": "throttled", "status": 429, "attempt": 0},
    ),
    "failed": (400, "BadSyntax", {}, "ERROR", {"outcome": "failed", "status": 400, "attempt": 1}),
}


@pytest.mark.parametrize("how", CALLS)
def test_a_line_says_how_a_call_ended(send, connector, how):
    status, code, headers, level, line = CALLS[how]
    connector.answer(status, {"error": {"code": code}} if code else {"id": "1"}, headers)

    said, told = send()

    milliseconds = told.pop("milliseconds")
    assert isinstance(milliseconds, int)
    assert milliseconds >= 0
    expected = ALWAYS | {"user": told["user"]} | line | ({"code": code} if code else {})
    assert (said, told) == (level, expected)
    assert len(told["user"]) == 16


def test_a_message_was_held_back_without_a_call(send, services, connector):
    services.pacer.throttled(Lane.of(connector.url, "tenant"), None, 60)

    level, line = send()

    assert level == "INFO"
    assert (line["outcome"], line["code"], line["attempt"]) == ("held-back", "Throttled", 0)
    assert "milliseconds" not in line


def test_the_trace_is_the_same_on_all_queues_that_a_message_passes(
    services, queue_reader, outcomes, connector
):
    worker = Worker(services, queue_reader)
    connector.fail(503, "ServiceError", headers={"Retry-After": "0"})
    recipient = {"channelId": "msteams", "userId": unique("29:sam")}

    worker.send({"id": "order-7", "recipient": recipient}, traceparent=TRACEPARENT)

    lines = [line for _, line in outcomes()]
    assert [(line["queue"], line["outcome"]) for line in lines] == [
        ("start-conversation", "retried"),
        ("send-activity", "sent"),
    ]
    assert {line["traceId"] for line in lines} == {TRACE_ID}
    assert {line["deliveryId"] for line in lines} == {"order-7"}


def test_a_call_over_http_has_a_line_too(services, alex, connector, outcomes):
    connector.fail(400, "BadSyntax", headers={"MS-CV": "abc.1"})
    recipient = {"channelId": "msteams", "userId": alex.user_id}
    request = SendRequest.from_json({"recipient": recipient, "activity": {"text": "News"}})

    with pytest.raises(Exception, match="400"):
        send_activity(request, services)
    send_activity(request, services)

    (failed_level, failed), (sent_level, sent) = outcomes()
    assert (failed_level, failed["outcome"], failed["code"]) == ("ERROR", "failed", "BadSyntax")
    assert (failed["status"], failed["correlationId"]) == (400, "abc.1")
    assert (sent_level, sent["outcome"]) == ("INFO", "sent")
    assert {"milliseconds", "channelId", "user"} <= set(failed) & set(sent)
    assert "queue" not in sent


@pytest.mark.parametrize(
    ("traceparent", "trace_id"),
    [
        (f"{TRACEPARENT}-more", TRACE_ID),
        (None, None),
        (TRACE_ID, None),
        ("00-short-b7ad6b7169203331-01", None),
    ],
)
def test_a_trace_is_told_where_there_is_one_and_the_hash_of_a_person(
    outcomes, traceparent, trace_id
):
    for user_id in ("29:alex", "29:alex", "29:sam"):
        report(Outcome.SENT, traceparent=traceparent, user_id=user_id)

    lines = [line for _, line in outcomes()]
    assert [line.get("traceId") for line in lines] == [trace_id] * 3
    first, second, third = (line["user"] for line in lines)
    assert first == second != third
    assert "alex" not in first
