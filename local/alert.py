"""`python -m local alert --text TEXT`: sends one alert to everybody, or to some by interest.

With --follow, shows how far it is until it is done, and answered where it asks. A person who wants
no alerts gets none; that is no failure.
"""

import argparse
import sys
from typing import Any

from local.alerts_client import FAILED, Alert, AlertsClient, add_options, add_text, send


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command and its options."""
    parser = commands.add_parser("alert", help="send one alert to many", description=__doc__)
    told = "to everybody with this interest, or one of them when given again (to everybody)"
    parser.add_argument("--interest", action="append", default=[], metavar="TOPIC", help=told)
    parser.add_argument("--topic", help="not to those who muted it (the first interest)")
    told = "a button to answer with; of a single one it counts who is first, else each one answers"
    parser.add_argument("--answer", action="append", default=[], metavar="TITLE", help=told)
    parser.add_argument("--follow", action="store_true", help="show how far it is, until the end")
    add_text(parser)
    add_options(parser)
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Send the alert; 0 when it was accepted or, if followed, when nothing of it failed."""
    interests: list[str] = arguments.interest
    topic = arguments.topic or next(iter(interests), None)
    audience = {
        "audience": {"interests": interests} if interests else {},
        **({"topic": topic} if topic else {}),
        **({"answers": _answers(arguments.answer)} if arguments.answer else {}),
    }
    return send(arguments, audience, _show if arguments.follow else None)


def _answers(titles: list[str]) -> dict[str, Any]:
    options = [{"id": str(number), "title": title} for number, title in enumerate(titles, 1)]
    return {"options": options, "mode": "first" if len(titles) == 1 else "each"}


def _show(client: AlertsClient, alert_id: str) -> Alert:
    # Slow to import, and only wanted here.
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), TextColumn("{task.description}", markup=False), TimeRemainingColumn())
    with Progress(*columns, transient=True, disable=not sys.stdout.isatty()) as progress:
        task = progress.add_task("", total=1.0)
        for alert in client.follow(alert_id):
            progress.update(task, completed=alert["progress"], description=_words(alert))
    return alert


def _words(alert: Alert) -> str:
    counts = alert["counts"]
    failed = sum(counts[status] for status in FAILED)
    words = [f"{counts['sent']} of {'about ' if alert['isEstimate'] else ''}{alert['total']} sent"]
    words += [f"{failed} failed"] if failed else []
    words += [f"answer {option}: {count}" for option, count in alert.get("answers", {}).items()]
    words += [f"{alert['ratePerSecond']:.1f}/s"] if alert.get("ratePerSecond") else []
    return ", ".join(words)
