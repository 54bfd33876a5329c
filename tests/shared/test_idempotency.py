import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus
from threading import Event, Semaphore

import pytest
from azure.data.tables import TableClient
from urllib3 import Retry

from shared.errors import (
    AccountChangedError,
    AppError,
    BotCredentialError,
    ConversationNotSupportedError,
    ConversationStartingError,
    FieldError,
    IdempotencyKeyInUseError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    OutcomeUnknownError,
    RequestTooLargeError,
    StorageUnavailableError,
    SuppressedError,
    UnknownConversationError,
)
from shared.idempotency import Answer, IdempotencyKeys, id_for_key
from shared.storage.encryption import derived_key
from shared.triggers.http import http_function, json_response
from tests.support.builders import NOWHERE, http_request, storage_at, unique
from tests.support.clocks import FakeClock
from tests.support.lossy_storage import LossyStorage
from tests.support.waiting import PATIENCE_SECONDS

LEASE_SECONDS = 40
DAY = 24 * 60 * 60
NEWS = {"text": "Zephyr-7 is only for Alex"}
CREATED = Answer({"id": "activity-1"}, HTTPStatus.CREATED, {"Location": "/api/there"})


class Handler:
    """Answers what it is told to, and counts how often it is asked."""

    def __init__(self, outcome):
        self.outcome = outcome
        self.calls = 0

    def __call__(self, _request, until):
        self.calls += 1
        self.until = until
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def keys(services, clock):
    return IdempotencyKeys(
        services.storage, services.settings.app_id, lease_seconds=LEASE_SECONDS, now=clock
    )


@pytest.fixture
def key():
    return unique("key")


@pytest.fixture
def send(services, connector):
    """Makes a call to the Connector, and answers the id that it gives."""

    def send(request, _until):
        at = services.connector.at(connector.url)
        sent = at.send_activity("a:1", json.loads(request.get_body()))
        return Answer({"id": sent}, HTTPStatus.CREATED, {"Location": f"/api/{sent}"})

    return send


def request(key, body: object = NEWS, *, conversation_id="a:1", **params):
    return http_request(
        "POST",
        body,
        route={"conversationId": conversation_id},
        params=params,
        headers={} if key is None else {"Idempotency-Key": key},
    )


def outcome(keys, request, handle):
    """What came of a request: the answer, or the error that was raised."""
    try:
        return keys.once("SendActivity", request, handle)
    except AppError as error:
        return error


@contextmanager
def hanging(keys, key):
    """A request with a key that does not end, as that of a process that died."""
    has_begun, may_end = Event(), Event()

    def hang(_request, _until):
        has_begun.set()
        assert may_end.wait(PATIENCE_SECONDS)
        return Answer({"id": "late"})

    with ThreadPoolExecutor() as pool:
        pool.submit(keys.once, "SendActivity", request(key), hang)
        assert has_begun.wait(PATIENCE_SECONDS)
        try:
            yield
        finally:
            may_end.set()


# The first answer


