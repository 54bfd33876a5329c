"""The client of a running app's alerts, and what the commands that use it have in common."""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from shared.auth.service_urls import is_loopback, is_safe, origin_of

URL_VARIABLE = "SPEAK_FIRST_URL"
KEY_VARIABLE = "SPEAK_FIRST_KEY"
DEFAULT_URL = "http://127.0.0.1:7071/api"

ALL_WELL = 0
NOT_DELIVERED = 1
REFUSED = 3
INTERRUPTED = 130

FAILED = ("permanent-failure", "temporary-failure", "technical-failure")
UNDELIVERED = (*FAILED, "expired", "cancelled")
UNDER_WAY = ("accepted", "sending", "retrying")

# The first call of an app that was asleep takes a while.
CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
FURTHER_TRIES = 2
RETRY_SECONDS = 1.0
POLL_SECONDS = 1.0
PATIENCE_SECONDS = 60.0

# For answers that say nothing themselves: the Functions host's own are empty.
HINTS: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: f"It wants a function key: set {KEY_VARIABLE} right, or give --key.",
    HTTPStatus.NOT_FOUND: "Is this its address? Commonly it ends in /api.",
}

Alert = Mapping[str, Any]


class CallError(Exception):
    """The app could not be reached, or refused the request, in plain words."""

    def __init__(self, reason: str, *, may_pass: bool) -> None:
        """Take the reason, and whether the same call may succeed in a moment."""
        super().__init__(reason)
        self.may_pass = may_pass


class UnreachableError(CallError):
    """There was no whole answer."""

    def __init__(self, reason: str, *, may_have_arrived: bool) -> None:
        """Take the reason, and whether the app may have got the request all the same."""
        super().__init__(reason, may_pass=True)
        self.may_have_arrived = may_have_arrived


class AlertsClient:
    """Calls a running app; raises CallError where that does not do."""

    def __init__(self, url: str, key: str, session: requests.Session) -> None:
        """Take the app's address, a function key, which may be empty, and a session to use."""
        self._url = url
        self._session = session
        # What is on this machine is not behind a proxy, whatever the environment says.
        self._session.trust_env = not is_loopback(urlsplit(url).hostname or "")
        if key:
            self._session.headers["x-functions-key"] = key

    def create(self, alert: Alert) -> None:
        """Have an alert sent; its id makes sure that it is one alert, however often this is tried.

        What fails on its way is tried again.
        """
        may_have_arrived = False
        for further_tries in reversed(range(FURTHER_TRIES + 1)):
            try:
                answer = self._call("POST", "alerts", json=alert)
                break
            except UnreachableError as error:
                may_have_arrived = may_have_arrived or error.may_have_arrived
                if not further_tries:
                    if not may_have_arrived:
                        raise
                    reason = f"{error} It may have accepted alert {alert['id']} all the same."
                    raise CallError(reason, may_pass=False) from error
                time.sleep(RETRY_SECONDS)
        if answer.get("id") != alert["id"]:
            raise self._strange()

    def address(self, alert_id: str) -> str:
        """Return where an alert can be asked for."""
        return f"{self._url}/alerts/{alert_id}"

    def follow(
        self, alert_id: str, *, show: Callable[[Alert], None], say: Callable[[str], None]
    ) -> Alert:
        """Show an alert again and again until nothing more happens to it; return its end.

        An app that does not answer for a while is waited for, which is said.
        """
        deadline: float | None = None
        while True:
            try:
                alert = self._call("GET", f"alerts/{alert_id}")
            except CallError as error:
                if not error.may_pass:
                    raise
                if deadline is not None and time.monotonic() > deadline:
                    reason = f"{error} The alert goes on: {self.address(alert_id)}"
                    raise CallError(reason, may_pass=False) from error
                if deadline is None:
                    deadline = time.monotonic() + PATIENCE_SECONDS
                    say(f"{error} Asking again for {PATIENCE_SECONDS:g} s ...")
            else:
                deadline = None
                show(alert)
                if alert.get("endedAt"):
                    return alert
            time.sleep(POLL_SECONDS)

    def deliveries(self, alert_id: str, status: str) -> Iterator[Mapping[str, Any]]:
        """Yield the deliveries of an alert that have this status; one page is asked for at once."""
        query = {"status": status}
        while True:
            page = self._call("GET", f"alerts/{alert_id}/deliveries", params=query)
            yield from page.get("deliveries", ())
            token = page.get("continuationToken")
            if not token:
                return
            query["continuationToken"] = token

    def _call(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        try:
            response = self._session.request(
                method,
                f"{self._url}/{path}",
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                # The key is not for whoever an answer names.
                allow_redirects=False,
                **content,
            )
        except requests.RequestException as error:
            reason, may_have_arrived = _silence(error)
            raise UnreachableError(
                f"The app at {self._url} cannot be reached: {reason}.",
                may_have_arrived=may_have_arrived,
            ) from error
        answer = _json_object(response)
        if response.status_code >= HTTPStatus.MULTIPLE_CHOICES:
            raise _refusal(response.status_code, answer)
        if answer is None:
            raise self._strange()
        return answer

    def _strange(self) -> CallError:
        reason = f"What answers at {self._url} is not the app. {HINTS[HTTPStatus.NOT_FOUND]}"
        return CallError(reason, may_pass=False)


def add_connection_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options that say which app is meant."""
    # The defaults are not in the help, where a key would be seen.
    parser.add_argument(
        "--url",
        type=_url,
        default=os.environ.get(URL_VARIABLE) or DEFAULT_URL,
        help=f"where the app is (environment {URL_VARIABLE}, else {DEFAULT_URL})",
    )
    parser.add_argument(
        "--key",
        type=_key,
        default=os.environ.get(KEY_VARIABLE, ""),
        help=f"its function key (environment {KEY_VARIABLE}, which no list of processes shows)",
    )
    parser.set_defaults(fail=parser.error)


@contextmanager
def client_of(arguments: argparse.Namespace) -> Iterator[AlertsClient]:
    """Have a client of the app that the options name."""
    if arguments.key and not is_safe(arguments.url):
        arguments.fail("a key goes only to https addresses, or to this machine: see --url")
    with requests.Session() as session:
        yield AlertsClient(arguments.url, arguments.key, session)


def words(text: str) -> str:
    """Return a text that somebody shall read, for argparse: it says something."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it says nothing")
    return text


