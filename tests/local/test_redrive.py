"""`python -m local redrive`, as it is started from a shell."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.connector.errors import ConnectorAnswer, connector_error
from shared.messages.envelope import CACHE_ACCOUNT, QUEUES, SEND_ACTIVITY, Envelope
from tests.support.builders import NOWHERE
from tests.support.lossy_storage import LossyStorage

PROJECT = Path(__file__).parents[2]
ERROR = connector_error(400, ConnectorAnswer(400, "BadSyntax"))
THEN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def run(*arguments, storage, cwd=PROJECT):
    environment = {
        **os.environ,
        "AzureWebJobsStorage": storage,
        "PYTHONPATH": str(PROJECT),
        "MicrosoftAppId": "",
        "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
    }
    command = [sys.executable, "-m", "local", "redrive", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def failed(services, queue_reader):
    """Three messages that failed; and the readers of their queue and its poison queue."""
    waiting, poison = queue_reader(SEND_ACTIVITY), queue_reader(f"{SEND_ACTIVITY}-poison")
    for reader in (waiting, poison):
        reader.clear()
    for number in range(3):
        envelope = Envelope(id=f"order-{number}", accepted_at=THEN)
        services.queues.poison(SEND_ACTIVITY, {"id": envelope.id}, envelope, ERROR, THEN)
    return waiting, poison


def test_all_that_failed_is_put_back(failed, azurite):
    waiting, poison = failed

    done = run(SEND_ACTIVITY, storage=azurite.connection_string)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "3 messages were put back on send-activity.\n"
    assert [each["id"] for each in waiting.take()] == ["order-0", "order-1", "order-2"]
    assert poison.count() == 0


def test_as_many_are_put_back_as_were_asked_for(failed, azurite):
    waiting, poison = failed

    done = run(SEND_ACTIVITY, "--most", "2", storage=azurite.connection_string)

    assert done.returncode == 0
    assert done.stdout.startswith("2 messages")
    assert (len(waiting.take()), poison.count()) == (2, 1)


def test_nothing_failed(azurite):
    done = run(CACHE_ACCOUNT, storage=azurite.connection_string)

    assert (done.returncode, done.stdout) == (0, "0 messages were put back on cache-account.\n")


def test_what_fails_again_meanwhile_is_not_put_back_again(
    failed, azurite, app_settings, services, monkeypatch
):
    waiting, poison = failed
    again = iter(range(10))

    def fails_again(request):
        """As with the app running: whatever is put back is in the poison queue soon."""
        if request.method == "POST" and f"/{SEND_ACTIVITY}/messages" in request.path:
            envelope = Envelope(id=f"again-{next(again)}", accepted_at=THEN)
            services.queues.poison(SEND_ACTIVITY, {"id": envelope.id}, envelope, ERROR, THEN)
        return False

    with LossyStorage(azurite.connection_string, "Queue") as queues:
        queues.lose_answer(fails_again)
        done = run(SEND_ACTIVITY, storage=queues.connection_string)

    assert done.stdout == "3 messages were put back on send-activity.\n"
    assert sorted(each["id"] for each in waiting.take()) == ["order-0", "order-1", "order-2"]
    assert poison.count() == 3


def test_storage_that_does_not_answer_is_told():
    done = run(SEND_ACTIVITY, storage=NOWHERE)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("0 messages were put back, then: Storage")
    assert "Traceback" not in done.stderr


def test_a_wrong_setting_is_told(azurite, tmp_path):
    (tmp_path / "local.settings.json").write_text('{"Values": {"BotCloud": "Mars"}}')

    done = run(SEND_ACTIVITY, storage=azurite.connection_string, cwd=tmp_path)

    assert done.returncode == 1
    assert "Setting BotCloud" in done.stderr


def test_settings_that_cannot_be_read_are_told(azurite, tmp_path):
    (tmp_path / "local.settings.json").write_text("not JSON")

    done = run(SEND_ACTIVITY, storage=azurite.connection_string, cwd=tmp_path)

    assert done.returncode == 1
    assert "local.settings.json" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [(), ("no-queue",), (SEND_ACTIVITY, "--most", "all")])
def test_what_is_asked_for_wrongly_is_told(azurite, arguments):
    done = run(*arguments, storage=azurite.connection_string)

    assert done.returncode == 2
    told = run("--help", storage="").stdout
    assert [queue for queue in QUEUES if queue not in told] == []
