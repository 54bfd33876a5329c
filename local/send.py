"""`python -m local send --to CHANNEL/USER --text TEXT`: sends one message to one person.

Waits for what becomes of it, and says so, and after some seconds what it waits for. A person who
wants none counts as not delivered.
"""

import argparse
import sys

from local.alerts_client import (
    FAILED,
    Alert,
    AlertsClient,
    add_options,
    add_text,
    printable,
    reason_of,
    send,
)

POLLS_BETWEEN_REASONS = 5


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command and its options."""
    parser = commands.add_parser("send", help="send one message", description=__doc__)
    told = "the person: channelId/userId, such as msteams/29:1-alex"
    parser.add_argument("--to", type=_recipient, required=True, metavar="CHANNEL/USER", help=told)
    add_text(parser)
    add_options(parser)
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Send the message; 0 when it was sent."""
    audience = {"recipients": [arguments.to]}
    return send(arguments, audience, _follow, (*FAILED, "suppressed"))


def _follow(client: AlertsClient, alert_id: str) -> Alert:
    told = ""
    for polls, alert in enumerate(client.follow(alert_id), 1):
        if alert["counts"]["retrying"] and polls % POLLS_BETWEEN_REASONS == 0:
            for delivery in client.deliveries(alert_id, "retrying"):
                if (reason := reason_of(delivery)) != told:
                    print(printable(f"It waits: {reason}"), file=sys.stderr, flush=True)
                    told = reason
    return alert


def _recipient(text: str) -> dict[str, str]:
    channel_id, _, user_id = text.partition("/")
    if not channel_id or not user_id:
        raise argparse.ArgumentTypeError("expected channelId/userId, such as msteams/29:1-alex")
    return {"channelId": channel_id, "userId": user_id}
