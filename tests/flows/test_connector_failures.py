from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.flows.running_app import new_tenant
from tests.support.connector import StubConnector, is_start

SECRET = "Zephyr-7 is only for Alex"


@pytest.fixture
def app(module_app):
    """The app, which must keep texts and tokens out of its log whatever happens."""
    module_app.begin()
    yield module_app
    log = module_app.host.log()
    assert SECRET not in log
    assert "identity-token" not in log
    assert "Traceback" not in log


def check_problem(answer, status, code):
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status, answer.json()["status"], answer.json()["code"]) == (status, status, code)
    assert SECRET.encode() not in answer.body
    assert b"identity-token" not in answer.body


@pytest.mark.parametrize(
    ("status", "code", "answered", "may_help_later"),
    [
        (400, "BadArgument", 400, False),
        (413, "MessageSizeTooBig", 413, False),
        (403, "BotNotInConversationRoster", 403, False),
        (403, "ConversationBlockedByUser", 403, False),
        (403, "ForbiddenOperationException", 403, False),
        (403, "BotDisabledByAdmin", 403, False),
        (403, "NotEnoughPermissions", 403, False),
        (404, "ConversationNotFound", 404, False),
        (405, "MethodNotAllowed", 502, False),
        (409, "Conflict", 502, False),
        (412, "PreconditionFailed", 503, True),
        (429, "Throttled", 429, True),
        (500, "ServiceError", 502, False),
        (502, "ServiceError", 502, True),
        (503, "ServiceUnavailable", 502, True),
        (504, "GatewayTimeout", 504, True),
    ],
)
def test_what_the_connector_answers_is_passed_on(
    app, connector, conversation_id, status, code, answered, may_help_later
):
    connector.fail(
        status, code, message=f"Cannot send: {SECRET}", headers={"MS-CV": "correlated.0"}
    )

    answer = app.send(conversation_id, text=SECRET)

    check_problem(answer, answered, code)
    assert answer.json()["correlationId"] == "correlated.0"
    assert ("Retry-After" in answer.headers) == may_help_later
    assert len(app.calls) == 1


@pytest.mark.parametrize(
    ("status", "body", "answered", "code"),
    [
        (403, None, 403, "ConnectorRejected"),
        (403, {"message": SECRET}, 403, "ConnectorRejected"),
        (403, {"error": {"code": f"{SECRET}!", "message": SECRET}}, 403, "ConnectorRejected"),
        (
            403,
            {"errorCode": 209, "message": '{"subCode": "MessageWritesBlocked", "details": null}'},
            403,
            "MessageWritesBlocked",
        ),
        (502, "<html>Bad gateway</html>", 502, "ConnectorUnavailable"),
        (500, [], 502, "ConnectorError"),
        (429, b"slow down", 429, "Throttled"),
    ],
)
def test_an_odd_error_body_is_survived(
    app, connector, conversation_id, status, body, answered, code
):
    connector.answer(status, body)

    check_problem(app.send(conversation_id, text=SECRET), answered, code)


@pytest.mark.parametrize("status", [429, 412, 503])
def test_how_long_to_wait_is_passed_on(app, connector, conversation_id, status):
    connector.fail(status, "Later", headers={"Retry-After": "17"})

    assert app.send(conversation_id, text=SECRET).headers["Retry-After"] == "17"


def test_a_date_until_which_to_wait_is_passed_on_in_seconds(app, connector, conversation_id):
    later = datetime.now(UTC) + timedelta(hours=1)
    connector.fail(429, "Throttled", headers={"Retry-After": format_datetime(later, usegmt=True)})

    answer = app.send(conversation_id, text=SECRET)

    assert 3000 < int(answer.headers["Retry-After"]) <= 3600


def test_the_other_name_of_the_correlation_id_is_known_too(app, connector, conversation_id):
    connector.fail(400, "BadSyntax", headers={"X-Correlating-OperationId": "correlated-too"})

    answer = app.send(conversation_id, text=SECRET)

    assert answer.json()["correlationId"] == "correlated-too"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(app, connector, conversation_id, status):
    with StubConnector() as elsewhere:
        connector.answer(status, headers={"Location": f"{elsewhere.url}/v3/conversations"})

        answer = app.send(conversation_id, text=SECRET)

        check_problem(answer, 502, "ConnectorRedirected")
        assert elsewhere.requests == []
    assert len(app.calls) == 1


def test_a_service_url_that_redirects_starts_nothing(app, connector, user):
    before = app.storage.rows()
    with StubConnector() as elsewhere:
        connector.answer(307, headers={"Location": f"{elsewhere.url}/v3/conversations"})

        answer = app.start(members=[{"id": user}], serviceUrl=f"{connector.url}/moved/")

        check_problem(answer, 502, "ConnectorRedirected")
        assert elsewhere.requests == []
    [start] = app.calls
    assert start.path == "/moved/v3/conversations"
    assert app.storage.rows() == before


