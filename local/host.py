"""`python -m local host`: a stand-in for the Azure Functions host, for development only.

It runs `function_app.py` with the converters of `azure-functions` itself, so that functions
get and give exactly what they do in Azure; HTTP, queues and timers behave as `host.json` says.
"""

import argparse
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

from local.environment import StartError, prepare_environment, read_host_json, setting, whole_number
from local.functions import load_functions
from local.http_server import HttpServer
from local.queue_listener import QueueListener
from local.timer import Timer
from local.worker import Worker

Source = HttpServer | QueueListener | Timer

logger = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# Commonly a program that is stopped gets ten seconds.
PATIENCE_SECONDS = 8.0


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command and its options."""
    parser = commands.add_parser("host", help="run the functions", description=__doc__)
    parser.add_argument("--port", type=int, default=7071, help="0 picks a free one (7071)")
    parser.add_argument(
        "--enable-auth",
        action="store_true",
        help="ask for a key, which is the setting LocalFunctionKey, where Azure would ask",
    )
    parser.add_argument(
        "--lease-seconds",
        type=whole_number,
        metavar="N",
        default=600,
        help="how long a message is leased while it is worked on; the real host uses 600",
    )
    parser.add_argument(
        "--app",
        type=Path,
        default=Path(__file__).parent.parent,
        metavar="DIR",
        help="the folder of function_app.py and host.json (this project)",
    )
    parser.add_argument(
        "--end-with-stdin",
        action="store_true",
        help="end when the standard input ends: whoever started it is gone",
    )
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Run the app until SIGTERM or SIGINT; 0 then, and else why it could not start."""
    # Before there are other threads, so that none of them takes the signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    if arguments.end_with_stdin:
        Thread(target=_end_with_stdin, daemon=True).start()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("azure.core", "azure.identity", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    try:
        worker, sources = start(arguments)
    except StartError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    signal.sigwait(STOP_SIGNALS)
    _stop(worker, sources)
    return 0


def _end_with_stdin() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def start(arguments: argparse.Namespace) -> tuple[Worker, Sequence[Source]]:
    """Begin to invoke the functions of an app; raise StartError when it cannot run."""
    app_root: Path = arguments.app.resolve()
    prepare_environment(app_root)
    key = setting("LocalFunctionKey", exit_status=2) if arguments.enable_auth else None
    host_json = read_host_json(app_root / "host.json")
    functions = load_functions(app_root)
    worker = Worker()
    sources: list[Source] = []
    for function in functions:
        if function.trigger["type"] == "queueTrigger":
            sources.append(QueueListener(function, host_json, arguments.lease_seconds, worker))
        elif function.trigger["type"] == "timerTrigger":
            sources.append(Timer(function, worker))
    server = HttpServer(arguments.port, functions, host_json.route_prefix, worker, key)
    for source in (*sources, server):
        source.start()
    url = f"http://127.0.0.1:{server.server_port}/{host_json.route_prefix}".rstrip("/")
    print(f"Listening on {url} ({len(functions)} functions)", flush=True)
    return worker, [server, *sources]


def _stop(worker: Worker, sources: Sequence[Source]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    for source in sources:
        source.stop()
    worker.stop()
    for source in sources:
        if not source.in_flight.wait_until_at_most(0, max(0, deadline - time.monotonic())):
            logger.warning("Some functions still run after %g s and end now", PATIENCE_SECONDS)
            # Python itself would wait for their threads.
            logging.shutdown()
            os._exit(0)
