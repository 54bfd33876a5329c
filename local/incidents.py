"""`python -m local incidents`: lists what other systems say is wrong.

With --follow, says what begins and what is over, until Ctrl-C.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from typing import Any

from local import alerts_client
from local.alerts_client import AlertsClient, CallError, add_options, client_of, printable


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command and its options."""
    parser = commands.add_parser("incidents", help="list what is wrong", description=__doc__)
    parser.add_argument("--follow", action="store_true", help="say what begins and what is over")
    add_options(parser)
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """List the incidents; 0 when the app told them."""
    client = client_of(arguments)
    try:
        known = _tell({}, client)
        while arguments.follow:
            time.sleep(alerts_client.POLL_SECONDS)
            known = _tell(known, client)
    except CallError as error:
        print(error, file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    return 0


def _tell(known: Mapping[str, str], client: AlertsClient) -> dict[str, str]:
    """Say what has changed, and return how each incident that fires is told, by its alert."""
    firing = {f"{each.get('alertId')} {each['key']}": _words(each) for each in client.firing()}
    for name, words in firing.items():
        if known.get(name) != words:
            print(f"firing    {words}", flush=True)
    for name in known.keys() - firing.keys():
        print(f"resolved  {known[name]}", flush=True)
    return firing


def _words(incident: Mapping[str, Any]) -> str:
    names = ("startsAt", "severity", "topic", "title")
    words = [str(incident[name]) for name in names if incident.get(name)]
    if "takenAt" in incident:
        by = incident.get("takenBy", {})
        words.append(f"taken by {by.get('name') or by.get('userId') or 'somebody'}")
    return printable("  ".join(words))
