import json
import os
from datetime import timedelta

import pytest

from local.environment import (
    HostJson,
    StartError,
    prepare_environment,
    read_host_json,
    timespan,
)


@pytest.fixture
def prepare(tmp_path, monkeypatch):
    """Fills in the environment from a file's settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [])
    monkeypatch.setattr(os, "environ", {})

    def prepare(values=None, **environment):
        if values:
            file = tmp_path / "local.settings.json"
            # As an editor on Windows may save it.
            file.write_text(json.dumps({"IsEncrypted": False, "Values": values}), "utf-8-sig")
        os.environ.update(environment)
        prepare_environment(tmp_path)
        return os.environ

    return prepare


def test_the_environment_wins_over_local_settings(prepare):
    environment = prepare({"Both": "file", "Alone": "file"}, Both="environment")

    assert (environment["Both"], environment["Alone"]) == ("environment", "file")


def test_it_is_a_development_environment_unless_told_otherwise(prepare):
    name = "AZURE_FUNCTIONS_ENVIRONMENT"

    assert prepare()[name] == "Development"
    assert prepare(**{name: "Test"})[name] == "Test"


def test_what_host_json_leaves_out_is_as_in_the_real_host(tmp_path):
    (tmp_path / "host.json").write_text('{"extensions": {"queues": {"batchSize": 5}}}')
    nothing = read_host_json(tmp_path / "none.json")

    assert nothing == HostJson("api", 16, 8, 5, timedelta(0), timedelta(minutes=1), "base64")
    assert read_host_json(tmp_path / "host.json").new_batch_threshold == 2


def test_host_json_is_read(tmp_path):
    queues = {
        "batchSize": 6,
        "newBatchThreshold": 0,
        "maxDequeueCount": 41,
        "visibilityTimeout": "00:00:30",
        "maxPollingInterval": "00:00:02",
        "messageEncoding": "None",
    }
    content = {"extensions": {"queues": queues, "http": {"routePrefix": "v1/bot"}}}
    (tmp_path / "host.json").write_text(json.dumps(content))

    assert read_host_json(tmp_path / "host.json") == HostJson(
        "v1/bot", 6, 0, 41, timedelta(seconds=30), timedelta(seconds=2), "none"
    )


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
