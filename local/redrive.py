"""`python -m local redrive QUEUE`: puts failed messages back on their queue.

Works on the storage that `AzureWebJobsStorage` names, in Azure or here, for the bot that
`MicrosoftAppId` names.
"""

import argparse
import sys
from pathlib import Path
from urllib.parse import urlsplit

from local.environment import StartError, prepare_environment
from shared.auth.service_urls import is_loopback
from shared.errors import AppError
from shared.messages.queue_names import QUEUES
from shared.sending.redrive import put_back_poison
from shared.settings import Settings, StorageAccount
from shared.wiring import Services

REPORT_EVERY = 100


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command and its options."""
    parser = commands.add_parser(
        "redrive", help="put failed messages back on their queue", description=__doc__
    )
    parser.add_argument("queue", choices=QUEUES)
    parser.add_argument(
        "--most", type=int, metavar="N", help="put back so many messages at most (all)"
    )
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Put messages back; 0 when none is left, or as many were put back as were asked for."""
    count = 0
    try:
        prepare_environment(Path(__file__).parent.parent)
        settings = Settings.from_environment()
        if not settings.app_id and not _is_on_this_machine(settings.storage):
            # The app takes only what is signed with the key of its own bot.
            raise StartError(
                "The setting MicrosoftAppId is missing: the app's own, see BOT_APP_ID."
            )
        services = Services.of(settings)
        # A message that fails again while this runs is not put back again.
        most = services.queues.count_failed(arguments.queue)
        if arguments.most is not None:
            most = min(most, arguments.most)
        while count < most and put_back_poison(arguments.queue, services):
            count += 1
            if count % REPORT_EVERY == 0:
                print(f"{count} messages are back on {arguments.queue} ...", flush=True)
    except (AppError, StartError) as error:
        print(f"{count} messages were put back, then: {error}", file=sys.stderr)
        return 1
    print(f"{count} messages were put back on {arguments.queue}.")
    return 0


def _is_on_this_machine(storage: StorageAccount) -> bool:
    return is_loopback(urlsplit(storage.queue_service_url).hostname or "")
