"""`python -m local send --to CHANNEL/USER --text TEXT`: sends one message to one person.

Waits for what becomes of it, and says so. Exits with

    0    when it was sent
    1    when it was not: it failed, it expired, it was cancelled, or the person wants none
    2    when it was asked for wrongly
    3    when the app could not be reached, or refused the request
    130  when Ctrl-C ended the waiting; the app goes on
"""

import argparse
import sys
from functools import partial
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


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command and its options."""
    parser = commands.add_parser(
        "send",
        help="send one message to one person, by a running app",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--to",
        type=_recipient,
        required=True,
        metavar="CHANNEL/USER",
        help="the person: channelId/userId, such as msteams/29:1-alex",
    )
    parser.add_argument("--text", required=True, type=words, help="what the person is told")
    add_connection_options(parser)
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Send the message; 0 when it was sent."""
    alert = {
        "id": str(uuid4()),
        "recipients": [arguments.to],
        "activity": {"text": arguments.text},
    }
    with client_of(arguments) as client:
        return _send(client, alert)


def _send(client: AlertsClient, alert: Alert) -> int:
    address = client.address(alert["id"])
    known = "may have been accepted"
    say = partial(print, flush=True)
    try:
        client.create(alert)
        known = "goes on"
        say(f"The message is accepted: {address}")
        return _tell(client, client.follow(alert["id"], show=lambda _: None, say=say))
    except CallError as error:
        print(error, file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print(f"\nNobody waits for it any more; the message {known}: {address}")
        return INTERRUPTED


def _tell(client: AlertsClient, alert: Alert) -> int:
    if alert["status"] == "done" and alert["counts"]["sent"]:
        print("The message was sent.")
        return ALL_WELL
    print(f"The message was not sent: {_reason(client, alert)}.", file=sys.stderr)
    return NOT_DELIVERED


def _reason(client: AlertsClient, alert: Alert) -> str:
    for status in (*UNDELIVERED, "suppressed"):
        if not alert["counts"][status]:
            continue
        try:
            for delivery in client.deliveries(alert["id"], status):
                reason = delivery.get("detail") or delivery.get("code") or status
                return printable(reason).rstrip(".")
        except CallError as error:
            print(error, file=sys.stderr)
        return status
    return f"it is {alert['status']}"


def _recipient(text: str) -> dict[str, str]:
    channel_id, _, user_id = text.partition("/")
    if not channel_id or not user_id:
        raise argparse.ArgumentTypeError(
            f"expected channelId/userId, such as msteams/29:1-alex, not {text!r}"
        )
    return {"channelId": channel_id, "userId": user_id}
