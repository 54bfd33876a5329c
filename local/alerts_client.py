"""The client of a running app, and what the commands that use it have in common."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from shared.auth.service_urls import is_loopback, is_safe

DEFAULT_URL = "http://127.0.0.1:7071/api"
EXIT_STATUS = (
    "Exits with 0 when all is well, 1 when something was not delivered, 2 when it was asked for "
    "wrongly, 3 when the app could not be reached, failed or refused the request, and 130 after "
    "Ctrl-C, which ends only the waiting."
)
FAILED = ("permanent-failure", "temporary-failure", "technical-failure", "expired", "cancelled")

# The first call of an app that was asleep takes a while.
TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 1.0
# With five more tries, half a minute.
BACKOFF_SECONDS = 1.0

Alert = Mapping[str, Any]


class CallError(Exception):
    """The app could not be reached, or refused the request, in plain words.

    What is no refusal may have been accepted all the same.
    """

    def __init__(self, reason: str, *, is_refusal: bool) -> None:
        super().__init__(printable(reason))
        self.is_refusal = is_refusal


class AlertsClient:
    """Calls a running app, again where that can help; raises CallError."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        # No proxy stands before this machine, even if the environment names one.
        self._session = requests.Session()
        self._session.trust_env = not is_loopback(urlsplit(url).hostname or "")
        if key:
            self._session.headers["x-functions-key"] = key
        # An alert has an id: it is one, however often it is asked for. But if nothing listens
        # there, a person wants to know at once.
        retry = Retry(
            total=5,
            connect=0,
            other=0,
            allowed_methods=None,
            status_forcelist=(429, 500, 502, 503, 504),
            raise_on_status=False,
            backoff_factor=BACKOFF_SECONDS,
            respect_retry_after_header=False,
        )
        self._session.mount(url, HTTPAdapter(max_retries=retry))

    def call(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        """Return the app's answer."""
        # The key is not for the address that a redirect names.
        options = {"timeout": TIMEOUT_SECONDS, "allow_redirects": False, **content}
        try:
            response = self._session.request(method, f"{self.url}/{path}", **options)
        except requests.RequestException as error:
            reason = f"The app at {self.url} does not answer ({type(error).__name__})."
            raise CallError(reason, is_refusal=False) from error
        status, answer = response.status_code, None
        with suppress(requests.JSONDecodeError):
            answer = response.json()
        if isinstance(answer, dict) and status < requests.codes.multiple_choices:
            return answer
        # A gateway answers 504 while the app goes on, and perhaps 429 to the next try.
        is_first = not (response.raw.retries and response.raw.retries.history)
        is_refusal = status < requests.codes.server_error and is_first
        verb, end = ("refused the request", "") if is_refusal else ("answered", ".")
        unknown = ". Is this its address? Is the key right?" if is_refusal else ""
        detail = isinstance(answer, dict) and answer.get("detail")
        detail = detail or f"it gives no reason{unknown}"
        reason = f"The app at {self.url} {verb} ({status}): {detail}{end}"
        raise CallError(reason, is_refusal=is_refusal)

    def follow(self, alert_id: str) -> Iterator[Alert]:
        """Yield an alert again and again until nothing more happens to it, nor is answered."""
        while True:
            alert = self.call("GET", f"alerts/{alert_id}")
            yield alert
            if alert.get("endedAt") and not _waits_for_answers(alert):
                return
            time.sleep(POLL_SECONDS)

    def deliveries(self, alert_id: str, status: str) -> Iterator[Mapping[str, Any]]:
        """Yield the deliveries of an alert that have this status."""
        return self._listed(f"alerts/{alert_id}/deliveries", "deliveries", status=status)

    def answers(self, alert_id: str) -> Iterator[Mapping[str, Any]]:
        """Yield what was answered to an alert."""
        return self._listed(f"alerts/{alert_id}/answers", "answers")

    def firing(self) -> Iterator[Mapping[str, Any]]:
        """Yield the incidents that are not over."""
        return self._listed("incidents", "incidents", state="firing")

    def _listed(self, path: str, name: str, **query: str) -> Iterator[Mapping[str, Any]]:
        token: str | None = ""
        while token is not None:
            asked = {**query, **({"continuationToken": token} if token else {})}
            page = self.call("GET", path, params=asked)
            yield from page[name]
            token = page.get("continuationToken")


def _waits_for_answers(alert: Alert) -> bool:
    answers, sent = alert.get("answers"), alert["counts"]["sent"]
    if not answers or alert["status"] != "done":
        return False
    # Of a single answer it counts who is first.
    return bool(sum(answers.values()) < (min(sent, 1) if len(answers) == 1 else sent))


def add_text(parser: argparse.ArgumentParser) -> None:
    """Describe what a command takes that says something."""
    parser.add_argument("--text", required=True, help="what the message says")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe what all these commands take: which app is meant."""
    parser.epilog = EXIT_STATUS
    # The defaults are not in the help, where a key would be seen.
    url = os.environ.get("SPEAK_FIRST_URL") or DEFAULT_URL
    parser.add_argument("--url", default=url, help="where the app is (or SPEAK_FIRST_URL)")
    key = os.environ.get("SPEAK_FIRST_KEY", "")
    told = "its function key (or SPEAK_FIRST_KEY, which no list of processes shows)"
    parser.add_argument("--key", type=str.strip, default=key, help=told)
    parser.set_defaults(fail=parser.error)


def client_of(arguments: argparse.Namespace) -> AlertsClient:
    """Return the client of the app that is meant."""
    # The address is not repeated: it can hold a key.
    if not is_safe(arguments.url):
        arguments.fail("--url is not a plain https address, nor one of this machine")
    return AlertsClient(arguments.url.rstrip("/"), arguments.key)


def send(
    arguments: argparse.Namespace,
    audience: Alert,
    show: Callable[[AlertsClient, str], Alert] | None,
    failures: Iterable[str] = FAILED,
) -> int:
    """Have the app send the text to an audience, and return the exit status.

    `show` follows the alert of an id until its end, and returns it; None waits for nothing.
    """
    if not arguments.text.strip():
        arguments.fail("the text says nothing")
    client = client_of(arguments)
    alert = {"id": str(uuid4()), **audience, "activity": {"text": arguments.text}}
    address = f"{client.url}/alerts/{alert['id']}"
    known = "may have been accepted"
    try:
        client.call("POST", "alerts", json=alert)
        print(f"Accepted: {address}", flush=True)
        known = "goes on"
        return _tell_end(client, show(client, alert["id"]), failures) if show else 0
    except CallError as error:
        print(error if error.is_refusal else f"{error} It {known}: {address}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print(f"\nStopped waiting. It {known}: {address}")
        return 130


def _tell_end(client: AlertsClient, alert: Alert, failures: Iterable[str]) -> int:
    told = [f"{count} {status}" for status, count in alert["counts"].items() if count]
    print(f"It is {alert['status']}: {', '.join(told) or 'there was nobody to send it to'}.")
    answers = client.answers(alert["id"]) if alert.get("answers") else ()
    for answer in answers:
        who = answer.get("name") or answer.get("userId") or "somebody who was erased"
        print(printable(f"    {answer['option']}: {who}"))
    failed = [status for status in failures if alert["counts"][status]]
    found = (each for status in failed for each in client.deliveries(alert["id"], status))
    with suppress(CallError):
        for delivery in islice(found, 5):
            print(printable(f"    {delivery['id']}: {reason_of(delivery)}"), file=sys.stderr)
    return 1 if failed or alert["status"] != "done" else 0


def reason_of(delivery: Mapping[str, Any]) -> str:
    """Say why a message failed, or waits."""
    return delivery.get("detail") or delivery.get("code") or "no reason is recorded"


def printable(text: str) -> str:
    """Return a text from elsewhere so that a terminal shows it on one line, and does no more."""
    return "".join(each if each.isprintable() else " " for each in text)