def test_the_same_request_is_done_once_and_answered_again_for_a_day(
    keys, key, clock, send, connector
):
    first = keys.once("SendActivity", request(key), send)

    assert first == Answer(
        {"id": "activity-1"}, HTTPStatus.CREATED, {"Location": "/api/activity-1"}
    )
    clock.pass_by(DAY - 60)
    assert keys.once("SendActivity", request(key), send) == first
    assert len(connector.requests) == 1
    clock.pass_by(60)
    for _ in range(2):
        assert keys.once("SendActivity", request(key, {"text": "Else"}), send).body == (
            {"id": "activity-2"}
        )
    assert len(connector.requests) == 2


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequestError(FieldError("text", "is odd: Grüße 😀"), FieldError("a", "b")),
        RequestTooLargeError(FieldError("(body)", "is too large")),
        UnknownConversationError("No such conversation"),
        SuppressedError("The person wants no alerts"),
        ConversationNotSupportedError("Not on this channel"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_that_would_come_again_is_answered_again(keys, key, error):
    error.correlation_id = "abc.1"
    handle = Handler(error)

    @http_function
    def answer(request):
        return json_response(keys.once("SendActivity", request, handle).body)

    first, second = answer(request(key)), answer(request(key))

    assert second.get_body() == first.get_body()
    assert second.status_code == first.status_code == error.status
    assert second.mimetype == "application/problem+json"
    assert dict(second.headers) == dict(first.headers)
    assert handle.calls == 1


def promising(error, **retry_after):
    """An error that says when another try may help."""
    vars(error).update(retry_after)
    return error


def test_what_may_be_answered_otherwise_later_is_done_again(keys, key):
    for number, error in enumerate(
        [
            ConversationStartingError("Somebody else is starting it"),
            AccountChangedError("Changed meanwhile"),
            StorageUnavailableError("down"),
            BotCredentialError(),
            AppError("a 500"),
            promising(SuppressedError("for a moment"), retry_after_seconds=0),
            promising(UnknownConversationError("for a moment"), http_retry_after_seconds=5),
            ZeroDivisionError(),
            KeyboardInterrupt(),
        ]
    ):
        own = request(f"{key}-{number}")
        with pytest.raises(type(error)):
            keys.once("SendActivity", own, Handler(error))

        assert keys.once("SendActivity", own, Handler(CREATED)) == CREATED, error


def test_an_answer_that_is_too_large_to_be_kept_is_given_each_time(keys, key):
    mistakes = [FieldError("name" * 250, "is missing") for _ in range(100)]
    handle = Handler(InvalidRequestError(*mistakes))

    for _ in range(2):
        with pytest.raises(InvalidRequestError):
            keys.once("SendActivity", request(key), handle)

    assert handle.calls == 2


# Which key, which request


def test_another_request_needs_another_key_but_for_what_does_not_change_it(keys, key):
    handle = Handler(CREATED)
    keys.once("SendActivity", request(key, channelId="line", topic="b", code="1"), handle)

    for other in (
        {"body": {"text": "Else"}},
        {"body": json.dumps(NEWS).encode() + b" "},
        {"body": b""},
        {"conversation_id": "a:2"},
        {"channelId": "telegram"},
    ):
        with pytest.raises(IdempotencyKeyReusedError):
            keys.once(
                "SendActivity", request(key, **{"channelId": "line", "topic": "b", **other}), handle
            )
    again = request(key, Code="2", topic="b", channelId="line")
    assert keys.once("SendActivity", again, handle) == CREATED
    assert handle.calls == 1


def test_keys_of_different_functions_and_bots_do_not_meet(services, keys, key, clock):
    another_bot = IdempotencyKeys(
        services.storage, unique("bot"), lease_seconds=LEASE_SECONDS, now=clock
    )
    handle = Handler(CREATED)
    keys.once("SendActivity", request(key), handle)
    keys.once("StartConversation", request(key, {"text": "Else"}), handle)
    another_bot.once("SendActivity", request(key, {"text": "Else"}), handle)

    assert handle.calls == 3


def test_any_printable_text_can_be_a_key_and_nothing_else(keys, key, storage_calls):
    for each in (f'"{key}"', f"{key} ~", f"{key:~<255}"):
        handle = Handler(CREATED)
        for _ in range(2):
            assert keys.once("SendActivity", request(each), handle) == CREATED
        assert handle.calls == 1
    storage_calls()

    handle = Handler(CREATED)
    for none in ("", "x" * 256, "schlüssel", "a\tb", "a\n", "\x7f"):
        with pytest.raises(InvalidRequestError) as caught:
            keys.once("SendActivity", request(none), handle)
        assert [error.field for error in caught.value.field_errors] == ["Idempotency-Key"]
    assert handle.calls == 0
    # Without one, each request is done.
    for _ in range(2):
        assert keys.once("SendActivity", request(None), handle) == CREATED
    assert handle.calls == 2
    assert storage_calls() == []


# At the same time


def test_who_comes_while_it_is_under_way_comes_again_later(keys, key, send, connector):
    connector.block(times=1)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(keys.once, "SendActivity", request(key), send)
        connector.wait_for_waiting(1)
        with pytest.raises(IdempotencyKeyInUseError) as caught:
            keys.once("SendActivity", request(key), send)
        with pytest.raises(IdempotencyKeyReusedError):
            keys.once("SendActivity", request(key, {"text": "Else"}), send)
        connector.release()
        answer = first.result()

    assert keys.once("SendActivity", request(key), send) == answer
    assert caught.value.retry_after_seconds == 2
    assert len(connector.requests) == 1


def test_who_does_it_is_told_until_when_nobody_else_does(keys, key, clock):
    handle = Handler(CREATED)

    keys.once("SendActivity", request(key), handle)
    assert handle.until == clock() + timedelta(seconds=LEASE_SECONDS)
    keys.once("SendActivity", request(None), handle)
    assert handle.until is None


def test_of_many_who_come_after_a_process_died_one_does_it(keys, key, clock):
    refused = Semaphore(0)

    def handle(_request, _until):
        for _ in range(7):
            assert refused.acquire(timeout=PATIENCE_SECONDS)
        return CREATED

    def ask(_number):
        got = outcome(keys, request(key), handle)
        refused.release()
        return got

    with hanging(keys, key):
        clock.pass_by(LEASE_SECONDS)
        with ThreadPoolExecutor(8) as pool:
            got = list(pool.map(ask, range(8)))

    assert [each for each in got if not isinstance(each, IdempotencyKeyInUseError)] == [CREATED]


# What goes wrong


def test_a_process_that_died_does_not_keep_the_key_but_its_request_does(services, keys, key, clock):
    careful = IdempotencyKeys(
        services.storage,
        services.settings.app_id,
        lease_seconds=LEASE_SECONDS,
        give_up_ambiguous=True,
        now=clock,
    )
    handle = Handler(CREATED)
    with hanging(keys, key):
        clock.pass_by(LEASE_SECONDS - 1)
        with pytest.raises(IdempotencyKeyInUseError):
            keys.once("SendActivity", request(key), handle)
        clock.pass_by(1)

        with pytest.raises(IdempotencyKeyReusedError):
            keys.once("SendActivity", request(key, {"text": "Else"}), handle)
        # Whether it was done is not known, and may be more than the bot wants to risk.
        with pytest.raises(OutcomeUnknownError):
            careful.once("SendActivity", request(key), handle)
        assert handle.calls == 0
        for _ in range(2):
            assert keys.once("SendActivity", request(key), handle) == CREATED
    assert handle.calls == 1


def test_who_was_too_slow_does_not_undo_what_another_did(keys, key, clock):
    for late in (Answer({"id": "late"}), ConversationStartingError("late")):
        own = f"{key}-{type(late).__name__}"

        def handle_slowly(_request, until, own=own, late=late):
            clock.pass_by(LEASE_SECONDS)
            keys.once("SendActivity", request(own), Handler(CREATED))
            return Handler(late)(_request, until)

        assert outcome(keys, request(own), handle_slowly) is late
        assert keys.once("SendActivity", request(own), Handler(None)) == CREATED


@pytest.fixture
def lossy(azurite):
    with LossyStorage(azurite.connection_string) as lossy:
        yield lossy


@pytest.fixture
def through(lossy, services):
    """Keys in storage that loses or refuses what it is told to; their table is there."""
    storage = storage_at(lossy.connection_string)
    keys = IdempotencyKeys(storage, services.settings.app_id, lease_seconds=LEASE_SECONDS)
    keys.once("SendActivity", request(unique("first")), Handler(CREATED))
    return keys


def test_a_key_that_is_given_back_meanwhile_is_to_be_tried_again(lossy, through, key):
    through.once("SendActivity", request(key), Handler(CREATED))
    gone = {"odata.error": {"code": "ResourceNotFound"}}
    lossy.answer(404, gone, when=lambda request: request.method == "GET")

    with pytest.raises(IdempotencyKeyInUseError):
        through.once("SendActivity", request(key), Handler(CREATED))


@pytest.mark.parametrize(
    ("method", "first"),
    [
        ("PUT", CREATED),
        ("PUT", UnknownConversationError("x")),
        ("DELETE", AccountChangedError("x")),
    ],
)
def test_storage_that_fails_afterwards_does_not_change_the_answer(
    lossy, through, key, caplog, monkeypatch, method, first
):
    monkeypatch.setattr(Retry, "sleep", lambda *_: None)
    lossy.answer(503, {}, times=10, when=lambda request: request.method == method)

    assert outcome(through, request(key), Handler(first)) is first

    assert "will run out" in caplog.text
    assert key not in caplog.text


def test_nothing_is_done_when_storage_cannot_say_whether_it_was(services, key, monkeypatch):
    monkeypatch.setattr(Retry, "sleep", lambda *_: None)
    nowhere = storage_at(NOWHERE)
    keys = IdempotencyKeys(nowhere, services.settings.app_id, lease_seconds=LEASE_SECONDS)
    handle = Handler(CREATED)

    with pytest.raises(StorageUnavailableError):
        keys.once("SendActivity", request(key), handle)

    assert handle.calls == 0


# What it costs, and what it tells


def test_a_key_takes_two_storage_operations(keys, key, storage_calls):
    outcome(keys, request(unique("first")), Handler(CREATED))
    storage_calls()

    for first, operations in [
        (CREATED, [["POST", "PUT"], ["POST", "GET"]]),
        (UnknownConversationError("x"), [["POST", "PUT"], ["POST", "GET"]]),
        (AccountChangedError("x"), [["POST", "DELETE"], ["POST", "DELETE"]]),
    ]:
        for methods in operations:
            outcome(keys, request(f"{key}-{type(first).__name__}"), Handler(first))
            assert [call.split()[0] for call in storage_calls()] == methods


def test_the_table_tells_neither_the_request_nor_the_answer_nor_the_key(
    keys, key, send, connector, azurite, caplog
):
    caplog.set_level("DEBUG")
    connector.answer(201, {"id": "a-telling-id"})
    earlier = [*rows(azurite)]

    outcome(keys, request(key), send)
    unknown = UnknownConversationError("No conversation a:Alex")
    outcome(keys, request(f"{key}2"), Handler(unknown))
    with hanging(keys, f"{key}3"):
        written = [row for row in rows(azurite) if row not in earlier]

    dump = b"".join(
        value if isinstance(value, bytes) else str(value).encode()
        for row in written
        for value in row.values()
    )
    assert len(written) == 3
    # Nor can the same request be told from another.
    assert len({bytes(row["fingerprint"]) for row in written}) == 3
    for told in (key, "a-telling-id", "Alex", "Zephyr", "UnknownConversation", "SendActivity"):
        assert told.encode() not in dump
    assert key not in caplog.text
    assert "Zephyr" not in caplog.text


def rows(azurite):
    with TableClient.from_connection_string(azurite.connection_string, "idempotency") as table:
        return list(table.list_entities())


# The id that a key gives


def test_a_key_gives_the_same_id_each_time_and_another_one_another(keys, key, services):
    keys.once("SendAlert", request(key), Handler(CREATED))

    made = id_for_key("SendAlert", request(key))

    assert made == id_for_key("SendAlert", request(key, {"text": "else"}))
    assert made != id_for_key("SendAlert", request(unique("key")))
    assert made != id_for_key("SendActivity", request(key))
    assert id_for_key("SendAlert", request(None)) is None
    assert made is not None
    assert len(made) == 32
    # It tells nothing of the key, nor of what is encrypted with it.
    assert key not in made
    for secret in (derived_key(key, "answer"), derived_key(key, "fingerprint")):
        assert not secret.hex().startswith(made)
