"""`python -m local alert --text TEXT`: sends one alert to everybody, or to whom it interests.

With --follow, shows how far it is until it is done. Exits with

    0    when the alert was accepted; with --follow, when it is done and nothing failed
    1    with --follow, when something was not delivered: it failed, expired or was cancelled
    2    when it was asked for wrongly
    3    when the app could not be reached, or refused the request
    130  when Ctrl-C ended the following; the alert goes on

Who wants no alerts gets none, and that is no failure.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any
from uuid import uuid4

from local.alerts_client import (
    ALL_WELL,
    INTERRUPTED,
    NOT_DELIVERED,
    REFUSED,
    UNDELIVERED,
    Alert,
    AlertsClient,
    CallError,
    add_connection_options,
    client_of,
    printable,
    words,
)
from local.progress import Progress

MOST_REASONS = 5


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command and its options."""
    parser = commands.add_parser(
        "alert",
        help="send one alert to many, by a running app",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--interest",
        action="append",
        default=[],
        metavar="TOPIC",
        help="to whoever has this interest, or one of them when given again (to everybody)",
    )
    parser.add_argument(
        "--topic", help="not to whoever muted this topic (the first interest, when there is one)"
    )
    parser.add_argument("--text", required=True, type=words, help="what they are told")
    parser.add_argument("--follow", action="store_true", help="show how far it is until it is done")
    add_connection_options(parser)
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Send the alert; 0 when it was accepted or, if followed, when nothing of it failed."""
    with client_of(arguments) as client:
        return _send(client, _alert(arguments), is_followed=arguments.follow)


def _send(client: AlertsClient, alert: Alert, *, is_followed: bool) -> int:
    address = client.address(alert["id"])
    known = "may have been accepted"
    try:
        client.create(alert)
        known = "goes on"
        print(f"The alert is accepted: {address}", flush=True)
        if not is_followed:
            return ALL_WELL
        with Progress(sys.stdout) as progress:
            end = client.follow(alert["id"], show=progress.show, say=progress.say)
        return _tell(client, end)
    except CallError as error:
        print(error, file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print(f"\nNobody follows it any more; the alert {known}: {address}")
        return INTERRUPTED


def _alert(arguments: argparse.Namespace) -> Alert:
    interests: list[str] = arguments.interest
    topic = arguments.topic or (interests[0] if interests else None)
    return {
        "id": str(uuid4()),
        "audience": {"interests": interests} if interests else {},
        **({"topic": topic} if topic else {}),
        "activity": {"text": arguments.text},
    }


def _tell(client: AlertsClient, alert: Alert) -> int:
    counts = alert["counts"]
    told = [f"{count} {status}" for status, count in counts.items() if count]
    print(f"The alert is {alert['status']}: {', '.join(told) or 'there was nobody to send it to'}.")
    if alert["status"] == "done" and not any(counts[status] for status in UNDELIVERED):
        return ALL_WELL
    try:
        for delivery in islice(_undelivered(client, alert), MOST_REASONS):
            reason = delivery.get("detail") or delivery.get("code") or "no reason is recorded"
            line = f"    {delivery['id']} ({delivery['status']}): {reason}"
            print(printable(line), file=sys.stderr)
    except CallError as error:
        print(error, file=sys.stderr)
    return NOT_DELIVERED


def _undelivered(client: AlertsClient, alert: Alert) -> Iterator[Mapping[str, Any]]:
    for status in UNDELIVERED:
        if alert["counts"][status]:
            yield from client.deliveries(alert["id"], status)