def printable(text: object) -> str:
    """Return a text from elsewhere so that a terminal shows it on one line, and does no more."""
    return "".join(each if each.isprintable() else " " for each in str(text))


def _url(text: str) -> str:
    # The text is not repeated: an address can hold a key.
    if origin_of(text) is None:
        raise argparse.ArgumentTypeError(
            "expected a plain http or https address without user info, query or fragment, "
            f"such as {DEFAULT_URL}"
        )
    return text.rstrip("/")


def _key(text: str) -> str:
    key = text.strip()
    if not (key.isascii() and key.isprintable()):
        raise argparse.ArgumentTypeError("a function key has printable ASCII characters only")
    return key


def _silence(error: requests.RequestException) -> tuple[str, bool]:
    """Tell in plain words why there was no answer, and whether the request may have arrived."""
    if isinstance(error, requests.ConnectTimeout):
        return "nothing answers there", False
    if isinstance(error, requests.Timeout):
        return "it did not answer in time", True
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy does not lead there", True
    if isinstance(error, requests.exceptions.SSLError):
        return "its TLS connection or certificate is not good", True
    # urllib3 makes this of a connection that could not be made; nothing else is tried again there.
    if error.args and isinstance(error.args[0], urllib3.exceptions.MaxRetryError):
        return "nothing answers there", False
    return "the connection was cut off", True


def _refusal(status: int, problem: Mapping[str, Any] | None) -> CallError:
    may_pass = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS
    detail = problem and (problem.get("detail") or problem.get("title"))
    if not problem or not detail:
        reason = (
            f"The app refused the request ({status}) and gave no reason. {HINTS.get(status, '')}"
        )
        return CallError(reason.rstrip(), may_pass=may_pass)
    code = f" {problem['code']}" if problem.get("code") else ""
    lines = [f"The app refused the request ({status}{code}): {detail}"]
    for line in _field_errors(problem):
        # Commonly the detail has them already.
        if line not in str(detail):
            lines.append(f"    {line}")
    return CallError("\n".join(printable(line) for line in lines), may_pass=may_pass)


def _field_errors(problem: Mapping[str, Any]) -> list[str]:
    errors = problem.get("errors")
    # What stands before the app, such as a gateway, has errors of another form.
    found = [each for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []
    return [f"{each.get('field')}: {each.get('message')}" for each in found]


def _json_object(response: requests.Response) -> dict[str, Any] | None:
    try:
        content = response.json()
    except requests.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None
