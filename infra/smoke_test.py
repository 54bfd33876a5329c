# ruff: noqa: INP001  # A script beside the templates, no package.
"""Look whether a deployed app works, without sending anything to anybody.

    python infra/smoke_test.py https://func-….azurewebsites.net [--delivery ID]

The app has to be well, to refuse an activity that the Connector has not signed, and to refuse a
call without a key. With a key in FUNCTION_KEY, it is also asked for an alert as a dry run, which
sends nothing. Where the app needs a token of Entra too, ENTRA_TOKEN is one.

With --delivery, which also needs the key, this waits for the record of a message that was put on a
queue with an ``expiresAt`` in the past. Such a message goes through queue, function and table, and
ends as expired, without a call.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

_PATIENCE_SECONDS = 300.0
_PAUSE_SECONDS = 5.0
_ON_THIS_MACHINE = [("http", host) for host in ("127.0.0.1", "::1", "localhost")]
_DRY_RUN = {
    "recipients": [{"channelId": "msteams", "userId": "smoke-test"}],
    "activity": {"text": "Nobody reads this."},
    "dryRun": True,
}


class _NoRedirects(HTTPRedirectHandler):
    """Follows none: the key and the token are not for another address."""

    def redirect_request(self, *_: object) -> None:
        return None


def main() -> None:
    """Look, and end with what is wrong."""
    arguments = argparse.ArgumentParser(description="Look whether a deployed app works.")
    arguments.add_argument("url", help="where the app is, without /api")
    arguments.add_argument("--delivery", metavar="ID", help="the id of an expired message")
    arguments.add_argument("--patience", type=float, default=_PATIENCE_SECONDS, metavar="SECONDS")
    given = arguments.parse_args()
    address = urlsplit(given.url)
    if (address.scheme, address.hostname) not in _ON_THIS_MACHINE and address.scheme != "https":
        arguments.error("the URL must be https, or http on this machine")
    api = f"{given.url.rstrip('/')}/api"
    deadline = time.monotonic() + given.patience

    # The first start takes a while, and so do new roles.
    _wait_for("GET /api/health", f"{api}/health", {}, {"status": "ok"}, deadline)
    _expect(401, "POST /api/messages without a token", f"{api}/messages", body=b"{}")
    _expect(401, "GET /api/accounts without a key", f"{api}/accounts")
    key = os.environ.get("FUNCTION_KEY", "")  # noqa: TID251  # not part of the app
    headers = {"x-functions-key": key}
    if token := os.environ.get("ENTRA_TOKEN"):  # noqa: TID251  # not part of the app
        headers["Authorization"] = f"Bearer {token}"
    if key:
        alert = json.dumps(_DRY_RUN).encode()
        _expect(200, "POST /api/alerts, a dry run", f"{api}/alerts", headers, alert)
    if given.delivery:
        url = f"{api}/deliveries/{quote(given.delivery, safe='')}"
        _wait_for("the delivery", url, headers, {"status": "expired"}, deadline)


def _wait_for(
    what: str, url: str, headers: Mapping[str, str], expected: dict[str, Any], deadline: float
) -> None:
    while True:
        status, body = _ask(url, headers)
        if status == 200 and expected.items() <= body.items():
            _say(f"{what}: {expected['status']}")
            return
        if time.monotonic() >= deadline:
            raise SystemExit(f"{what}: {status} {body or 'no answer'}, expected {expected}")
        time.sleep(min(_PAUSE_SECONDS, max(0.0, deadline - time.monotonic())))


def _expect(
    expected: int,
    what: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> None:
    status, _ = _ask(url, headers or {}, body)
    if status != expected:
        raise SystemExit(f"{what}: {status}, expected {expected}")
    _say(f"{what}: {status}")


def _ask(
    url: str, headers: Mapping[str, str], data: bytes | None = None
) -> tuple[int, dict[str, Any]]:
    """Return the status, and the JSON object that came with it; without both, 0 and nothing."""
    request = Request(url, data, dict(headers))  # noqa: S310  # https, or this machine
    try:
        with build_opener(_NoRedirects).open(request, timeout=60) as answer:
            body = json.loads(answer.read())
            return (answer.status, body) if isinstance(body, dict) else (0, {})
    except HTTPError as error:
        return error.code, {}
    except (URLError, HTTPException, TimeoutError, ConnectionError, ValueError):
        return 0, {}


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
