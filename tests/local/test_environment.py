import json
from datetime import timedelta

import pytest

from local.environment import StartError, read_host_json, timespan
from tests.local.host_process import HostProcess, write_app

# Settings as they are while the app is imported.
APP = """
import json, os
import azure.functions as func

names = ("Both", "Alone", "AZURE_FUNCTIONS_ENVIRONMENT")
at_import = {name: os.environ.get(name) for name in names}
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route("settings")
def settings(req: func.HttpRequest) -> str:
    return json.dumps(at_import)
"""


def test_the_environment_wins_over_local_settings(tmp_path):
    app = write_app(tmp_path / "app", APP)
    values = {"Both": "file", "Alone": "file"}
    (tmp_path / "local.settings.json").write_text(
        json.dumps({"IsEncrypted": False, "Values": values})
    )

    with HostProcess(app, Both="environment") as host:
        settings = host.get("/api/settings").json()

    assert settings["Both"] == "environment"
    assert settings["Alone"] == "file"


@pytest.mark.parametrize(
    ("given", "seen"), [({}, "Development"), ({"AZURE_FUNCTIONS_ENVIRONMENT": "Test"}, "Test")]
)
def test_it_is_a_development_environment_unless_told_otherwise(tmp_path, given, seen):
    with HostProcess(write_app(tmp_path / "app", APP), **given) as host:
        assert host.get("/api/settings").json()["AZURE_FUNCTIONS_ENVIRONMENT"] == seen


def test_what_host_json_leaves_out_is_as_in_the_real_host(tmp_path):
    settings = read_host_json(tmp_path / "host.json")

    assert settings.route_prefix == "api"
    assert (settings.batch_size, settings.new_batch_threshold) == (16, 8)
    assert settings.max_dequeue_count == 5
    assert settings.visibility_timeout == timedelta(0)
    assert settings.max_polling_interval == timedelta(minutes=1)
    assert settings.message_encoding == "base64"


def test_host_json_is_read(tmp_path):
    queues = {
        "batchSize": 6,
        "newBatchThreshold": 0,
        "maxDequeueCount": 41,
        "visibilityTimeout": "00:00:30",
        "maxPollingInterval": "00:00:02",
        "messageEncoding": "None",
    }
    (tmp_path / "host.json").write_text(json.dumps({"extensions": {"queues": queues}}))

    settings = read_host_json(tmp_path / "host.json")

    assert (settings.batch_size, settings.new_batch_threshold) == (6, 0)
    assert settings.max_dequeue_count == 41
    assert settings.visibility_timeout == timedelta(seconds=30)
    assert settings.max_polling_interval == timedelta(seconds=2)
    assert settings.message_encoding == "none"


def test_the_threshold_is_half_a_batch_unless_given(tmp_path):
    (tmp_path / "host.json").write_text('{"extensions": {"queues": {"batchSize": 5}}}')

    assert read_host_json(tmp_path / "host.json").new_batch_threshold == 2


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_host_json_that_is_none_is_an_error(tmp_path, text):
    (tmp_path / "host.json").write_text(text)

    with pytest.raises(StartError, match=r"host\.json"):
        read_host_json(tmp_path / "host.json")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:00:02", 2), ("1:02:03", 3723), ("2.00:00:00", 172800), ("00:00:00.2500000", 0.25)],
)
def test_time_spans_are_read(text, seconds):
    assert timespan(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "5", "24:00:00", "00:60:00", "00:00:60", "00:00"])
def test_other_time_spans_are_errors(text):
    with pytest.raises(StartError, match="time span"):
        timespan(text)
