"""What is known before the app is imported: its settings, and the host's own `host.json`."""

import argparse
import json
import os
import re
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any


class StartError(Exception):
    """The host cannot start, for a reason the person who started it can mend."""

    def __init__(self, reason: str, exit_status: int = 1) -> None:
        super().__init__(reason)
        self.exit_status = exit_status


@dataclass(frozen=True)
class HostJson:
    """The part of `host.json` that matters here."""

    route_prefix: str
    batch_size: int
    new_batch_threshold: int
    max_dequeue_count: int
    visibility_timeout: timedelta
    max_polling_interval: timedelta
    message_encoding: str


def prepare_environment(app_root: Path) -> None:
    """Fill in the environment, which wins over `local.settings.json`, and find the app."""
    settings = _json_object(Path("local.settings.json"))
    if settings.get("IsEncrypted"):
        raise StartError("local.settings.json is encrypted, which only the Core Tools can read.")
    for name, value in settings.get("Values", {}).items():
        if not isinstance(value, str):
            raise StartError(f"local.settings.json: the value of {name} must be a string.")
        os.environ.setdefault(name, value)
    os.environ.setdefault("AZURE_FUNCTIONS_ENVIRONMENT", "Development")
    sys.path.insert(0, str(app_root))


def setting(name: str, exit_status: int = 1) -> str:
    """Return the setting called `name`."""
    value = os.environ.get(name)
    if not value:
        raise StartError(f"The setting {name} is missing.", exit_status)
    return value


def fill_in(text: str) -> str:
    """Replace each `%NAME%` in a binding by the setting of that name."""
    return re.sub("%([^%]+)%", lambda match: setting(match[1]), text)


def read_host_json(path: Path) -> HostJson:
    """Read `host.json`; what it leaves out is as the real host has it."""
    extensions = _json_object(path).get("extensions", {})
    queues = extensions.get("queues", {})
    batch_size = queues.get("batchSize", 16)
    return HostJson(
        route_prefix=extensions.get("http", {}).get("routePrefix", "api"),
        batch_size=batch_size,
        new_batch_threshold=queues.get("newBatchThreshold", batch_size // 2),
        max_dequeue_count=queues.get("maxDequeueCount", 5),
        visibility_timeout=timespan(queues.get("visibilityTimeout", "00:00:00")),
        max_polling_interval=timespan(queues.get("maxPollingInterval", "00:01:00")),
        message_encoding=queues.get("messageEncoding", "base64").lower(),
    )


def timespan(text: str) -> timedelta:
    """Read `[d.]hh:mm:ss[.fff]`."""
    match = re.fullmatch(r"(?:(\d+)\.)?([01]?\d|2[0-3]):([0-5]?\d):([0-5]?\d(?:\.\d+)?)", text)
    if not match:
        raise StartError(f"{text!r} is not a time span such as 00:00:30.")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def whole_number(text: str) -> int:
    """Read an option that is a whole number above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError("must be a whole number above 0")
    return int(text)


def _json_object(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise StartError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise StartError(f"{path} must hold a JSON object.")
    return content
