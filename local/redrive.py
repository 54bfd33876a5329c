"""`python -m local redrive QUEUE`: puts failed messages back on their queue.

Works on the storage that `AzureWebJobsStorage` names, in Azure or here, for the bot that
`MicrosoftAppId` names.
"""

import argparse
import sys
from pathlib import Path
from urllib.parse import urlsplit

from local.environment import StartError, prepare_environment, whole_number
from shared.auth.service_urls import is_loopback
from shared.errors import AppError
from shared.messages.envelope_signature import has_envelope_key
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
        "--most", type=whole_number, metavar="N", help="put back so many messages at most (all)"
    )
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Put messages back; 0 when none is left or as many as asked for are back, 130 after Ctrl-C."""
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
        if not has_envelope_key(services.storage, settings.app_id):
            # Signed with a key of its own, all messages would be refused and lose their ids.
            raise StartError(f"this storage has no messages of bot {settings.app_id or '(none)'}.")
        # A message that fails again while this runs is not put back again.
        most = services.queues.count_failed(arguments.queue)
        if arguments.most is not None:
            most = min(most, arguments.most)
        while count < most and put_back_poison(arguments.queue, services):
            count += 1
            if count % REPORT_EVERY == 0:
                print(f"{count} messages are back on {arguments.queue} ...", flush=True)
        left = services.queues.count_failed(arguments.queue) if count < most else 0
    except (AppError, StartError) as error:
        print(f"{count} messages were put back, then: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{count} messages were put back on {arguments.queue}, then it was stopped.")
        return 130
    print(f"{count} messages were put back on {arguments.queue}.")
    if left:
        print(f"{left} more are hidden, as somebody took them: try in a minute.", file=sys.stderr)
    return 1 if left else 0


def _is_on_this_machine(storage: StorageAccount) -> bool:
    return is_loopback(urlsplit(storage.queue_service_url).hostname or "")