def test_a_refused_token_is_the_deployments_fault_and_dropped(app, connector, conversation_id):
    connector.fail(401, "BotNotRegistered", message=SECRET)

    refused = app.send(conversation_id, text=SECRET)
    sent = app.send(conversation_id, text=SECRET)

    check_problem(refused, 500, "BotCredentialError")
    assert "BotNotRegistered" not in refused.body.decode()
    assert sent.status == 201
    first, second = (call.headers["Authorization"] for call in app.calls)
    assert first != second
    assert len(app.token_requests) >= 1


def test_no_token_to_be_had_is_the_deployments_fault(app, connector, identity, conversation_id):
    connector.fail(401, "BotNotRegistered")
    app.send(conversation_id, text=SECRET)
    identity.answer(400, {"statusCode": 400, "message": "No managed identity is assigned."})
    app.begin()

    answer = app.send(conversation_id, text=SECRET)

    check_problem(answer, 500, "BotCredentialError")
    assert app.calls == []


@pytest.mark.parametrize("cut", ["cut", "cut_unread"])
def test_a_connector_that_hangs_up_is_unavailable(app, connector, conversation_id, cut):
    getattr(connector, cut)()

    check_problem(app.send(conversation_id, text=SECRET), 502, "ConnectorUnavailable")


@pytest.mark.parametrize(
    ("status", "code", "answered"),
    [
        (400, "BadSyntax", 400),
        (403, "ForbiddenOperationException", 403),
        (429, "Throttled", 429),
        (500, "ServiceError", 502),
        (503, "ServiceUnavailable", 502),
    ],
)
def test_a_start_that_fails_leaves_nothing_behind(app, connector, user, status, code, answered):
    connector.fail(status, code, message=SECRET, when=is_start)
    before = app.storage.rows()

    start = {"members": [{"id": user}], "activity": {"text": SECRET}}
    failed = app.start(**start, tenantId=new_tenant())
    after = app.storage.rows()
    started = app.start(**start, tenantId=new_tenant())

    check_problem(failed, answered, code)
    assert after == before
    assert started.status == 201


def test_callers_who_wait_for_a_start_that_fails_try_it_themselves(app, connector, user):
    connector.fail(500, "ServiceError", when=is_start)
    connector.block(times=1, when=is_start)
    with ThreadPoolExecutor() as callers:
        first = callers.submit(app.start, members=[{"id": user}])
        connector.wait_for_waiting(1)
        second = callers.submit(app.start, members=[{"id": user}])
        connector.release()

        assert sorted([first.result().status, second.result().status]) == [201, 502]


def queued(conversation_id):
    return {"conversationId": conversation_id, "activity": {"text": SECRET}}


def test_a_throttled_message_goes_back_and_is_delivered(app, connector, conversation_id):
    connector.fail(429, "Throttled", message=SECRET, headers={"Retry-After": "1"}, times=2)

    app.enqueue("send-activity", queued(conversation_id))
    app.settle()

    assert len(app.calls) == 3
    assert app.storage.take_poison("send-activity") == []


def test_a_message_that_may_succeed_later_goes_back_and_is_delivered(
    app, connector, conversation_id
):
    connector.fail(503, "ServiceUnavailable", message=SECRET, times=2)

    app.enqueue("send-activity", queued(conversation_id))
    app.settle()

    assert len(app.calls) == 3
    assert [call.json["text"] for call in app.calls] == [SECRET] * 3
    assert app.storage.take_poison("send-activity") == []


def test_a_start_that_may_succeed_later_goes_back_with_what_waits_for_it(app, connector, user):
    connector.fail(503, "ServiceUnavailable", message=SECRET, when=is_start)

    recipient = {"channelId": "msteams", "userId": user}
    app.enqueue("send-activity", {"recipient": recipient, "activity": {"text": SECRET}})
    app.settle()

    assert [is_start(call) for call in app.calls] == [True, True, False]
    assert app.calls[-1].json["text"] == SECRET


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "BadArgument"),
        (403, "ConversationBlockedByUser"),
        (413, "MessageSizeTooBig"),
        (500, "ServiceError"),
    ],
)
def test_a_message_that_is_refused_is_poison_at_once_with_the_reason(
    app, connector, conversation_id, status, code
):
    connector.fail(status, code, message=f"No: {SECRET}")
    before = datetime.now(UTC)

    app.enqueue("send-activity", queued(conversation_id))
    app.settle()

    [poison] = app.storage.take_poison("send-activity")
    failure = poison["failure"]
    assert poison["message"] == queued(conversation_id)
    assert set(failure) == {"code", "detail", "failedAt", "attempts"}
    assert (failure["code"], failure["attempts"]) == (code, 1)
    assert SECRET not in failure["detail"]
    assert before - timedelta(seconds=1) < datetime.fromisoformat(failure["failedAt"])
    assert len(app.calls) == 1
