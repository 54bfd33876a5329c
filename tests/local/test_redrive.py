"""`python -m local redrive`: what it puts back, what it says, and how it exits."""

import os
import re
import signal
import sys
import threading
from datetime import UTC, datetime

import pytest

from local import __main__ as command_line
from shared.connector.errors import ConnectorAnswer, connector_error
from shared.deliveries.delivery import Delivery, Status
from shared.messages.envelope import ENVELOPE, Envelope, without_notes
from shared.messages.envelope_signature import verified
from shared.messages.queue_names import QUEUES, SEND_ACTIVITY
from shared.storage.queues import Queue
from tests.support.builders import NOWHERE
from tests.support.lossy_storage import LossyStorage

ERROR = connector_error(400, ConnectorAnswer(400, "BadSyntax"))
THEN = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def redrive(azurite, services, empty_folder, monkeypatch, capsys):
    """Runs the command, and returns its exit status, its output and its errors."""
    os.environ.update({"AZURE_FUNCTIONS_ENVIRONMENT": "Development"})

    def redrive(*arguments, storage=azurite.connection_string, app_id=services.settings.app_id):
        os.environ.update({"AzureWebJobsStorage": storage, "MicrosoftAppId": app_id})
        monkeypatch.setattr(sys, "argv", ["local", "redrive", *arguments])
        status: object
        try:
            status = command_line.main()
        except SystemExit as exit_:
            status = exit_.code
        return status, *capsys.readouterr()

    return redrive


@pytest.fixture
def failed(services, queue_reader):
    """Three messages that failed; and the readers of their queue and its poison queue."""
    waiting, poison = queue_reader(SEND_ACTIVITY), queue_reader(f"{SEND_ACTIVITY}-poison")
    for reader in (waiting, poison):
        reader.clear()
    for number in range(3):
        fail(services, f"order-{number}")
    return waiting, poison


def fail(services, message_id):
    envelope = Envelope(id=message_id, accepted_at=THEN)
    services.queues.poison(SEND_ACTIVITY, {"id": envelope.id}, envelope, ERROR, THEN)
    services.deliveries.record(Delivery(message_id, Status.PERMANENT_FAILURE, THEN, THEN))


@pytest.mark.parametrize(("options", "count"), [((), 3), (("--most", "2"), 2)])
def test_what_failed_is_put_back_as_many_as_were_asked_for(
    failed, redrive, services, options, count
):
    waiting, poison = failed

    said = f"{count} messages were put back on send-activity.\n"
    assert redrive(SEND_ACTIVITY, *options) == (0, said, "")
    put = waiting.take()
    assert [each["id"] for each in put] == [f"order-{each}" for each in range(count)]
    # The app knows them for its own.
    key = services.queues.envelope_key
    for each in put:
        assert verified(key, SEND_ACTIVITY, without_notes(each), each[ENVELOPE])[1]
    assert poison.count() == 3 - count


def test_what_fails_again_meanwhile_is_not_put_back_again(failed, redrive, azurite, services):
    waiting, poison = failed

    def fails_again(request):
        """As with the app running: what is put back is in the poison queue soon."""
        if request.method == "POST" and f"/{SEND_ACTIVITY}/messages" in request.path:
            fail(services, "again")
        return False

    with LossyStorage(azurite.connection_string, "Queue") as queues:
        queues.lose_answer(fails_again)
        status, output, _ = redrive(SEND_ACTIVITY, storage=queues.connection_string)

    assert (status, output) == (0, "3 messages were put back on send-activity.\n")
    assert sorted(each["id"] for each in waiting.take()) == ["order-0", "order-1", "order-2"]
    assert poison.count() == 3


def test_what_somebody_else_has_taken_is_said_to_be_left(failed, redrive, services):
    _, poison = failed
    Queue(services.storage, f"{SEND_ACTIVITY}-poison").take()

    status, output, errors = redrive(SEND_ACTIVITY)

    assert (status, output) == (1, "2 messages were put back on send-activity.\n")
    assert errors.startswith("1 more are hidden")
    assert poison.count() == 1


def test_ctrl_c_tells_how_many_are_back(failed, redrive, azurite):
    waiting, _ = failed
    us = threading.get_ident()

    def press_ctrl_c(request):
        if request.method == "DELETE":
            signal.pthread_kill(us, signal.SIGINT)
        return False

    # In a job that a shell started in the background, SIGINT is ignored.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with LossyStorage(azurite.connection_string, "Queue") as queues:
            queues.lose_answer(press_ctrl_c)
            status, output, errors = redrive(SEND_ACTIVITY, storage=queues.connection_string)
    finally:
        signal.signal(signal.SIGINT, previous)

    assert (status, errors) == (130, "")
    assert re.search(r"^[01] messages were put back on send-activity, then", output, re.MULTILINE)
    assert len(waiting.take()) == 1


def test_for_another_bot_nothing_is_signed_nor_moved(failed, redrive):
    waiting, poison = failed

    for _ in range(2):
        status, output, errors = redrive(SEND_ACTIVITY, app_id="another-bot")
        assert (status, output) == (1, "")
        assert "this storage has no messages of bot another-bot" in errors
    assert (waiting.count(), poison.count()) == (0, 3)


def test_storage_that_does_not_answer_is_told(redrive):
    status, output, errors = redrive(SEND_ACTIVITY, storage=NOWHERE)

    assert (status, output) == (1, "")
    assert errors.startswith("0 messages were put back, then: Storage")


def test_in_azure_the_bot_must_be_named(redrive):
    storage = "DefaultEndpointsProtocol=https;AccountName=news;AccountKey=a2V5"

    status, _, errors = redrive(SEND_ACTIVITY, storage=storage, app_id="")

    assert status == 1
    assert "MicrosoftAppId is missing" in errors


@pytest.mark.parametrize(
    ("settings", "said"),
    [('{"Values": {"BotCloud": "Mars"}}', "Setting BotCloud"), ("not JSON", "local.settings.json")],
)
def test_wrong_settings_are_told(redrive, empty_folder, settings, said):
    (empty_folder / "local.settings.json").write_text(settings)

    status, output, errors = redrive(SEND_ACTIVITY)

    assert (status, output) == (1, "")
    assert said in errors


def test_the_help_tells_the_queues_and_what_else_is_given_is_wrong(redrive):
    assert redrive("no-queue")[0] == 2
    assert [redrive(SEND_ACTIVITY, "--most", most)[0] for most in ("-1", "0", "all")] == [2, 2, 2]
    status, output, _ = redrive("--help")

    assert status == 0
    assert [queue for queue in QUEUES if queue not in output] == []
